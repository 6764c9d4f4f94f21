"""Find what is silent and what stays missing, as findings that alerts and people take up.

Set-based: what is heard costs one look into an index a series, and only what is silent, or was, costs more. One
transaction at a time does it, whichever worker; others find it locked. See docs/decisions/findings.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from psycopg.rows import class_row

from metering.findings import (
    NOTHING_RECEIVED,
    SEQUENCE_GAP,
    SILENT_GATEWAY,
    SILENT_METER,
    FindingState,
    SilenceRule,
    begin_of_silence,
    finding_kinds,
    is_silent,
)
from metering.instants import to_us
from storage import locks
from storage.finding_metrics import OPEN, SECONDS
from storage.finding_rows import Connection, Row, change_findings, finding_row, open_findings
from storage.heard import lasting_patiences
from storage.losses import subject_of
from storage.silences import find_silences
from storage.sql import query

#: The subject of the finding that nothing is received at all.
PLATFORM = "platform"
#: Silences of the past are looked for as long as this in a turn, s; what is left is due at the next.
_PAST_S = 5.0


@dataclass(frozen=True, slots=True)
class FindingOptions:
    """silence: how long who may be silent; gap_patience_s: s for which a gap in an outbox's numbers may stay as it
    is; by_event: silence is measured in event time, up to the moment that the caller gives.
    """

    silence: SilenceRule = field(default_factory=SilenceRule)
    gap_patience_s: float = 3600.0
    by_event: bool = False


@dataclass(frozen=True, slots=True)
class _Gateway:
    """A gateway that open installations name; interval_s, longest_s: of its most and least frequent meter."""

    gateway: str
    interval_s: int
    longest_s: int
    installed_at: datetime
    meters: int
    sites: int
    site_id: int
    state: str | None
    since: datetime | None
    heard_at: datetime | None
    event_ts: datetime | None
    final: bool

    def heard(self, by_event: bool) -> datetime | None:
        """When it was heard last: a reading, or a status that changed; by event time: how far it has come."""
        if by_event:
            return self.event_ts
        moments = [m for m in (self.heard_at, self.since) if m is not None]
        return max(moments) if moments else None


@dataclass(frozen=True, slots=True)
class _Watch:
    """What is known before meters are looked at. now: up to when silence is judged; gateways: the silent ones, with
    when they were heard last; nothing: since when nothing is received from anybody, None: something is.
    """

    now: datetime
    watched_from: datetime | None
    gateways: dict[str, _Gateway]
    silent: dict[str, datetime | None]
    nothing: datetime | None


def watch_findings(
    connection: Connection, moment_of: Callable[[Connection], datetime | None], options: FindingOptions
) -> bool:
    """Open, change and end findings in one transaction, and in further ones where there is much that changed; False
    where another one is at it.

    moment_of: the clock in use; None: event time has not begun, and nothing is called silent.
    """
    until = time.monotonic() + _PAST_S
    with SECONDS.time():
        more = _turn(connection, moment_of, options, only_past=False)
        free = more is not None
        while more and time.monotonic() < until:
            more = _turn(connection, moment_of, options, only_past=True)
    return free


def _turn(
    connection: Connection,
    moment_of: Callable[[Connection], datetime | None],
    options: FindingOptions,
    only_past: bool,
) -> bool | None:
    """One transaction; whether more of the past may be due, None where another one is at it."""
    with connection.transaction():
        row = connection.execute("select pg_try_advisory_xact_lock(%s)", (locks.FINDINGS,)).fetchone()
        if row is None or not row[0]:
            return None
        moment = moment_of(connection)
        watch = None if moment is None else _watch(connection, moment, options)
        if not only_past:
            _end(connection, watch, options)
        now = None if watch is None else watch.now
        more = find_silences(connection, options.silence, now, initial=options.by_event)
        if watch is not None and not only_past:
            open_findings(connection, _gateway_openings(connection, watch))
            open_findings(connection, _meter_openings(connection, watch, options))
        counts = dict(connection.execute(query("finding_counts")).fetchall())
    for kind in finding_kinds():
        OPEN.labels(kind).set(counts.get(kind, 0))
    return more


def _end(connection: Connection, watch: _Watch | None, options: FindingOptions) -> None:
    """First: what ended makes room for what begins. Gaps in numbers are opened here, too."""
    changes, openings = _judge_gaps(connection, options)
    if watch is not None:
        changes += _gateway_changes(connection, watch, options)
        changes += _removals(connection, watch.now)
    change_findings(connection, changes)
    open_findings(connection, openings)


# ---------------------------------------------------------------- gateways


def _watch(connection: Connection, moment: datetime, options: FindingOptions) -> _Watch:
    with connection.cursor(row_factory=class_row(_Gateway)) as cursor:
        found = cursor.execute(query("finding_gateways"), {"now": moment}).fetchall()
    row = connection.execute(query("finding_watched")).fetchone()
    assert row is not None  # a select without a table yields one row
    gateways = {g.gateway: g for g in found}
    patience = _Patience(connection, options.silence, moment)
    if options.by_event:
        silent = _silent(found, moment, None, options, patience)
        return _Watch(moment, None, gateways, silent, None)
    imported_at, received_again = row
    watched_from = max((m for m in (imported_at, received_again) if m is not None), default=None)
    newest = max((h for g in found if (h := g.heard(False)) is not None), default=None)
    speaking = [g for g in found if not g.final]
    if len(speaking) < 2:
        silent = _silent(found, moment, watched_from, options, patience)
        return _Watch(moment, watched_from, gateways, silent, None)
    nothing = _nothing(speaking, newest, watched_from, moment, patience)
    # What nobody could hear is held against nobody: silence is judged up to soon after the newest receipt.
    floor = timedelta(seconds=options.silence.gateway_floor_s)
    now = moment if newest is None else min(moment, newest + floor)
    silent = {} if nothing else _silent(found, now, watched_from, options, patience)
    return _Watch(now, watched_from, gateways, silent, nothing)


class _Patience:
    """How long gateways may be silent: by the meters that were heard before (storage/heard.py), which are looked up
    where a gateway has meters of several intervals.
    """

    #: So many gateways are looked up at once.
    _BATCH = 100

    def __init__(self, connection: Connection, rule: SilenceRule, moment: datetime) -> None:
        self._connection, self._rule, self._moment_us = connection, rule, to_us(moment)
        self._known: dict[str, timedelta] = {}

    def least(self, gateway: _Gateway) -> timedelta:
        """What the most frequent of its meters says."""
        return self._rule.gateway(gateway.interval_s)

    def most(self, gateway: _Gateway) -> timedelta:
        """What the least frequent of its meters says."""
        return self._rule.gateway(gateway.longest_s)

    def of(self, gateways: Iterable[_Gateway]) -> Iterator[tuple[_Gateway, timedelta]]:
        """Each gateway with how long it may be silent; those that need no look first."""
        mixed: list[_Gateway] = []
        for g in gateways:
            if self.least(g) < self.most(g):
                mixed.append(g)
            else:
                yield g, self.least(g)
        for n in range(0, len(mixed), self._BATCH):
            batch = mixed[n : n + self._BATCH]
            new = [g.gateway for g in batch if g.gateway not in self._known]
            if new:
                self._known |= lasting_patiences(self._connection, self._rule, new, self._moment_us)
            yield from ((g, self._known.get(g.gateway, self.least(g))) for g in batch)


def _nothing(
    speaking: Sequence[_Gateway],
    newest: datetime | None,
    watched_from: datetime | None,
    now: datetime,
    patience: _Patience,
) -> datetime | None:
    """Since when nothing was received from anybody, where that is for too long: for longer than a gateway may be silent
    that was heard shortly before; where none ever was, than the most frequent meter says.
    """
    installed_at = min(g.installed_at for g in speaking)

    def too_long(may_be: timedelta) -> bool:
        return is_silent(newest, installed_at, watched_from, may_be, now)

    if newest is None:
        return installed_at if too_long(min(patience.least(g) for g in speaking)) else None
    lag = {g.gateway: newest - heard for g in speaking if (heard := g.heard(False)) is not None}
    some = [
        g
        for g in speaking
        if g.gateway in lag and lag[g.gateway] <= patience.most(g) and too_long(patience.least(g))
    ]
    nothing = any(lag[g.gateway] <= may_be and too_long(may_be) for g, may_be in patience.of(some))
    return newest if nothing else None


def _silent(
    gateways: Sequence[_Gateway],
    now: datetime,
    watched_from: datetime | None,
    options: FindingOptions,
    patience: _Patience,
) -> dict[str, datetime | None]:
    """The gateways that are silent and did not take their leave, with when they were heard last."""
    heard = {g.gateway: g.heard(options.by_event) for g in gateways if not g.final}

    def too_long(g: _Gateway, may_be: timedelta) -> bool:
        return is_silent(heard[g.gateway], g.installed_at, watched_from, may_be, now)

    some = [g for g in gateways if g.gateway in heard and too_long(g, patience.least(g))]
    found = {g.gateway for g in some if too_long(g, patience.most(g))}
    left = [g for g in some if g.gateway not in found]
    found |= {g.gateway for g, may_be in patience.of(left) if too_long(g, may_be)}
    return {g.gateway: heard[g.gateway] for g in some if g.gateway in found}


def _gateway_changes(connection: Connection, watch: _Watch, options: FindingOptions) -> list[Row]:
    """Ends of the silences of gateways and of all."""
    changes: list[Row] = []
    for finding_id, _, starts in _lasting(connection, NOTHING_RECEIVED):
        if watch.nothing is None:
            newest = [h for g in watch.gateways.values() if (h := g.heard(False)) is not None]
            changes.append(_ended(finding_id, starts, max(newest, default=watch.now)))
    for finding_id, gateway, starts in _lasting(connection, SILENT_GATEWAY):
        known = watch.gateways.get(gateway)
        if known is None:
            changes.append(_ended(finding_id, starts, watch.now))
        elif known.final or (gateway not in watch.silent and watch.nothing is None):
            heard = known.heard(options.by_event)
            changes.append(_ended(finding_id, starts, watch.now if heard is None else heard))
    return changes


def _gateway_openings(connection: Connection, watch: _Watch) -> list[Row]:
    if watch.nothing is not None:
        detail = {"gateways": len(watch.gateways), "last_heard": watch.nothing}
        return [finding_row(NOTHING_RECEIVED, PLATFORM, watch.nothing, detail)]
    lasting = {gateway for _, gateway, _ in _lasting(connection, SILENT_GATEWAY)}
    new = [g for g in watch.silent if g not in lasting]
    meters = dict(
        connection.execute(query("finding_meters_of"), {"gateways": new, "now": watch.now}).fetchall()
    )
    rows = []
    for name in new:
        g, heard = watch.gateways[name], watch.silent[name]
        detail = {
            "gateway": name,
            "state": g.state,
            "last_heard": heard,
            "meters": g.meters,
            "first_meters": meters.get(name, []),
        }
        starts = begin_of_silence(heard, g.installed_at, 0)
        site_id = g.site_id if g.sites == 1 else None
        rows.append(finding_row(SILENT_GATEWAY, name, starts, detail, gateway=name, site_id=site_id))
    return rows


# ---------------------------------------------------------------- meters


def _removals(connection: Connection, now: datetime) -> list[Row]:
    """Ends of the silences of meters that were removed."""
    found = connection.execute(query("finding_removed"), {"now": now}).fetchall()
    return [_ended(finding_id, starts, removed_at, now) for finding_id, starts, removed_at in found]


def _meter_openings(connection: Connection, watch: _Watch, options: FindingOptions) -> list[Row]:
    rule = options.silence
    if watch.nothing is not None or not watch.gateways:
        return []
    longest = max(rule.meter(g.longest_s) for g in watch.gateways.values())
    left = [name for name, g in watch.gateways.items() if g.final or name in watch.silent]
    asked = {"now": watch.now, "oldest": watch.now - longest, "without": left, **_patience(rule)}
    rows = []
    # Planned anew with its moments known: so that chunks are left out when it is planned.
    found = connection.execute(query("finding_silent_meters"), asked, prepare=False).fetchall()
    for meter, gateway, point_id, interval_s, installed_at, registers, last in found:
        if not is_silent(last, installed_at, watch.watched_from, rule.meter(interval_s), watch.now):
            continue  # the platform was away, or its registry has only just come
        starts = begin_of_silence(last, installed_at, interval_s)
        detail = {
            "gateway": gateway,
            "interval_s": interval_s,
            "last_reading": last,
            "registers": registers,
        }
        about = {"gateway": gateway, "meter": meter, "point_id": point_id, "anchor": last or installed_at}
        rows.append(finding_row(SILENT_METER, meter, starts, detail, **about))
    return rows


def _patience(rule: SilenceRule) -> dict[str, float]:
    return {"intervals": rule.meter_intervals, "floor_s": rule.meter_floor_s}


# ---------------------------------------------------------------- sequence numbers


def _gaps(connection: Connection) -> dict[str, Row]:
    cursor = connection.execute(query("finding_gaps"))
    names = [c.name for c in cursor.description or ()]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {subject_of(g["gateway"], g["outbox"]): g for g in found}


def _gap_detail(gap: Row) -> Row:
    return {
        "gateway": gap["gateway"],
        "outbox": gap["outbox"],
        "missing": int(gap["missing"]),
        "gaps": gap["gaps"],
        "first_gaps": gap["first_gaps"],
    }


def _judge_gaps(connection: Connection, options: FindingOptions) -> tuple[list[Row], list[Row]]:
    """Changes and openings. A gap that filled was none: withdrawn. Gaps live on the wall clock."""
    gaps, now = _gaps(connection), _wall(connection)
    lasting = {name: finding_id for finding_id, name, _ in _lasting(connection, SEQUENCE_GAP)}
    changes: list[Row] = []
    for name, finding_id in lasting.items():
        if name in gaps:
            changes.append({"finding_id": finding_id, "ends": None, "detail": _gap_detail(gaps[name])})
        else:
            changes.append({"finding_id": finding_id, "ends": now, "state": FindingState.WITHDRAWN})
    patience = timedelta(seconds=options.gap_patience_s)
    openings = [
        finding_row(
            SEQUENCE_GAP, name, g["since"], _gap_detail(g), gateway=g["gateway"], site_id=g["site_id"]
        )
        for name, g in gaps.items()
        if name not in lasting and now - g["since"] > patience
    ]
    return changes, openings


# ---------------------------------------------------------------- rows


def _wall(connection: Connection) -> datetime:
    row = connection.execute("select now()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def _lasting(connection: Connection, kind: str) -> list[tuple[int, str, datetime]]:
    return connection.execute(query("finding_lasting"), {"kind": kind}).fetchall()


def _ended(finding_id: int, starts: datetime, ends: datetime | None, now: datetime | None = None) -> Row:
    """The end of a silence; where it would end before it began it was none."""
    if ends is None or ends <= starts:
        return {"finding_id": finding_id, "ends": ends or now, "state": FindingState.WITHDRAWN}
    return {"finding_id": finding_id, "ends": ends}
