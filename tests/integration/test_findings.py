"""What is silent and what stays missing becomes one finding, that ends, or is withdrawn, when it should."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import psycopg
import pytest

from metering.findings import SilenceRule
from storage import silences
from storage.findings import FindingOptions, watch_findings
from storage.sequences import Gap

from .energy_support import Town, empty_database

pytestmark = pytest.mark.integration

T0 = datetime(2014, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVENT = FindingOptions(by_event=True)


@pytest.fixture
def town(database) -> Iterator[Town]:
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        made = Town(connection, database.pipeline_url, database.superuser_url)
        with made.superuser() as superuser:
            superuser.execute(
                "truncate nengliu.gateway, nengliu.outbox, nengliu.silent_step, nengliu.silence_due cascade"
            )
        yield made


def look(town: Town, now: datetime, options: FindingOptions | None = None) -> bool:
    return watch_findings(town.connection, lambda _: now, options or FindingOptions())


def meters(town: Town, names: str, gateway: str = "gw1", installed: datetime = T0, **more) -> None:
    for name in names.split():
        town.install(name, town.point(f"p-{name}", town.site("A")), installed, gateway=gateway, **more)


def hear(town: Town, gateway: str, at: datetime, state: str = "online", final: bool = False) -> None:
    town.connection.execute(
        """insert into nengliu.gateway (gateway, state, since, heard_at, event_ts, final)
           values (%(g)s, %(state)s, %(at)s, %(at)s, %(at)s, %(final)s)
           on conflict (gateway) do update set heard_at = excluded.heard_at, event_ts = excluded.event_ts,
               state = excluded.state, final = excluded.final,
               since = case when gateway.state = excluded.state then gateway.since else excluded.since end""",
        {"g": gateway, "at": at, "state": state, "final": final},
    )


def read(town: Town, meter: str, *hours: float) -> None:
    town.read(meter, [(T0 + h * HOUR, 10 + h) for h in hours])


def findings(town: Town) -> list[tuple]:
    """Kind, subject, starts and ends in hours after T0, state."""
    rows = town.rows("select kind, subject, starts, ends, state from nengliu.finding order by finding_id")
    return [(k, s, _hours(a), _hours(b), state) for k, s, a, b, state in rows]


def _hours(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - T0) / HOUR


def test_a_silent_meter_of_a_gateway_that_is_heard_is_one_finding_until_it_is_read_again(town):
    meters(town, "m1 m2")
    read(town, "m1", *range(10))
    read(town, "m2", *range(21))
    hear(town, "gw1", T0 + 20 * HOUR)
    look(town, T0 + 13 * HOUR)
    assert findings(town) == []
    for _ in range(2):
        look(town, T0 + 20 * HOUR)
        assert findings(town) == [("silent_meter", "m1", 10, None, "open")]
    [shown] = town.rows("select site_code, point_code, meter, severity, detail from api.finding")
    assert shown[:4] == ("A", "p-m1", "m1", "warning")
    assert shown[4]["last_reading"] == (T0 + 9 * HOUR).isoformat()
    read(town, "m1", 20)
    hear(town, "gw1", T0 + 21 * HOUR)
    look(town, T0 + 20.5 * HOUR)
    assert findings(town)[0][3] is None, "one reading is not yet a meter that is read again"
    read(town, "m1", 21)
    look(town, T0 + 21 * HOUR)
    assert findings(town) == [("silent_meter", "m1", 10, 20, "open")]


def test_a_silence_that_late_readings_fill_is_withdrawn_and_in_part_becomes_what_is_left(town):
    meters(town, "m1 m2 m3")
    for m in ("m1", "m2", "m3"):
        read(town, m, *range(10))
    hear(town, "gw1", T0 + 30 * HOUR)
    look(town, T0 + 30 * HOUR)
    assert [f[1:4] for f in findings(town)] == [("m1", 10, None), ("m2", 10, None), ("m3", 10, None)]
    read(town, "m1", *range(10, 31))
    read(town, "m2", *range(10, 15), *range(25, 31))
    read(town, "m3", 29, 30)
    look(town, T0 + 30 * HOUR)
    assert [f[1:] for f in findings(town)] == [
        ("m1", 10, 30, "withdrawn"),
        ("m2", 15, 25, "open"),
        ("m3", 10, 29, "open"),
    ]
    read(town, "m3", *range(10, 29))
    look(town, T0 + 31 * HOUR)
    assert findings(town)[2][4] == "withdrawn", "what is filled after the silence was over"


def test_a_meter_that_is_read_just_too_seldom_has_one_finding(town):
    meters(town, "m1 other")
    read(town, "other", *range(60))
    for n in range(10):
        read(town, "m1", 4.5 * n)
        for minutes in range(0, 270, 25):
            now = T0 + 4.5 * n * HOUR + timedelta(minutes=minutes)
            hear(town, "gw1", now)
            look(town, now)
    hear(town, "gw1", T0 + 45 * HOUR)
    look(town, T0 + 45 * HOUR)
    assert findings(town) == [("silent_meter", "m1", 1, None, "open")]


def test_a_silent_gateway_is_one_finding_and_its_meters_none(town):
    meters(town, "m1 m2 m3 m4")
    meters(town, "n1", gateway="gw2")
    for m in ("m1", "m2", "m3", "m4"):
        read(town, m, *range(10))
    read(town, "n1", *range(41))
    hear(town, "gw1", T0 + 9 * HOUR)
    for hour in range(9, 30):
        hear(town, "gw2", T0 + hour * HOUR)
        look(town, T0 + hour * HOUR)
    assert findings(town) == [("silent_gateway", "gw1", 9, None, "open")]
    [(detail,)] = town.rows("select detail from api.finding")
    assert (detail["meters"], detail["first_meters"]) == (4, ["m1", "m2", "m3", "m4"])
    hear(town, "gw1", T0 + 30 * HOUR)
    hear(town, "gw2", T0 + 30 * HOUR)
    read(town, "m1", 29, 30)
    look(town, T0 + 30 * HOUR)
    assert findings(town) == [("silent_gateway", "gw1", 9, 29, "open")], "its meters are given their time"
    for m in ("m1", "m2", "m3"):
        read(town, m, *range(31, 36))
    hear(town, "gw1", T0 + 35 * HOUR)
    hear(town, "gw2", T0 + 35 * HOUR)
    look(town, T0 + 35 * HOUR)
    assert findings(town)[1:] == [("silent_meter", "m4", 10, None, "open")]


def test_a_gateway_that_is_online_and_sends_nothing_is_silent_and_one_that_took_its_leave_is_not(town):
    meters(town, "m1", gateway="gw1")
    meters(town, "n1", gateway="gw2")
    meters(town, "o1", gateway="gw3")
    meters(town, "p1", gateway="never")
    for g in ("gw1", "gw2", "gw3"):
        hear(town, g, T0 + HOUR)
    hear(town, "gw2", T0 + 2 * HOUR, state="offline", final=True)
    for hour in range(2, 9):
        hear(town, "gw3", T0 + hour * HOUR)
        read(town, "o1", hour)
        look(town, T0 + hour * HOUR)
    assert findings(town) == [
        ("silent_gateway", "never", 0, None, "open"),
        ("silent_gateway", "gw1", 1, None, "open"),
    ]


def test_where_nothing_at_all_is_received_no_gateway_and_no_meter_is_blamed(town):
    for n in range(5):
        meters(town, f"m{n}", gateway=f"gw{n}")
        read(town, f"m{n}", *range(10))
        hear(town, f"gw{n}", T0 + 9 * HOUR + n * timedelta(minutes=1))
    for hour in range(9, 20):
        look(town, T0 + hour * HOUR)
    assert [f[:2] + f[3:] for f in findings(town)] == [("nothing_received", "platform", None, "open")]
    for n in range(5):
        hear(town, f"gw{n}", T0 + 20 * HOUR)
        read(town, f"m{n}", 20, 19.5)
    look(town, T0 + 20 * HOUR)
    assert [f[:2] + f[3:] for f in findings(town)] == [("nothing_received", "platform", 20, "open")]


def test_a_meter_that_is_removed_ends_its_silence_and_a_void_installation_has_none(town):
    meters(town, "m1 m2 m3")
    town.install("void", town.point("p-void", town.site("A")), T0, removed_at=T0)
    read(town, "m3", *range(41))
    read(town, "m1", *range(5))
    read(town, "m2", *range(5))
    hear(town, "gw1", T0 + 20 * HOUR)
    look(town, T0 + 20 * HOUR)
    assert [f[1:4] for f in findings(town)] == [("m1", 5, None), ("m2", 5, None)]
    end = "update nengliu.installation set removed_at = %s where meter = %s"
    town.connection.execute(end, (T0 + 10 * HOUR, "m1"))
    town.connection.execute(end, (T0 + 4 * HOUR, "m2"))
    meters(town, "new", installed=T0 + 10 * HOUR)
    read(town, "new", *range(10, 41))
    hear(town, "gw1", T0 + 40 * HOUR)
    look(town, T0 + 40 * HOUR)
    assert findings(town) == [
        ("silent_meter", "m1", 5, 10, "open"),
        ("silent_meter", "m2", 5, 4, "withdrawn"),
    ]


def test_workers_at_once_and_one_after_the_other_find_everything_once(town):
    meters(town, " ".join(f"m{n}" for n in range(20)) + " heard")
    read(town, "heard", *range(20))
    hear(town, "gw1", T0 + 20 * HOUR)

    def turn(_: int) -> bool:
        with psycopg.connect(town.url, autocommit=True) as connection:
            return watch_findings(connection, lambda _: T0 + 20 * HOUR, FindingOptions())

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(turn, range(12)))
    assert any(done)
    found = findings(town)
    assert sorted(f[1] for f in found) == sorted(f"m{n}" for n in range(20))
    assert {f[2:4] for f in found} == {(0, None)}


def test_event_time_calls_nobody_silent_whom_it_has_not_passed(town):
    meters(town, "m1", gateway="gw1")
    meters(town, "n1 n2", gateway="gw2")
    read(town, "m1", *range(30))
    read(town, "n1", *range(30))
    read(town, "n2", *range(10))
    hear(town, "gw1", T0 + 29 * HOUR)
    hear(town, "gw2", T0 + 29 * HOUR)
    assert watch_findings(town.connection, lambda _: None, EVENT), "event time has not begun"
    look(town, T0 + 12 * HOUR, EVENT)
    assert findings(town) == []
    look(town, T0 + 29 * HOUR, EVENT)
    assert findings(town) == [("silent_meter", "n2", 10, None, "open")]


def lived_readings() -> dict[str, list[int]]:
    """Hours of readings: gw1 is off from 30 to 45; m1 is off, m2 is read too seldom for a time, m3 is removed at 90."""
    all_hours = [h for h in range(120) if not 30 < h < 45]
    return {
        "m1": [h for h in all_hours if not 60 < h < 72],
        "m2": [h for h in all_hours if not 20 <= h < 60 or h % 5 == 0],
        "m3": [h for h in all_hours if h < 80],
        "m4": all_hours,
        "n1": list(range(120)),
    }


def standing(town: Town) -> list[tuple]:
    found = [f for f in findings(town) if f[4] != "withdrawn"]
    return sorted((f[1], f[0], f[2], f[3]) for f in found)


LIVED = [
    ("gw1", "silent_gateway", 30, 45),
    ("m1", "silent_meter", 61, 72),
    ("m2", "silent_meter", 21, 30),
    ("m2", "silent_meter", 46, 60),
    ("m3", "silent_meter", 80, 90),
]


def town_that_lived(town: Town) -> None:
    meters(town, "m1 m2 m4")
    meters(town, "m3", removed_at=T0 + 90 * HOUR)
    meters(town, "n1", gateway="gw2")


def arrive(town: Town, rows: list[tuple[str, int]]) -> None:
    """Readings come in, some a batch, as the writer would store and book them."""
    by_meter: dict[str, list[int]] = {}
    for meter, hour in rows:
        by_meter.setdefault(meter, []).append(hour)
    for meter, hours in by_meter.items():
        read(town, meter, *hours)
        gateway = "gw2" if meter == "n1" else "gw1"
        newest = town.rows("select event_ts from nengliu.gateway where gateway = %s", gateway)
        hear(town, gateway, max([T0 + max(hours) * HOUR, *(n for (n,) in newest)]))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("by_event", [False, True])
def test_silences_are_the_same_at_any_speed_in_any_order_and_in_any_batches(town, seed, by_event):
    town_that_lived(town)
    random = Random(seed)
    rows = sorted(((m, h) for m, hours in lived_readings().items() for h in hours), key=lambda r: r[1])
    if seed % 3 == 0:  # as it was lived, or two years of it in a moment
        size = 1 if seed else len(rows)
    else:
        random.shuffle(rows)
        size = random.randint(40, 200)
    options = FindingOptions(by_event=by_event)
    every = max(1, len(rows) // 30) if size == 1 else 1
    batches = [rows[n : n + size] for n in range(0, len(rows), size)]
    for n, batch in enumerate(batches):
        arrive(town, batch)
        if n % every == 0:
            [(mark,)] = town.rows("select min(event_ts) from nengliu.gateway")
            look(town, mark, options)
    look(town, T0 + 119 * HOUR, options)
    assert standing(town) == LIVED


def test_late_readings_shorten_and_withdraw_a_silence_of_the_past(town):
    town_that_lived(town)
    arrive(town, [(m, h) for m, hours in lived_readings().items() for h in hours])
    look(town, T0 + 119 * HOUR, EVENT)
    assert standing(town) == LIVED
    read(town, "m1", *range(61, 66))
    read(town, "m4", *range(31, 45))
    look(town, T0 + 119 * HOUR, EVENT)
    assert ("m1", "silent_meter", 66, 72) in standing(town)
    assert [f[:2] for f in standing(town) if f[1] == "silent_gateway"] == [], "m4 was read all the time"
    assert ("m1", "silent_meter", 31, 45) in standing(town), "and so the others have silences of their own"
    read(town, "m1", *range(66, 72), *range(31, 45))
    look(town, T0 + 119 * HOUR, EVENT)
    assert "m1" not in {f[0] for f in standing(town)}


def test_a_silence_of_the_past_is_held_against_the_intervals_of_that_time(town):
    """What was read once an hour, or once a day, was not silent because it is read every quarter of an hour by now; nor
    was a gateway whose hourly meter went on, when one that is read every quarter of an hour fell silent.
    """
    meters(town, "m1")
    meters(town, "m2", installed=T0 + 100 * HOUR, interval_s=900)
    meters(town, "d1", gateway="gw2", removed_at=T0 + 100 * HOUR, interval_s=86_400)
    point = town.rows("select point_id from nengliu.point where point_code = 'p-d1'")[0][0]
    town.install("d1", point, T0 + 100 * HOUR, gateway="gw2", interval_s=900)
    read(town, "m1", *range(111))
    read(town, "m2", *(100 + n / 4 for n in range(40) if not 8 < n < 16))
    read(town, "d1", 0, 24, 48, 72, 96, *(100 + n / 4 for n in range(40) if not 8 < n < 16))
    for gateway in ("gw1", "gw2"):
        hear(town, gateway, T0 + 110 * HOUR)
    look(town, T0 + 110 * HOUR, EVENT)
    assert standing(town) == [
        ("gw2", "silent_gateway", 102, 104),
        ("m2", "silent_meter", 102.25, 104),
    ]


def test_what_was_too_long_for_a_meter_of_that_time_is_a_silence_still_when_it_is_read_less_often_by_now(
    town,
):
    meters(town, "m1", removed_at=T0 + 100 * HOUR, interval_s=900)
    [(point,)] = town.rows("select point_id from nengliu.point where point_code = 'p-m1'")
    town.install("m1", point, T0 + 100 * HOUR, interval_s=21_600)
    meters(town, "other", interval_s=900)
    read(town, "m1", *(n / 4 for n in range(400) if not 80 < n < 90), *range(100, 130, 6))
    read(town, "other", *(n / 4 for n in range(520)))
    hear(town, "gw1", T0 + 129 * HOUR)
    look(town, T0 + 129 * HOUR, EVENT)
    assert standing(town) == [("m1", "silent_meter", 20.25, 22.5)]


def test_a_look_reads_what_changed_and_leaves_the_rest(town):
    town_that_lived(town)
    arrive(town, [(m, h) for m, hours in lived_readings().items() for h in hours])
    look(town, T0 + 119 * HOUR, EVENT)
    before = town.rows("select xmin::text, finding_id from nengliu.finding order by 2")
    assert town.rows("select * from nengliu.silence_due") == []
    read(town, "m4", 119.5)
    look(town, T0 + 119.5 * HOUR, EVENT)
    assert town.rows("select xmin::text, finding_id from nengliu.finding order by 2") == before


def test_a_dead_meter_of_a_short_interval_does_not_call_its_gateway_silent(town):
    meters(town, "quick", interval_s=60)
    meters(town, "m1 m2")
    meters(town, "n1", gateway="gw2")
    read(town, "quick", *(n / 60 for n in range(120)))
    for m in ("m1", "m2", "n1"):
        read(town, m, 0, 1, 2)
    for twenty in range(9, 40):
        hour = twenty // 3
        if twenty % 3 == 0:
            for m in ("m1", "m2", "n1"):
                read(town, m, hour)
        for gateway in ("gw1", "gw2"):
            hear(town, gateway, T0 + hour * HOUR)
        look(town, T0 + twenty * HOUR / 3)
    assert findings(town) == [
        ("silent_gateway", "gw1", 2, 3, "withdrawn"),  # nobody could know yet whether it was the meter
        ("silent_meter", "quick", 2, None, "open"),
    ]
    read(town, "n1", 14, 15)
    for now, silent in ((14.9, []), (15.1, [("silent_gateway", "gw1", 13, None)])):
        hear(town, "gw2", T0 + now * HOUR)
        look(town, T0 + now * HOUR)
        assert [f[:4] for f in findings(town)[2:]] == silent, now


def test_a_gateway_whose_meter_of_a_short_interval_is_heard_is_found_by_that_and_by_no_dead_one(town):
    """Two short intervals, one of them dead: what is heard counts, and a gateway that comes back was silent."""
    meters(town, "dead", interval_s=60)
    meters(town, "quick", interval_s=1200)
    meters(town, "m1")
    read(town, "dead", 0)
    read(town, "quick", *(n / 3 for n in range(31)))
    read(town, "m1", *range(11))
    hear(town, "gw1", T0 + 10 * HOUR)
    look(town, T0 + 10.6 * HOUR, EVENT)
    assert [f for f in findings(town) if f[0] == "silent_gateway"] == []
    look(town, T0 + 10.7 * HOUR, EVENT)
    assert [f[:4] for f in findings(town) if f[0] == "silent_gateway"] == [
        ("silent_gateway", "gw1", 10, None)
    ]
    read(town, "quick", *(n / 3 for n in range(36, 60)))
    read(town, "m1", *range(12, 20))
    hear(town, "gw1", T0 + 19 * HOUR)
    look(town, T0 + 19 * HOUR, EVENT)
    assert [f for f in standing(town) if f[0] == "gw1"] == [("gw1", "silent_gateway", 10, 12)]


def test_a_platform_of_hourly_meters_receives_something_whatever_short_interval_is_dead(town):
    meters(town, "dead", gateway="gw0", interval_s=60)
    meters(town, "quick", gateway="gw1", interval_s=60)
    meters(town, "m1", gateway="gw1")
    meters(town, "n1", gateway="gw2")
    read(town, "dead", 0)
    read(town, "quick", 0)
    read(town, "m1", 0, 1, 2)
    hear(town, "gw0", T0)
    for twenty in range(9, 30):
        hour = twenty // 3
        for m, gateway in (("m1", "gw1"), ("n1", "gw2")):
            read(town, m, hour)
            hear(town, gateway, T0 + hour * HOUR)
        look(town, T0 + twenty * HOUR / 3)
    assert [f[:2] for f in findings(town) if f[0] != "silent_meter"] == [("silent_gateway", "gw0")]
    look(town, T0 + 11.1 * HOUR)
    assert [f[:4] for f in findings(town)][-1] == ("nothing_received", "platform", 9, None)


BEHIND_GW2 = ("lone", "second")


def mixed_readings(random: Random) -> dict[str, list[float]]:
    """Minutes of readings over three days of `mixed_town`: each meter by its own clock, now and then silent, as are the
    gateways; "dead" falls silent after some hours.
    """

    def times(interval: int, end: int, away: list[tuple[int, int]]) -> list[float]:
        own = [(s, s + random.choice((20, 80, 400))) for s in random.sample(range(4320), 4)]
        moments = (n * interval + random.randrange(60) / 60 for n in range(end // interval))
        return [m for m in moments if not any(a < m < b for a, b in away + own)]

    off = [
        [(s, s + random.choice((18, 45, 130, 700))) for s in random.sample(range(4320), 4)] for _ in range(2)
    ]
    return {
        "dead": times(1, random.randrange(100, 900), off[0]),
        "quick": times(5, 4320, off[0]),
        "quarter": times(15, 4320, off[0]),
        "hour": times(60, 4320, off[0]),
        "changed": times(60, 4320, off[0]),
        "lone": times(15, 4320, off[1]),
        "second": times(60, 4320, off[1]),
    }


def mixed_town(town: Town) -> None:
    """gw1 of five intervals, one of which changes; gw2 serves two sites."""
    for name, interval_s in (("dead", 60), ("quick", 300), ("quarter", 900), ("hour", 3600)):
        meters(town, name, interval_s=interval_s)
    meters(town, "changed", removed_at=T0 + 40 * HOUR)
    [(point,)] = town.rows("select point_id from nengliu.point where point_code = 'p-changed'")
    town.install("changed", point, T0 + 40 * HOUR, interval_s=1200)
    meters(town, "lone", gateway="gw2", interval_s=900, removed_at=T0 + 60 * HOUR)
    town.install("second", town.point("p-second", town.site("B")), T0, gateway="gw2")


EVERYTHING = "select site_id, '-infinity'::timestamptz, 'infinity'::timestamptz from nengliu.site"


def steps(town: Town) -> list[tuple]:
    return town.rows(
        "select gateway, meter, from_ts, to_ts, initial from nengliu.silent_step order by 1, 2, 3"
    )


def past(found: list[tuple]) -> list[tuple]:
    """Without meters that are silent still: while their gateway is silent, too, the watch opens none."""
    return [f for f in found if f[1] == "silent_gateway" or f[3] is not None]


def near_gaps(rows: list[tuple[str, float]], random: Random) -> list[tuple[str, float]]:
    """Readings behind gw1 that lie around a few of its silences, in any order: what they say of these, one tells."""
    times = sorted(minute for meter, minute in rows if meter not in BEHIND_GW2)
    gaps = [(a, b) for a, b in pairwise(times) if 15 < b - a < 240]
    some = random.sample(gaps, min(len(gaps), 4))
    near = [
        (meter, minute)
        for meter, minute in rows
        if meter not in BEHIND_GW2 and any(a - 17 < minute <= a or b <= minute < b + 17 for a, b in some)
    ]
    return random.sample(near, min(len(near), 50))


def arrive_mixed(town: Town, rows: list[tuple[str, float]], newest: dict[str, float]) -> datetime:
    """Readings come in, the newest of each gateway is noted, and silences are looked for; up to when."""
    by_meter: dict[str, list[float]] = {}
    for meter, minute in rows:
        by_meter.setdefault(meter, []).append(minute)
    for meter, minutes in by_meter.items():
        town.read(meter, [(T0 + timedelta(minutes=m), 1 + m) for m in minutes])
        gateway = "gw2" if meter in BEHIND_GW2 else "gw1"
        newest[gateway] = max(newest.get(gateway, 0), *minutes)
    for gateway, minute in newest.items():
        hear(town, gateway, T0 + timedelta(minutes=minute))
    end = T0 + timedelta(minutes=min(newest.values()))
    look(town, end, EVENT)
    while town.rows("select 1 from nengliu.silence_due limit 1"):
        look(town, end, EVENT)
    return end


@pytest.mark.parametrize("seed", range(5))
def test_looks_at_what_changed_find_what_a_look_from_scratch_finds(town, seed, monkeypatch):
    """In order, in blocks out of order, and at last, one by one, readings on which it depends who was silent."""
    if seed % 4 == 3:  # in pieces, and with meters that are read far more often than the registry says
        monkeypatch.setattr(silences, "_READINGS", 300)
        monkeypatch.setattr(silences, "_MOST", 200)
    random = Random(seed)
    mixed_town(town)
    rows = sorted(((m, t) for m, times in mixed_readings(random).items() for t in times), key=lambda r: r[1])
    late = near_gaps(rows, random)
    held = set(late)
    rows = [r for r in rows if r not in held]
    if seed % 2:
        blocks = [rows[n : n + 700] for n in range(0, len(rows), 700)]
        random.shuffle(blocks)
        rows = [r for b in blocks for r in random.sample(b, len(b))]
    size = random.randrange(100, 500)
    newest: dict[str, float] = {}
    for n in range(0, len(rows), size):
        arrive_mixed(town, rows[n : n + size], newest)
    for reading in late:
        end = arrive_mixed(town, [reading], newest)
    kept, found = steps(town), standing(town)
    assert any(kind == "silent_gateway" for _, kind, _, _ in found)
    with town.superuser() as superuser:
        superuser.execute("truncate nengliu.silent_step; delete from nengliu.finding")
        superuser.execute("insert into nengliu.silence_due (site_id, from_ts, to_ts) " + EVERYTHING)
    monkeypatch.undo()
    look(town, end, EVENT)
    assert steps(town) == kept
    assert past(standing(town)) == past(found)


def test_what_is_too_much_for_one_look_is_looked_through_in_the_next(town, monkeypatch):
    monkeypatch.setattr(silences, "_READINGS", 30)
    town_that_lived(town)
    arrive(town, [(m, h) for m, hours in lived_readings().items() for h in hours])
    with town.connection.transaction():
        assert silences.find_silences(town.connection, SilenceRule(), None, initial=True)
    assert town.rows("select * from nengliu.silence_due") != []
    look(town, T0 + 119 * HOUR, EVENT)
    assert town.rows("select * from nengliu.silence_due") == []
    assert standing(town) == LIVED


def test_a_silence_that_a_person_judged_is_not_found_again(town):
    town_that_lived(town)
    arrive(town, [(m, h) for m, hours in lived_readings().items() for h in hours])
    look(town, T0 + 119 * HOUR, EVENT)
    town.connection.execute("update nengliu.finding set state = 'accepted' where subject = 'm1'")
    read(town, "m1", 65)
    look(town, T0 + 119 * HOUR, EVENT)
    assert [f for f in findings(town) if f[1] == "m1"] == [("silent_meter", "m1", 61, 72, "accepted")]


def test_a_registry_edit_that_ends_an_installation_years_back_moves_its_silence(town):
    town_that_lived(town)
    arrive(town, [(m, h) for m, hours in lived_readings().items() for h in hours])
    look(town, T0 + 119 * HOUR, EVENT)
    with town.superuser() as superuser:
        superuser.execute(
            "update nengliu.installation set removed_at = %s where meter = 'm3'", (T0 + 82 * HOUR,)
        )
        superuser.execute(
            """insert into nengliu.change (site_id, point_id, from_ts, to_ts)
               select site_id, point_id, %s, %s from nengliu.point where point_code = 'p-m3'""",
            (T0 + 82 * HOUR, T0 + 90 * HOUR),
        )
    look(town, T0 + 119 * HOUR, EVENT)
    assert "m3" not in {f[0] for f in standing(town)}


def test_a_meter_that_comes_to_a_site_that_is_read_is_expected_at_once_and_a_site_of_old_is_not(town):
    meters(town, "m1")
    meters(town, "new", installed=T0 + 20 * HOUR)
    town.install("old", town.point("p-old", town.site("B")), T0, gateway="gw2")
    arrive(town, [("m1", h) for h in range(60)] + [("new", h) for h in range(40, 60)])
    town.read("old", [(T0 + h * HOUR, 10 + h) for h in range(50, 60)])
    hear(town, "gw2", T0 + 59 * HOUR)
    look(town, T0 + 59 * HOUR)
    assert standing(town) == [("new", "silent_meter", 20, 40)]


def gap(town: Town, low: int, high: int, age_s: float) -> None:
    noticed = Gap(low, high, T0.date())
    town.connection.execute(
        """with o as (insert into nengliu.outbox (gateway, outbox, low, high) values ('gw1', 'o', 1, 100)
                      on conflict (gateway, outbox) do update set high = 100 returning outbox_id)
           insert into nengliu.outbox_gap (outbox_id, low, high, noticed_on, since)
           select outbox_id, %s, %s, %s, now() - %s * interval '1 s' from o""",
        (noticed.low, noticed.high, noticed.noticed_on, age_s),
    )


def test_a_gap_that_stays_is_one_finding_an_outbox_and_withdrawn_when_it_fills(town):
    gap(town, 5, 6, 60)
    look(town, T0)
    assert findings(town) == []
    gap(town, 10, 10, 7200)
    gap(town, 20, 29, 7200)
    for _ in range(2):
        look(town, T0)
        [(kind, subject, _, ends, state)] = findings(town)
        assert (kind, subject, ends, state) == ("sequence_gap", "gw1/o", None, "open")
    [(detail,)] = town.rows("select detail from api.finding")
    assert (detail["missing"], detail["gaps"], detail["first_gaps"]) == (13, 3, [[5, 6], [10, 10], [20, 29]])
    town.connection.execute("delete from nengliu.outbox_gap")
    look(town, T0)
    [(_, _, _, ends, state)] = findings(town)
    assert ends is not None
    assert state == "withdrawn"
