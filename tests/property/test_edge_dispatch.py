"""What the edge sends when: nothing is forgotten, live data pass the backlog, a silent platform is not flooded."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from collectors.edge.clock import JUMP_S, WINDOW, ClockEstimate
from collectors.edge.dispatch import Dispatch, DispatchOptions

OPTIONS = DispatchOptions(window=6, backlog_per_s=2.0, resend_s=10.0, longest_resend_s=40.0, probes=2)
events = st.lists(
    st.one_of(
        st.just("put"),
        st.just("connect"),
        st.tuples(st.just("acknowledge"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.floats(0, 30)),
    ),
    max_size=60,
)


class Model:
    """An outbox of numbers and a platform that acknowledges what it is told to."""

    def __init__(self) -> None:
        self.dispatch = Dispatch(OPTIONS, random.Random(1))
        self.waiting: list[int] = []
        self.last, self.now = 0, 0.0
        self.sent: list[int] = []

    def turn(self) -> tuple[list[int], list[int], list[int]]:
        """What goes again, live and of the backlog."""
        d = self.dispatch
        again = d.again(self.now)
        for seq in again:
            d.sent(seq, self.now)
        live = [s for s in self.waiting if s > d.live_after][: d.live_room()]
        for seq in live:
            d.sent(seq, self.now)
        room = d.backlog_room(self.now)
        backlog = [s for s in self.waiting if d.backlog_after < s <= d.live_from and s not in d.on_the_way][
            :room
        ]
        for seq in backlog:
            d.sent(seq, self.now)
        self.sent += again + live + backlog
        return again, live, backlog

    def apply(self, event: object) -> None:
        match event:
            case "put":
                self.last += 1
                self.waiting.append(self.last)
            case "connect":
                self.dispatch.connected(self.last, self.now)
            case ("acknowledge", int(n)):
                gone = sorted(self.dispatch.on_the_way)[:n]
                self.waiting = [s for s in self.waiting if s not in gone]
                self.dispatch.settled(gone, self.now)
            case ("wait", float(seconds)):
                self.now += seconds


@given(events)
def test_the_window_holds_and_everything_arrives_in_the_end(history: list[object]) -> None:
    model = Model()
    model.apply("connect")
    for event in history:
        model.apply(event)
        again, live, backlog = model.turn()
        assert len(model.dispatch.on_the_way) <= OPTIONS.window
        assert model.dispatch.on_the_way <= set(model.waiting)
        assert len(set(again + live + backlog)) == len(again + live + backlog)
        assert len(backlog) <= OPTIONS.window // 2
    for _ in range(200):
        model.apply(("acknowledge", OPTIONS.window))
        model.apply(("wait", 5.0))
        model.turn()
    assert not model.waiting
    assert set(model.sent) == set(range(1, model.last + 1))


@given(st.integers(1, 500), st.integers(1, 3))
def test_live_messages_pass_the_backlog(waiting: int, put: int) -> None:
    model = Model()
    for _ in range(waiting):
        model.apply("put")
    model.apply("connect")
    model.turn()
    for _ in range(put):
        model.apply("put")
    _, live, _ = model.turn()
    assert live == list(range(waiting + 1, waiting + put + 1))


def test_the_backlog_keeps_its_pace() -> None:
    model = Model()
    for _ in range(100):
        model.apply("put")
    model.apply("connect")
    model.turn()
    before = len(model.sent)
    for _ in range(10):
        model.apply(("acknowledge", 6))
        model.apply(("wait", 1.0))
        model.turn()
    assert len(model.sent) - before == 10 * OPTIONS.backlog_per_s


def test_while_nothing_is_acknowledged_only_probes_go_again_ever_later() -> None:
    model = Model()
    model.apply("connect")
    for _ in range(20):
        model.apply("put")
    model.turn()
    assert model.sent == list(range(1, 7))
    at: list[float] = []
    for _ in range(600):
        model.apply(("wait", 1.0))
        again, live, backlog = model.turn()
        assert set(again) <= {1, 2}
        assert not live + backlog
        at += [model.now] * (1 in again)
    gaps = [b - a for a, b in zip([0.0, *at], at, strict=False)]
    assert 8 <= gaps[0] <= 13
    assert all(30 <= gap <= 49 for gap in gaps[3:])
    model.apply(("acknowledge", 1))
    again, _, _ = model.turn()
    assert set(again) >= {3, 4, 5, 6}


delays = st.lists(st.floats(0, 3), min_size=1, max_size=50)


@given(st.floats(-1e6, 1e6), delays)
def test_the_clock_estimate_is_off_by_the_smallest_delay_of_the_last_ones(
    offset: float, delays: list[float]
) -> None:
    clock, mono = ClockEstimate(), 0.0
    for delay in delays:
        mono += 10.0
        platform = 1e9 + mono
        clock.heard(platform - delay, platform + offset, mono)
    found = clock.offset_s(1e9 + mono + offset, mono)
    assert found is not None
    assert abs(found - offset - min(delays[-WINDOW:])) < 1e-3


@given(st.floats(-1e6, 1e6), st.booleans())
def test_a_clock_that_is_set_is_reckoned_with_at_once(jump: float, heard_after: bool) -> None:
    clock = ClockEstimate()
    clock.heard(1e9, 1e9, 5.0)
    if heard_after:
        clock.heard(1e9 + 1, 1e9 + 1 + jump, 6.0)
    found = clock.offset_s(1e9 + 1 + jump, 6.0)
    assert found is not None
    expected = min(0.0, jump) if heard_after and abs(jump) <= JUMP_S else jump
    assert abs(found - expected) < 1e-3


def test_nothing_is_known_before_an_acknowledgement() -> None:
    assert ClockEstimate().offset_s(1e9, 5.0) is None
