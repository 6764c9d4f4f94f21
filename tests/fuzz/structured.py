"""Inputs that Hypothesis makes, by the strategies of the property tests: fewer, but of other shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.property import test_declared_json, test_frame_decoders, test_native_json, test_sparkplug_messages

from .chunks import Chunk, Tally, taking
from .inputs import Input, Message
from .targets import Target

Strategy = st.SearchStrategy[Input]


def _alone(payloads: st.SearchStrategy[bytes], topics: st.SearchStrategy[str] | None = None) -> Strategy:
    topic = st.just("") if topics is None else topics
    return st.builds(lambda data, name: (Message(data, (), name),), payloads, topic)


def _declared(name: str) -> Strategy:
    documents = test_declared_json.documents.map(lambda d: test_declared_json.json.dumps(d).encode())
    return _alone(st.one_of(test_declared_json.mutated(name), documents))


@cache
def strategies() -> Mapping[str, Strategy]:
    """By target; the others have none."""
    payload = test_sparkplug_messages.any_payload
    topics = st.sampled_from(
        [f"spBv1.0/g/{kind}/n" for kind in ("NBIRTH", "NDATA", "NDEATH")]
        + [f"spBv1.0/g/{kind}/n/{d}" for kind in ("DBIRTH", "DDATA", "DDEATH") for d in "ab"]
    )
    messages = st.builds(lambda data, topic: Message(data, (), topic), payload, topics)
    return {
        "native_json": _alone(test_native_json.payloads()),
        **{name: _alone(test_frame_decoders.mutated(name)) for name in test_frame_decoders.FORMATS},
        **{name: _declared(name) for name in test_declared_json.FORMATS},
        "sparkplug": _alone(payload, topics),
        "sparkplug_intake": st.lists(messages, min_size=1, max_size=12).map(tuple),
    }


def run_structured(target: Target, chunk: Chunk, number: int) -> Tally:
    """Try inputs that Hypothesis makes; number: the seed. None is shrunk here: findings are made smaller alike."""
    tally = Tally()
    with taking(target, tally) as (next_one, take):

        def take_next(given: Input) -> None:
            next_one()
            take(given)

        _examples(strategies()[chunk.target], chunk, number, take_next)
    return tally


def _examples(strategy: Strategy, chunk: Chunk, number: int, take: Callable[[Input], None]) -> None:
    @seed(f"{number} {chunk.target} {chunk.number}")
    @settings(max_examples=chunk.size, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def examples(given: Input) -> None:
        take(given)

    examples()
