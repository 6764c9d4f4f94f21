"""Conversations of the edge collector without a line: given answers in, what was asked and said out."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.edge.talk import Said, Talk


def hold(talk: Talk, answers: Sequence[bytes]) -> tuple[list[bytes], Said | None]:
    """The requests of a conversation that hears `answers`, one a request, and what it gave; None where an answer
    is none to its request, or there are too few.
    """
    asked: list[bytes] = []
    ask = next(talk)
    for answer in answers:
        asked.append(ask.request)
        frame = ask.find(answer)
        if frame is None:
            return asked, None
        try:
            ask = talk.send(frame)
        except StopIteration as e:
            return asked, e.value
    return [*asked, ask.request], None
