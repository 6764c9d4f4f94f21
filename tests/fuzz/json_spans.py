"""Where the values, keys and members of a JSON text lie, so that it can be edited without being written anew."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Span = tuple[int, int]

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(rb"[-+.\w]+")
_DEEPEST = 60


@dataclass(slots=True)
class Spans:
    """values: every value, the whole text among them; keys: with their quotation marks; members: of objects (key and
    value) and of lists; leaving: the same with the comma that goes when the member goes.
    """

    values: list[Span] = field(default_factory=list)
    keys: list[Span] = field(default_factory=list)
    members: list[Span] = field(default_factory=list)
    leaving: list[Span] = field(default_factory=list)


class _NoJsonError(Exception):
    pass


def spans(text: bytes) -> Spans | None:
    """The spans of a text; None where it is not JSON, or nested very deeply."""
    found = Spans()
    try:
        end = _space(text, _value(text, _space(text, 0), found, 0))
    except _NoJsonError:
        return None
    return found if end == len(text) else None


def _space(text: bytes, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _token(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    match = pattern.match(text, at)
    if match is None:
        raise _NoJsonError
    return match.end()


def _value(text: bytes, at: int, found: Spans, depth: int) -> int:
    first = text[at : at + 1]
    if first == b'"':
        end = _token(_STRING, text, at)
    elif first in (b"{", b"[") and depth < _DEEPEST:
        end = _members(text, at, found, depth + 1, first == b"{")
    else:
        end = _token(_SCALAR, text, at)
    found.values.append((at, end))
    return end


def _members(text: bytes, opened: int, found: Spans, depth: int, keyed: bool) -> int:
    close = b"}" if keyed else b"]"
    at = _space(text, opened + 1)
    own: list[Span] = []
    while text[at : at + 1] != close:
        start = at
        if keyed:
            at = _token(_STRING, text, at)
            found.keys.append((start, at))
            at = _space(text, at)
            if text[at : at + 1] != b":":
                raise _NoJsonError
            at = _space(text, at + 1)
        at = _value(text, at, found, depth)
        own.append((start, at))
        at = _space(text, at)
        if text[at : at + 1] == b",":
            at = _space(text, at + 1)
        elif text[at : at + 1] != close:
            raise _NoJsonError
    for i, (start, end) in enumerate(own):
        found.members.append((start, end))
        if i + 1 < len(own):
            found.leaving.append((start, own[i + 1][0]))
        else:
            found.leaving.append((own[i - 1][1] if i else start, end))
    return at + 1
