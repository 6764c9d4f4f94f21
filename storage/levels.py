"""Finds lasting changes of level where hours changed: ratios that seem wrong, phases that are lost.

Days whose energy changed wait in nengliu.level_due; a look takes those of some sites, judges each block of time that
they may bear on from the hours of a stated window around it, and makes the findings of that time what they are now:
new, changed, or withdrawn where later data took their ground away. See docs/decisions/levels.md.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from metering.calendar import LocalCalendar, local_calendar
from metering.exchanges import ExchangeRule
from metering.findings import FindingState
from metering.level_balance import LevelRule
from metering.phases import InstantRule
from metering.scale_kinds import KindRule
from storage import locks
from storage.finding_metrics import LEVEL_SECONDS
from storage.imbalances import judge_balance
from storage.level_evidence import INSTANTS, SitePoint, balance_verdicts, entered_verdicts, instant_verdicts
from storage.level_exchanges import exchange_verdicts
from storage.level_verdicts import HOUR_S, Hours, Verdict, moment
from storage.sql import query

log = structlog.get_logger(__name__)

Cursor = psycopg.Cursor[Any]

#: A verdict is a known finding that starts so near to it, at the same point and by the same evidence.
_SAME = timedelta(hours=36)
#: Blocks of time are counted from Monday, 5 January 1970, in hours since 1970.
_FIRST_H = 4 * 24


@dataclass(frozen=True, slots=True)
class LevelOptions:
    """sites: in one transaction; seconds: after which a look leaves the rest to the next one."""

    balance: LevelRule = field(default_factory=LevelRule)
    instants: InstantRule = field(default_factory=InstantRule)
    kinds: KindRule = field(default_factory=KindRule)
    exchanges: ExchangeRule = field(default_factory=ExchangeRule)
    sites: int = 10
    seconds: float = 20.0


@dataclass(slots=True)
class _Due:
    """What is due of a site: days, first and last, and hours since 1970 of each touched point."""

    site_id: int
    points: dict[int, list[Hours]] = field(default_factory=lambda: defaultdict(list))
    days: list[tuple[date, date]] = field(default_factory=list)


def watch_levels(connection: psycopg.Connection[Any], options: LevelOptions | None = None) -> int:
    """Judge what is due, a few sites in a transaction; how many sites. 0 too where another worker is at it."""
    chosen = options or LevelOptions()
    started, done = time.monotonic(), 0
    with LEVEL_SECONDS.time():
        while time.monotonic() - started < chosen.seconds:
            with connection.transaction(), connection.cursor() as cursor:
                sites = _judge_some(cursor, chosen)
            done += sites
            if not sites:
                break
    return done


def _judge_some(cursor: Cursor, options: LevelOptions) -> int:
    row = cursor.execute("select pg_try_advisory_xact_lock(%s)", (locks.LEVELS,)).fetchone()
    if row is None or not row[0]:
        return 0
    node = cursor.execute("select timezone from nengliu.node").fetchone()
    assert node is not None  # a database that was migrated has its row
    calendar = local_calendar(node[0])
    sites = _take(cursor, calendar, options.sites)
    for due in sites:
        _judge_site(cursor, due, options)
        judge_balance(cursor, due.site_id, list(due.points), due.days, calendar)
    return len(sites)


def _take(cursor: Cursor, calendar: LocalCalendar, sites: int) -> list[_Due]:
    found: dict[int, _Due] = {}
    for site_id, point_id, first, last in cursor.execute(query("level_take"), {"sites": sites}).fetchall():
        due = found.setdefault(site_id, _Due(site_id))
        due.days.append((first, last))
        due.points[point_id].append((_hour_of(calendar, first), _hour_of(calendar, last + timedelta(days=1))))
    return list(found.values())


def _hour_of(calendar: LocalCalendar, day: date) -> int:
    return calendar.start_of(day) // (HOUR_S * 1_000_000)


# ---------------------------------------------------------------- a site


def _judge_site(cursor: Cursor, due: _Due, options: LevelOptions) -> None:
    rows = cursor.execute(query("level_points"), {"site": due.site_id, "instants": list(INSTANTS)}).fetchall()
    points = {row[0]: SitePoint(*row) for row in rows}
    for point_id, spans in due.points.items():
        point = points[point_id]
        for span in _joined(spans):
            if point.instants:
                _put(cursor, due, [point], *instant_verdicts(cursor, point, span, options.instants))
            _put(cursor, due, [point], span, entered_verdicts(cursor, point, span))
            _put(cursor, due, [point], *exchange_verdicts(cursor, point_id, span, options.exchanges))
    touched: dict[str, list[Hours]] = defaultdict(list)
    for point_id, spans in due.points.items():
        touched[points[point_id].item] += spans
    for item, spans in touched.items():
        members = [p for p in points.values() if p.item == item and p.interval_s <= HOUR_S]
        if any(p.parent in {m.point_id for m in members} for p in members):
            for blocks in _blocks(spans, options.balance):
                found = balance_verdicts(cursor, members, blocks, options.balance, options.kinds)
                _put(cursor, due, members, (blocks[0][0], blocks[-1][1]), found)


def _joined(spans: Iterable[Hours]) -> list[Hours]:
    """Spans in order, those that touch made one."""
    joined: list[Hours] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def _blocks(spans: Sequence[Hours], rule: LevelRule) -> list[list[Hours]]:
    """The blocks of time whose windows hold hours of the spans, neighbours together."""
    numbers: set[int] = set()
    for begin, end in spans:
        first = (begin - rule.after_h - rule.block_h - _FIRST_H) // rule.block_h + 1
        numbers.update(range(first, -((_FIRST_H - end - rule.before_h) // rule.block_h)))
    runs: list[list[Hours]] = []
    for n in sorted(numbers):
        block = _FIRST_H + n * rule.block_h, _FIRST_H + (n + 1) * rule.block_h
        if runs and runs[-1][-1][1] == block[0]:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


# ---------------------------------------------------------------- findings


def _put(
    cursor: Cursor, due: _Due, points: Sequence[SitePoint], span: Hours, verdicts: dict[str, list[Verdict]]
) -> None:
    """Make the findings of these points that start in the span what the verdicts are, source by source."""
    for source, verdicts_of in verdicts.items():
        found, goes_on = _continued(cursor, source, verdicts_of)
        asked = {
            "source": source,
            "points": [p.point_id for p in points],
            "from_ts": moment(span[0]) - _SAME,
            "to_ts": moment(span[1]) + _SAME,
        }
        known = cursor.execute(query("level_known"), asked).fetchall()
        matched = _match(found, known, goes_on)
        rows = [v.row(due.site_id, source) | {"finding_id": matched.get(n)} for n, v in enumerate(found)]
        if rows:
            _tell(cursor.execute(query("level_put"), {"rows": Jsonb(rows)}).fetchall())
        kept = set(matched.values())
        gone = [
            finding_id
            for finding_id, _, starts, state in known
            if finding_id not in kept
            and state == FindingState.OPEN
            and moment(span[0]) <= starts < moment(span[1])
        ]
        if gone:
            rows_gone = cursor.execute(query("level_withdraw"), {"findings": gone}).fetchall()
            _tell([("withdrawn", *row) for row in rows_gone])


def _continued(
    cursor: Cursor, source: str, verdicts: Sequence[Verdict]
) -> tuple[list[Verdict], dict[int, int]]:
    """The verdicts, those that go on from before beginning where the finding known of them does; index of a verdict ->
    that finding.
    """
    found, matched = list(verdicts), {}
    for n, verdict in enumerate(verdicts):
        if not verdict.goes_on:
            continue
        asked = {"source": source, "point": verdict.point_id, "kind": verdict.kind, "near": _SAME}
        row = cursor.execute(query("level_continued"), asked | {"starts": verdict.starts}).fetchone()
        if row is not None:
            matched[n] = row[0]
            found[n] = replace(verdict, starts=row[1])
    return found, matched


def _match(
    found: Sequence[Verdict], known: Sequence[tuple[Any, ...]], goes_on: dict[int, int]
) -> dict[int, int]:
    """Index of a verdict -> the known finding that it is: what goes on, then the nearest start first, open ones before
    withdrawn ones.
    """
    pairs = sorted(
        (state == FindingState.WITHDRAWN, abs(v.starts - starts), n, finding_id)
        for n, v in enumerate(found)
        for finding_id, point_id, starts, state in known
        if point_id == v.point_id and abs(v.starts - starts) <= _SAME
    )
    matched = dict(goes_on)
    for _, _, n, finding_id in pairs:
        if n not in matched and finding_id not in matched.values():
            matched[n] = finding_id
    return matched


def _tell(rows: Sequence[tuple[Any, ...]]) -> None:
    for event, kind, meter, starts in rows:
        if event != "changed":
            log.info(f"level_finding_{event}", kind=kind, meter=meter, starts=starts.isoformat())
