"""Clocks that are wrong and gateways that were replaced become findings, once, and are withdrawn when later data take
the ground away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import psycopg
import pytest

from deploy.services.work import findings_watcher
from deploy.settings import Settings
from metering.instants import from_us
from storage import locks
from storage.clocks import ClockOptions, watch_clocks
from storage.outboxes import watch_outboxes

from .conftest import Feed, empty

pytestmark = pytest.mark.integration

S = 1_000_000
HOUR, DAY = 3600 * S, 86_400 * S
#: A local midnight in January 2014.
T0 = 1_388_505_600 * S + 5 * DAY
#: As a look whose pause is always over.
AT_ONCE = ClockOptions(pause=0.0)

Look = Callable[..., bool]


@pytest.fixture(autouse=True)
def _empty(pipeline, registry) -> Iterator[None]:
    yield
    for table in ("stamp_doubt", "finding"):
        pipeline.execute(f"delete from nengliu.{table}")
    empty(pipeline)


@pytest.fixture
def look(database) -> Iterator[Look]:
    """Looks for faults of clocks with the rights of a worker."""
    with psycopg.connect(database.worker_url, autocommit=True) as connection:
        yield lambda options=AT_ONCE: watch_clocks(connection, options)


def hours(begin: float, end: float) -> list[int]:
    """Whole hours of the run from one day up to another."""
    return [T0 + n * HOUR for n in range(round(begin * 24), round(end * 24))]


def send(feed: Feed, stamps: Sequence[int], *meters: str, gateway: str = "gw1", **header) -> None:
    """Readings of meters, received now."""
    values = [(m, "1.8.0", ts, ts / DAY, False) for ts in stamps for m in meters]
    feed.send(gateway, *values, **{"received_us": time.time_ns() // 1000, **header})


def stretches(pipeline) -> int:
    return pipeline.execute("select count(*) from nengliu.stamp_doubt").fetchone()[0]


def findings(pipeline) -> list[tuple]:
    """Kind, gateway, meter, begin and end in days of the run, state."""
    rows = pipeline.execute(
        "select kind, detail ->> 'gateway', meter, starts, ends, state from api.finding"
        " order by starts, kind, meter nulls first"
    ).fetchall()
    return [(*row[:3], _days(row[3]), None if row[4] is None else _days(row[4]), row[5]) for row in rows]


def _days(moment) -> float:
    return (moment - from_us(T0)) / timedelta(days=1)


def shifted(stamps: Sequence[int], by_s: int) -> list[int]:
    return [ts + by_s * S for ts in stamps]


def test_of_a_fleet_whose_clocks_are_right_nothing_is_noted(pipeline, feed, look):
    send(feed, hours(0, 6), "m1", "m2")
    send(feed, [ts + 12 * S for ts in hours(6, 7)], "m1")
    assert stretches(pipeline) == 0
    assert look()
    assert findings(pipeline) == []


def test_a_gateways_clock_is_one_finding_however_often_it_is_looked_at(pipeline, feed, look):
    for begin, end, by_s in ((3, 5, 420), (0, 3, 0), (5, 8, 0)):
        send(feed, shifted(hours(begin, end), by_s), "m1", "m2")
    for _ in range(2):
        look()
        assert findings(pipeline) == [("clock_offset", "gw1", None, 3, 5, "open")]
    [(detail, rule, count)] = pipeline.execute(
        "select f.detail, f.rule, count(*) over () from nengliu.finding f"
    ).fetchall()
    assert (detail["offset_s"], detail["first_meters"], rule, count) == (420, ["m1", "m2"], "clocks", 1)
    assert detail["stamped_from"] == from_us(T0 + 3 * DAY + 420 * S).isoformat()


def test_one_meters_clock_is_the_meters_with_its_point(pipeline, feed, look):
    send(feed, [*hours(0, 3), *shifted(hours(3, 5), -420), *hours(5, 8)], "m1")
    send(feed, hours(0, 8), "m2")
    look()
    assert findings(pipeline) == [("clock_offset", "gw1", "m1", 3, 5, "open")]
    assert pipeline.execute("select site_code, point_code from api.finding").fetchall() == [("A", "A-T")]


def test_what_lasts_ends_when_the_clock_is_set_in_the_same_finding(pipeline, feed, look):
    send(feed, [*hours(0, 3), *shifted(hours(3, 4), 420)], "m1")
    look()
    assert findings(pipeline) == [("clock_offset", "gw1", "m1", 3, None, "open")]
    send(feed, [*shifted(hours(4, 5), 420), *hours(5, 7)], "m1")
    look()
    assert findings(pipeline) == [("clock_offset", "gw1", "m1", 3, 5, "open")]
    assert pipeline.execute("select count(*) from nengliu.finding").fetchone() == (1,)


def test_readings_that_come_late_take_the_ground_away_and_a_finding_is_withdrawn(pipeline, feed, look):
    send(feed, [*hours(0, 3), *shifted(hours(3, 5), 420), *hours(5, 8)], "m1")
    look()
    assert [f[5] for f in findings(pipeline)] == ["open"]
    send(feed, hours(3, 5), "m1")
    look()
    assert [f[5] for f in findings(pipeline)] == ["withdrawn"], "it was read twice an hour, by whomever"


def test_a_jump_is_found_far_from_where_its_readings_belong(pipeline, feed, look):
    send(feed, [*hours(0, 10), *hours(10.5, 20)], "m1")
    send(feed, shifted(hours(10, 10.5), -200 * 86_400 - 777), "m1")
    look()
    assert findings(pipeline) == [("clock_jump", "gw1", "m1", 10, 10.5, "open")]
    send(feed, shifted(hours(10, 10.5), -200 * 86_400 - 777), "m2")
    send(feed, [*hours(0, 10), *hours(10.5, 20)], "m2")
    look()
    assert findings(pipeline) == [
        ("clock_jump", "gw1", None, 10, 10.5, "open"),
        ("clock_jump", "gw1", "m1", 10, 10.5, "withdrawn"),
    ], "more is known: all of its meters"


def test_a_clock_that_is_off_by_whole_hours_shows_by_values_that_came_twice(pipeline, feed, look):
    send(feed, [*hours(0, 4), *hours(6, 9)], "m1")
    shift = [(m, "1.8.0", ts - 8 * HOUR, ts / DAY, False) for ts in hours(4, 6) for m in ("m1",)]
    feed.send("gw1", *shift, received_us=time.time_ns() // 1000)
    assert pipeline.execute("select twice from nengliu.stamp_doubt").fetchall() == [(True,)]
    look()
    assert findings(pipeline) == [("clock_jump", "gw1", "m1", 4, 6, "open")]


def test_a_meter_of_which_two_values_come_always_is_not_looked_at_again(pipeline, feed, look):
    send(feed, hours(0, 8), "m1")
    feed.send("gw1", *[("m1", "1.8.0", ts, 1.0, False) for ts in hours(0, 4)])
    look()
    assert (stretches(pipeline), findings(pipeline)) == (1, [])
    feed.send("gw1", *[("m1", "1.8.0", ts, 1.0, False) for ts in hours(4, 8)])
    look()
    assert (stretches(pipeline), findings(pipeline)) == (1, [])


def test_a_later_look_at_one_fault_leaves_those_before_it_alone(pipeline, feed, look):
    send(feed, [*hours(0, 3), *shifted(hours(3, 4), 420), *hours(4, 7)], "m1")
    look()
    pipeline.execute("delete from nengliu.stamp_doubt")
    later = [*hours(7, 80), *shifted(hours(80, 81), 420), *hours(81, 84)]
    send(feed, later, "m1")
    look()
    assert [f[3:] for f in findings(pipeline)] == [(3, 4, "open"), (80, 81, "open")]


def test_what_a_person_refused_stays_refused(pipeline, feed, look):
    send(feed, [*hours(0, 3), *shifted(hours(3, 5), 420), *hours(5, 8)], "m1")
    look()
    pipeline.execute("update nengliu.finding set state = 'refused'")
    send(feed, hours(8, 9), "m1")
    look()
    assert [f[5] for f in findings(pipeline)] == ["refused"]


def test_a_meter_that_always_is_read_beside_the_quarter_is_noted_once(pipeline, feed, look):
    send(feed, shifted(hours(0, 0.1), 420), "m1")
    send(feed, shifted(hours(0.1, 8), 420), "m1")
    assert stretches(pipeline) == 1
    look()
    assert (stretches(pipeline), findings(pipeline)) == (0, [])
    send(feed, shifted(hours(8, 9), 420), "m1")
    send(feed, hours(9, 9.5), "m1")
    assert stretches(pipeline) == 1, "its clock is off onto the quarter"
    send(feed, shifted(hours(9.5, 12), 420), "m1")
    look()
    assert findings(pipeline) == [("clock_offset", "gw1", "m1", *seven_past(9, 9.5), "open")]


def seven_past(*days: float) -> list[float]:
    return [pytest.approx(day + 420 / 86_400) for day in days]


def test_stamps_are_kept_in_mind_for_a_time_and_looked_at_when_their_gateway_is_heard(pipeline, feed, look):
    send(feed, [*hours(0, 3), *shifted(hours(3, 5), 420), *hours(5, 8)], "m1")
    look()
    looked_at = "select looked_at from nengliu.stamp_doubt"
    before = pipeline.execute(looked_at).fetchall()
    look()
    assert pipeline.execute(looked_at).fetchall() == before, "nothing was heard since"
    send(feed, hours(8, 9), "m1")
    look()
    assert pipeline.execute(looked_at).fetchall() > before
    look(ClockOptions(kept=timedelta(0)))
    assert stretches(pipeline) == 0
    assert [f[5] for f in findings(pipeline)] == ["open"]


def test_what_a_turn_has_no_time_for_waits_for_the_next(pipeline, feed, look):
    for meter, gateway, step in (("m1", "gw1", 4), ("m3", "gw2", 1)):
        quarters = [T0 + n * 900 * S for n in range(0, 8 * 96, step)]
        wrong = [T0 + 3 * DAY <= ts < T0 + 5 * DAY for ts in quarters]
        stamps = [ts + 420 * S * off for ts, off in zip(quarters, wrong, strict=True)]
        send(feed, stamps, meter, gateway=gateway)
    in_haste = ClockOptions(budget_s=0.0)
    look(in_haste)
    assert [f[1] for f in findings(pipeline)] == ["gw1"]
    look(in_haste)
    assert sorted(f[1] for f in findings(pipeline)) == ["gw1", "gw2"]


@pytest.fixture
def moved_meter(database) -> Iterator[str]:
    """A meter that one gateway read and then another."""
    move = "update nengliu.installation set gateway = %s where meter = 'm2' and removed_at is null"
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute(move, ("gw9",))
        yield "m2"
        superuser.execute(move, ("gw1",))


def test_a_meter_of_two_gateways_holds_up_nobody_where_a_turn_has_time_for_one(
    pipeline, feed, look, moved_meter
):
    for meter, gateway in ((moved_meter, "gw1"), ("m3", "gw2")):
        send(feed, [*hours(0, 3), *shifted(hours(3, 5), 420), *hours(5, 8)], meter, gateway=gateway)
    for _ in range(3):
        look(ClockOptions(budget_s=0.0, pause=1e9))
    assert "gw2" in [f[1] for f in findings(pipeline)]


def test_one_worker_at_a_time_judges_clocks(pipeline, look):
    with pipeline.transaction():
        pipeline.execute("select pg_advisory_xact_lock(%s)", (locks.CLOCKS,))
        assert not look()
    assert look()


def test_a_worker_looks_at_clocks_and_outboxes_when_it_looks_for_silence(pipeline, feed, database):
    number(feed, "old", 1, hours(0, 0.5))
    number(feed, "new", 1, hours(0.5, 1))
    send(feed, [*hours(1, 3), *shifted(hours(3, 5), 420), *hours(5, 8)], "m1")
    assert findings_watcher(Settings(), lambda: psycopg.connect(database.worker_url))()
    told = [f[0] for f in findings(pipeline) if f[0] != "silent_meter"]
    assert told == ["gateway_replaced", "clock_offset"]


# ---------------------------------------------------------------- gateways that were replaced


@pytest.fixture
def look_at_outboxes(database) -> Iterator[Look]:
    """Looks for new outboxes with the rights of a worker."""
    with psycopg.connect(database.worker_url, autocommit=True) as connection:
        yield lambda: watch_outboxes(connection)


def number(feed: Feed, outbox: str, first: int, stamps: Sequence[int], **more) -> None:
    """Messages of one reading each."""
    for n, ts in enumerate(stamps):
        send(feed, [ts], "m1", seq=first + n, outbox=outbox, **more)


def test_a_new_outbox_in_the_place_of_an_old_one_is_a_gateway_that_was_replaced(
    pipeline, feed, look_at_outboxes
):
    number(feed, "old", 1, hours(0, 0.25))
    number(feed, "old", 9, hours(0.25, 0.5))
    number(feed, "new", 1, hours(1, 1.25))
    for _ in range(2):
        look_at_outboxes()
        assert findings(pipeline) == [("gateway_replaced", "gw1", None, pytest.approx(11 / 24), 1, "open")]
    [(detail,)] = pipeline.execute("select detail from api.finding").fetchall()
    assert (detail["outbox"], detail["old_outbox"], detail["missing"]) == ("new", "old", 2)


def test_outboxes_that_send_side_by_side_are_no_replacement_and_withdraw_it(pipeline, feed, look_at_outboxes):
    number(feed, "one", 1, hours(0, 0.25))
    number(feed, "two", 1, hours(0.25, 0.5))
    look_at_outboxes()
    assert [f[5] for f in findings(pipeline)] == ["open"]
    number(feed, "one", 7, hours(0.5, 0.75))
    look_at_outboxes()
    assert [f[5] for f in findings(pipeline)] == ["withdrawn"]


def test_the_order_of_arrival_does_not_decide_which_outbox_is_new(pipeline, feed, look_at_outboxes):
    number(feed, "new", 2, hours(1, 1.25)[1:])
    number(feed, "new", 1, hours(1, 1.25)[:1])
    number(feed, "old", 6, hours(0, 0.5)[5:])
    number(feed, "old", 1, hours(0, 0.5)[:5])
    look_at_outboxes()
    assert findings(pipeline) == [("gateway_replaced", "gw1", None, pytest.approx(11 / 24), 1, "open")]
