"""The event clock: how far it goes, who holds it back, who is left out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.event_clock import GatewayProgress, last_assessable, low_water_mark

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2012, 1, 1, tzinfo=ZONE)


def gateway(name, event_ts, final=False, silent_s=0.0):
    return GatewayProgress(name, event_ts, final, NOW - timedelta(seconds=silent_s))


def mark(*gateways, newest=MIDNIGHT, since=None):
    return low_water_mark(gateways, newest, NOW, 600.0, since)


def test_the_slowest_gateway_sets_the_mark():
    early = MIDNIGHT - timedelta(days=3)
    assert mark(gateway("a", MIDNIGHT), gateway("b", early)).at == early


def test_a_gateway_that_never_sent_holds_the_mark_until_patience_ends():
    assert mark(gateway("a", MIDNIGHT), gateway("b", None)).at is None
    assert mark(gateway("a", MIDNIGHT), gateway("b", None)).waiting_for == ("b",)
    late = mark(gateway("a", MIDNIGHT), gateway("b", None, silent_s=601))
    assert (late.at, late.left_out) == (MIDNIGHT, ("b",))


def test_silence_from_before_anybody_listened_is_not_held_against_a_gateway():
    long_ago = gateway("a", MIDNIGHT, silent_s=86_400)
    assert mark(long_ago, since=NOW - timedelta(seconds=10)).left_out == ()
    assert mark(long_ago).left_out == ("a",)


def test_final_gateways_do_not_hold_the_mark_and_all_final_means_the_newest():
    early = MIDNIGHT - timedelta(days=3)
    assert mark(gateway("a", MIDNIGHT), gateway("b", early, final=True)).at == MIDNIGHT
    done = mark(gateway("a", MIDNIGHT, final=True), gateway("b", early, final=True))
    assert (done.at, done.all_final) == (MIDNIGHT, True)


def test_a_reading_at_the_end_of_the_day_closes_it_only_when_nobody_else_can_send_one():
    assert not mark(gateway("a", MIDNIGHT)).passed(MIDNIGHT)
    assert mark(gateway("a", MIDNIGHT + timedelta(seconds=1))).passed(MIDNIGHT)
    assert mark(gateway("a", MIDNIGHT, final=True)).passed(MIDNIGHT)


def test_nothing_is_assessable_without_gateways():
    assert mark().at is None


def test_days_up_to_the_mark_are_assessable_unless_readings_wait_to_be_derived():
    passed = mark(gateway("a", MIDNIGHT + timedelta(hours=1)))
    day = date(2011, 12, 20)
    assert last_assessable(passed, None, day, date(2012, 3, 1), ZONE) == date(2011, 12, 31)
    assert last_assessable(passed, None, day, date(2011, 12, 25), ZONE) == date(2011, 12, 25)
    pending = datetime(2011, 12, 25, tzinfo=ZONE)
    assert last_assessable(passed, pending, day, date(2012, 3, 1), ZONE) == date(2011, 12, 23)
    assert last_assessable(mark(), None, day, date(2012, 3, 1), ZONE) is None
