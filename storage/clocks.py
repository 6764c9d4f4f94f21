"""Find clocks that are wrong, of gateways and of meters, as findings.

The writer notes where readings leave the quarter hour, or come with another value; only their gateways are looked at,
so that a fleet whose clocks are right costs nothing. One transaction at a time does it, whichever worker.
See docs/decisions/clocks.md.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from metering.clocks import ClockFault, ClockRule, Rhythm, Stamps, judge_clocks, keeps_rhythm, rhythm_of
from metering.instants import from_us
from metering.records import Ints
from metering.spans import Span, union
from storage import locks
from storage.copying import decode
from storage.finding_rows import Row, finding_row, keep_derived, withdraw_derived
from storage.slices import bound
from storage.sql import query

#: The name of this rule in nengliu.finding.
RULE = "clocks"

Connection = psycopg.Connection[Any]

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ClockOptions:
    """rule: what is a fault. window_days: so long before and after stamps beside the grid a gateway's readings are
    judged; far_days: so far is looked for the place of readings that were stamped elsewhere. kept: so long stamps are
    looked at again when their gateway is heard; pause: each time after so much more of their age. around: readings
    before and after stamps that show whether they are beside anything. most, budget_s: stretches, and about how many
    seconds, a turn; what is left waits for the next.
    """

    rule: ClockRule = field(default_factory=ClockRule)
    window_days: int = 45
    far_days: int = 420
    kept: timedelta = timedelta(days=45)
    pause: float = 1.05
    around: int = 100
    most: int = 10_000
    budget_s: float = 5.0


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Stamps of a series beside the grid, or (twice) with other values, first and last; see clock_due.sql."""

    stamp_id: int
    series_id: int
    gateways: list[str]
    interval_s: int
    from_us: int
    to_us: int
    twice: bool
    new: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class _Meter:
    """A meter of a gateway; see clock_meters.sql."""

    meter: str
    series_id: int
    interval_s: int
    point_id: int
    site_id: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class _Known:
    """A finding of the rule; see clock_findings.sql."""

    finding_id: int
    kind: str
    subject: str
    rule_key: str
    state: str
    starts_us: int
    ends_us: int
    stamped_from_us: int
    stamped_to_us: int

    def is_of(self, fault: ClockFault) -> bool:
        """Whether a fault is what it found, perhaps known better by now."""
        same = (self.kind, self.subject) == (fault.kind, fault.meter or fault.gateway)
        return (
            same
            and self.stamped_from_us <= fault.stamped_to_us
            and fault.stamped_from_us <= self.stamped_to_us
        )

    def is_within(self, judged: Sequence[Span]) -> bool:
        """Whether all of it lies in what was judged."""
        begin = _is_within(self.stamped_from_us, self.starts_us, judged)
        return begin and _is_within(self.stamped_to_us, self.ends_us, judged)


def watch_clocks(connection: Connection, options: ClockOptions | None = None) -> bool:
    """Judge the clocks of gateways whose readings are stamped beside the grid, in one transaction; False where another
    one is at it.
    """
    options = options or ClockOptions()
    with connection.transaction():
        row = connection.execute("select pg_try_advisory_xact_lock(%s)", (locks.CLOCKS,)).fetchone()
        if row is None or not row[0]:
            return False
        looked = connection.execute("select clock_timestamp()").fetchone()
        due = _due(connection, options)
        idle = _idle(connection, [s for s in due if s.new], options)
        judged = _judge_all(connection, [s for s in due if s.stamp_id not in idle], options)
        _done(
            connection, [s for s in due if s.stamp_id in idle or judged.issuperset(s.gateways)], idle, looked
        )
    return True


def _judge_all(connection: Connection, stretches: Sequence[_Stretch], options: ClockOptions) -> set[str]:
    """Judge the gateways of stretches, those that wait longest first, until the time is up; which were judged: all of
    some stretch at least, else its gateways would be the first to be judged, and not all of them, for ever.
    """
    by_gateway: dict[str, list[_Stretch]] = defaultdict(list)
    for stretch in stretches:
        for gateway in stretch.gateways:
            by_gateway[gateway].append(stretch)
    until, judged = time.monotonic() + options.budget_s, set[str]()
    for gateway, own in by_gateway.items():
        _judge(connection, gateway, own, options)
        judged.add(gateway)
        if time.monotonic() > until and any(judged.issuperset(s.gateways) for s in own):
            break
    return judged


def _due(connection: Connection, options: ClockOptions) -> list[_Stretch]:
    asked = {"kept": options.kept, "pause": options.pause, "most": options.most}
    return [_Stretch(*row) for row in connection.execute(query("clock_due"), asked).fetchall()]


def _done(connection: Connection, due: Sequence[_Stretch], idle: set[int], looked: Any) -> None:
    gone = [s.stamp_id for s in due if s.expired or s.stamp_id in idle]
    kept = [s.stamp_id for s in due if not s.expired and s.stamp_id not in idle]
    connection.execute("delete from nengliu.stamp_doubt where stamp_id = any (%s)", (gone,))
    connection.execute(
        "update nengliu.stamp_doubt set looked_at = %s where stamp_id = any (%s)", (looked[0], kept)
    )


# ---------------------------------------------------------------- whose stamps are always there


def _idle(connection: Connection, new: Sequence[_Stretch], options: ClockOptions) -> set[int]:
    """Those of new stretches at whose meters nothing moved: they and what is around them lie on one grid of their own,
    or on none, and come twice only where all does.
    """
    spans = _spans(new, options)
    if not spans:
        return set()
    asked = {
        "series": [series for series, _, _ in spans],
        "from": [bound(begin) for _, begin, _ in spans],
        "to": [bound(end) for _, _, end in spans],
        "most": options.around,
    }
    number, ts_us, twice = _copied(connection, "clock_around", asked, ("int8", "timestamptz", "bool"))
    order = np.argsort(number, kind="stable")
    ends = np.searchsorted(number[order], np.arange(1, len(spans)), side="right")
    interval_of = {s.series_id: s.interval_s for s in new}
    steady: dict[int, list[Span]] = defaultdict(list)
    for (series, begin, end), mine in zip(spans, np.split(order, ends), strict=True):
        if _is_steady(ts_us[mine], twice[mine], (begin, end), interval_of[series], options.rule):
            steady[series].append((begin, end))
    return {s.stamp_id for s in new if any(a <= s.from_us and s.to_us <= b for a, b in steady[s.series_id])}


def _is_steady(ts_us: Ints, twice: Ints, span: Span, interval_s: int, rule: ClockRule) -> bool:
    """Whether readings in and around a span are as they always are; twice: those that came with another value, too."""
    before = twice[ts_us < span[0]]
    as_ever = len(before) >= rule.many_stamps and before.all()
    came_twice = twice[(ts_us >= span[0]) & (ts_us <= span[1])].any()
    return bool(as_ever or not came_twice) and keeps_rhythm(ts_us, interval_s, rule)


def _spans(stretches: Iterable[_Stretch], options: ClockOptions) -> list[tuple[int, int, int]]:
    """Series, first and last stamp of stretches, those joined between which little lies."""
    join_us = int(options.rule.join_s * 1e6)
    by_series: dict[int, list[Span]] = defaultdict(list)
    for s in stretches:
        by_series[s.series_id].append((s.from_us, s.to_us + join_us))
    return [(series, a, b - join_us) for series, spans in by_series.items() for a, b in union(spans)]


# ---------------------------------------------------------------- a gateway


def _judge(
    connection: Connection, gateway: str, stretches: Sequence[_Stretch], options: ClockOptions
) -> None:
    """Judge the meters of a gateway around stretches, further where readings are that belong elsewhere."""
    rows = connection.execute(query("clock_meters"), {"gateway": gateway}).fetchall()
    meters = {row[0]: _Meter(*row) for row in rows}
    spans = _spans(stretches, options)
    windows = _windows(spans, options.window_days)
    stamps = _stamps(connection, gateway, meters, windows)
    faults = judge_clocks(stamps, options.rule)
    beside = _spans((s for s in stretches if not s.twice), options)
    astray = _astray(beside, faults, meters, stamps, options)
    if astray:
        windows = union([*windows, *_windows(astray, options.far_days)])
        faults = judge_clocks(_stamps(connection, gateway, meters, windows), options.rule)
    own = [f for f in faults if any(meters[m].from_us <= f.starts_us < meters[m].to_us for m in f.meters)]
    _keep(connection, gateway, own, meters, [(a + _DAY_US, b - _DAY_US) for a, b in windows])


def _windows(spans: Iterable[tuple[int, int, int]], days: int) -> list[Span]:
    return union((a - days * _DAY_US, b + days * _DAY_US) for _, a, b in spans)


def _astray(
    spans: Sequence[tuple[int, int, int]],
    faults: Sequence[ClockFault],
    meters: Mapping[str, _Meter],
    stamps: Mapping[str, Stamps],
    options: ClockOptions,
) -> list[tuple[int, int, int]]:
    """Spans of readings that no fault explains and that have no place here, but for those that go on where the meter
    was read just now.
    """
    meter_of = {m.series_id: m for m in meters.values()}
    found = []
    for series, begin, end in spans:
        meter = meter_of.get(series)
        if meter is None or any(
            meter.meter in f.meters and f.stamped_from_us <= end and begin <= f.stamped_to_us for f in faults
        ):
            continue
        if _is_astray(np.unique(stamps[meter.meter].ts_us), begin, end, meter.interval_s, options.rule):
            found.append((series, begin, end))
    return found


def _is_astray(ts_us: Ints, begin: int, end: int, interval_s: int, rule: ClockRule) -> bool:
    """Whether several readings like the one at `begin` are alone, or beside the grid of all others that are near."""
    join_us = int(rule.join_s * 1e6)
    alike = Rhythm(interval_s * 1_000_000, begin % (interval_s * 1_000_000), int(rule.least_s * 1e6))
    close = ts_us[(ts_us >= begin) & (ts_us <= end + join_us)]
    if np.sum(np.abs(alike.beside_us(close)) <= alike.tolerance_us) < rule.least_stamps:
        return False
    if keeps_rhythm(ts_us, interval_s, rule):
        return True
    rhythm = rhythm_of(ts_us, interval_s, rule)
    if rhythm is None or abs(int(rhythm.beside_us(np.array([begin]))[0])) <= rhythm.tolerance_us:
        return False
    on = ts_us[np.abs(rhythm.beside_us(ts_us)) <= rhythm.tolerance_us]
    goes_on = np.any((on < begin) & (on >= begin - join_us)) and not np.any(on > end)
    return not goes_on


def _stamps(
    connection: Connection, gateway: str, meters: Mapping[str, _Meter], windows: Sequence[Span]
) -> dict[str, Stamps]:
    """When the meters were read within the windows, and what they showed."""
    series: list[Ints] = [np.zeros(0, dtype=np.int64)]
    ts: list[Ints] = [np.zeros(0, dtype=np.int64)]
    values: list[Any] = [np.zeros(0)]
    for begin, end in windows:
        asked = {
            "series": [m.series_id for m in meters.values()],
            "from": bound(begin),
            "to": bound(end),
        }
        found, ts_us, value = _copied(connection, "clock_stamps", asked, ("int4", "timestamptz", "float8"))
        series.append(found)
        ts.append(ts_us)
        values.append(value)
    series_id, ts_us, value = np.concatenate(series), np.concatenate(ts), np.concatenate(values)
    order = np.argsort(series_id, kind="stable")
    series_id, ts_us, value = series_id[order], ts_us[order], value[order]
    stamps = {}
    for m in meters.values():
        low, high = np.searchsorted(series_id, [m.series_id, m.series_id + 1])
        stamps[m.meter] = Stamps(ts_us[low:high], m.interval_s, gateway, value[low:high].astype(np.float64))
    return stamps


def _copied(
    connection: Connection, name: str, asked: Mapping[str, Any], types: tuple[str, ...]
) -> list[Ints]:
    statement = f"copy ({query(name)}) to stdout (format binary)"
    with connection.cursor() as cursor, cursor.copy(statement, asked) as copy:
        return decode(b"".join(copy), types)


# ---------------------------------------------------------------- findings


def _keep(
    connection: Connection,
    gateway: str,
    faults: Sequence[ClockFault],
    meters: Mapping[str, _Meter],
    judged: Sequence[Span],
) -> None:
    """Bring the findings of a gateway up to what was judged; what lies outside of that stays as it is, and what a
    person judged.
    """
    rows = connection.execute(query("clock_findings"), {"gateway": gateway}).fetchall()
    known = [_Known(*row) for row in rows]
    kept: set[int] = set()
    derived = []
    for fault in faults:
        before = [k for k in known if k.is_of(fault)]
        person = [k for k in before if k.state not in ("open", "withdrawn")]
        if person or not _is_within(fault.stamped_from_us, fault.starts_us, judged):
            kept |= {k.finding_id for k in before}
            continue
        standing = min(before, key=lambda k: (k.state != "open", k.finding_id), default=None)
        derived.append(_row(fault, meters, standing.rule_key if standing else None))
        kept |= {standing.finding_id} if standing else set()
    gone = [k for k in known if k.state == "open" and k.finding_id not in kept and k.is_within(judged)]
    withdraw_derived(connection, [k.finding_id for k in gone])
    keep_derived(connection, RULE, derived)


def _is_within(stamped_us: int, true_us: int, judged: Sequence[Span]) -> bool:
    return all(any(a <= moment <= b for a, b in judged) for moment in (stamped_us, true_us))


def _row(fault: ClockFault, meters: Mapping[str, _Meter], rule_key: str | None) -> Row:
    subject = fault.meter or fault.gateway
    sites = {meters[m].site_id for m in fault.meters}
    place = None if fault.meter is None else meters[fault.meter].point_id
    detail = {
        "gateway": fault.gateway,
        "meters": len(fault.meters),
        "first_meters": list(fault.meters[:50]),
        "offset_s": round(fault.offset_s, 1),
        "seconds_per_day": round(fault.seconds_per_day, 2),
        "stamps": fault.stamps,
        "stamped_from": _moment(fault.stamped_from_us),
        "stamped_to": _moment(fault.stamped_to_us),
    }
    return finding_row(
        fault.kind,
        subject,
        _moment(fault.starts_us),
        detail,
        ends=None if fault.ends_us is None else _moment(fault.ends_us),
        gateway=fault.gateway,
        meter=fault.meter,
        point_id=place,
        site_id=min(sites) if len(sites) == 1 else None,
        rule_key=rule_key or f"{fault.kind}/{subject}/{_moment(fault.stamped_from_us).isoformat()}",
    )


def _moment(us: int) -> datetime:
    return from_us(us)
