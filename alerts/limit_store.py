"""Keeps the versions of quota limits: reads terms and base years, computes, writes what moved."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from alerts.days import end_of_day
from alerts.parameters import LimitParameters
from alerts.quota_limits import (
    OWN_METHODS,
    PEER_METHOD,
    BaseYear,
    Limit,
    NoLimit,
    PeerMean,
    Terms,
    compute_limit,
    moved,
    own_mean,
    peer_mean,
)
from alerts.sql import query
from metering.registers import Role, register_table

_KINDS_FROM_BASE_YEARS = OWN_METHODS | {PEER_METHOD}


@dataclass(frozen=True, slots=True)
class Undetermined:
    """A quota without a limit, and why."""

    site_code: str
    item_code: str
    year: int
    effective_from: date
    reason: str
    reason_zh: str


@dataclass(frozen=True, slots=True)
class LimitRefresh:
    """What a refresh did: versions written, the quotas that have no limit, and the (site code, item, year) whose limit
    moved or fell away, so that what was assessed against it is stale."""

    written: int
    undetermined: tuple[Undetermined, ...]
    moved: tuple[tuple[str, str, int], ...] = ()


def refresh_limits(
    conn: psycopg.Connection[Any],
    parameters: LimitParameters,
    zone: ZoneInfo,
    now: datetime,
    site_codes: list[str] | None = None,
) -> LimitRefresh:
    """Compute every quota's limit as known at `now` (wall clock) and write a version where it moved."""
    today = now.astimezone(zone).date()
    book = _Book(conn, site_codes)
    written, without, stale = 0, [], []
    for quota in book.quotas:
        limit = book.limit(quota, parameters, lambda year: year < today.year, None)
        if isinstance(limit, NoLimit):
            without.append(_undetermined(quota, limit))
            if quota.quota_limit_id is not None:
                _supersede(conn, quota.quota_limit_id, now)
                stale.append((quota.site_code, quota.item_code, quota.year))
        elif _is_new(quota, limit, parameters):
            _write(conn, quota, limit, now)
            stale.append((quota.site_code, quota.item_code, quota.year))
            written += 1
    return LimitRefresh(written, tuple(without), tuple(stale))


def explain_missing_limits(
    conn: psycopg.Connection[Any],
    parameters: LimitParameters,
    zone: ZoneInfo,
    now: datetime,
    site_codes: list[str],
) -> list[Undetermined]:
    """Why quotas have no limit that can be computed as known at `now`; writes nothing."""
    year_now = now.astimezone(zone).year
    book = _Book(conn, site_codes)
    found = []
    for quota in book.quotas:
        limit = book.limit(quota, parameters, lambda year: year < year_now, None)
        if isinstance(limit, NoLimit):
            found.append(_undetermined(quota, limit))
    return found


def refresh_limits_of_days(
    conn: psycopg.Connection[Any], parameters: LimitParameters, zone: ZoneInfo, through: date, now: datetime
) -> int:
    """The same by the event clock, up to the end of local day `through`; returns the versions written.

    A computed limit is recorded at the end of the day on which it became known: the last base year's, and the day
    on which a step over that year's end was closed. So its versions do not depend on how often this is called; nor
    do their numbers, which alerts name: limits as given come first, then the others as they became known.
    """
    book = _Book(conn, None)
    written = 0
    known: list[tuple[datetime, int, date]] = []
    for n, quota in enumerate(book.quotas):
        if quota.limit_value is None:
            known += [
                (end_of_day(d, zone), n, d) for d in book.days_of_knowledge(quota, zone) if d <= through
            ]
            continue
        limit = book.limit(quota, parameters, lambda _: True, None)
        if isinstance(limit, Limit) and _is_new(quota, limit, parameters):
            _write(conn, quota, limit, now)
            written += 1
    for recorded_at, n, day in sorted(known):
        quota = book.quotas[n]
        if quota.recorded_at is not None and recorded_at <= quota.recorded_at:
            continue
        ended = day.year if (day.month, day.day) == (12, 31) else day.year - 1
        limit = book.limit(quota, parameters, lambda y, e=ended: y <= e, recorded_at)
        if isinstance(limit, Limit) and _is_new(quota, limit, parameters):
            book.quotas[n] = _write(conn, quota, limit, recorded_at)
            written += 1
    return written


class _Book:
    """The quotas with what their limits are computed from, read at once."""

    def __init__(self, conn: psycopg.Connection[Any], site_codes: list[str] | None) -> None:
        self.quotas = _fetch(conn, "quotas_to_compute", {"site_codes": site_codes})
        computed = [q for q in self.quotas if q.limit_value is None and q.method in _KINDS_FROM_BASE_YEARS]
        by_peers = [q for q in computed if q.method == PEER_METHOD and q.building_type]
        types = sorted({q.building_type for q in by_peers})
        self._peers = _fetch(conn, "peer_sites", {"building_types": types}) if types else []
        wanted = {(q.site_id, q.item_code, y) for q in computed for y in q.base_years}
        wanted |= {
            (p.site_id, q.item_code, y)
            for q in by_peers
            for p in self._peers
            if p.building_type == q.building_type
            for y in q.base_years
        }
        self._years: dict[tuple[int, str, int], list[Any]] = defaultdict(list)
        for row in _fetch(conn, "base_years", _keys(wanted)):
            self._years[row.site_id, row.item_code, row.year].append(row)

    def limit(
        self, quota: Any, parameters: LimitParameters, ended: Any, known_at: datetime | None
    ) -> Limit | NoLimit:
        """The limit of a quota; known_at: count only what readings up to then tell (None: all)."""
        terms = Terms(quota.method, quota.limit_value, tuple(quota.base_years), quota.reduction_percent)
        uses = self._uses(quota.site_id, quota.item_code, terms.base_years, ended, known_at)
        peers = None
        if terms.method == PEER_METHOD and quota.building_type is not None:
            peers = self._peer_mean(quota, terms, parameters, ended, known_at)
        return compute_limit(terms, uses, parameters.min_coverage, quota.floor_area_m2, peers)

    def days_of_knowledge(self, quota: Any, zone: ZoneInfo) -> list[date]:
        """Local days at whose end a computed limit became known or may have moved, in order."""
        if not quota.base_years:
            return []
        days = {date(max(quota.base_years), 12, 31)}
        for year in quota.base_years:
            for row in self._years.get((quota.site_id, quota.item_code, year), ()):
                if row.closed_at is not None:
                    days.add(max(_day_ended_by(row.closed_at.astimezone(zone)), min(days)))
        return sorted(days)

    def _uses(
        self, site_id: int, item: str, years: Iterable[int], ended: Any, known_at: datetime | None
    ) -> dict[int, BaseYear]:
        uses = {}
        for year in years:
            rows = self._years.get((site_id, item, year))
            if rows:
                uses[year] = _base_year(rows, bool(ended(year)), known_at)
        return uses

    def _peer_mean(
        self, quota: Any, terms: Terms, parameters: LimitParameters, ended: Any, known_at: datetime | None
    ) -> PeerMean | None:
        found = []
        for peer in self._peers:
            if peer.building_type != quota.building_type:
                continue
            uses = self._uses(peer.site_id, quota.item_code, terms.base_years, ended, known_at)
            mean = own_mean(terms.base_years, uses, parameters.min_coverage)
            if not isinstance(mean, NoLimit):
                found.append((mean, peer.floor_area_m2))
        return peer_mean(quota.building_type, found, date(max(terms.base_years), 12, 31))


def _fetch(conn: psycopg.Connection[Any], name: str, keys: dict[str, Any]) -> list[Any]:
    with conn.cursor(row_factory=namedtuple_row) as cursor:
        return list(cursor.execute(query(name), keys).fetchall())


def _undetermined(quota: Any, limit: NoLimit) -> Undetermined:
    return Undetermined(
        quota.site_code, quota.item_code, quota.year, quota.effective_from, limit.reason, limit.reason_zh
    )


def _base_year(rows: list[Any], ended: bool, known_at: datetime | None) -> BaseYear:
    """A site's use in a year from its item's row, or from those of the parts that the item sums."""
    energy, coverage = 0.0, 1.0
    for row in rows:
        open_still = known_at is not None and row.closed_at is not None and row.closed_at > known_at
        energy += row.consumption - (row.open_energy if open_still else 0.0)
        covered = row.covered_s - (row.open_covered_s if open_still else 0.0)
        share = covered / row.installed_s if row.installed_s else 0.0
        coverage = min(coverage, share * row.any_s / row.whole_s)
    unknown = any(row.unknown for row in rows)
    return BaseYear(rows[0].year, math.nan if unknown else round(energy, 6), coverage, ended)


def _day_ended_by(moment: datetime) -> date:
    """The local day at whose end `moment` has passed or is just reached."""
    day = moment.date()
    at_midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return date.fromordinal(day.toordinal() - 1) if at_midnight else day


def _is_new(quota: Any, limit: Limit, parameters: LimitParameters) -> bool:
    if quota.quota_limit_id is None or quota.given != bool(limit.basis["given"]):
        return True
    if quota.given:
        return bool(quota.current_value != limit.value)
    return moved(quota.current_value, limit.value, parameters.min_move)


def _write(conn: psycopg.Connection[Any], quota: Any, limit: Limit, at: datetime) -> Any:
    if quota.quota_limit_id is not None:
        _supersede(conn, quota.quota_limit_id, at)
    keys = {
        "quota_id": quota.quota_id,
        "value": limit.value,
        "method": quota.method,
        "source": quota.source,
        "basis": Jsonb(limit.basis),
        "recorded_at": at,
    }
    row = conn.execute(query("insert_limit"), keys).fetchone()
    assert row is not None
    return quota._replace(
        quota_limit_id=row[0], current_value=limit.value, given=limit.basis["given"], recorded_at=at
    )


def _supersede(conn: psycopg.Connection[Any], quota_limit_id: int, at: datetime) -> None:
    conn.execute(query("supersede_limit"), {"quota_limit_id": quota_limit_id, "at": at})


def _keys(wanted: set[tuple[int, str, int]]) -> dict[str, Any]:
    rows = sorted(wanted)
    return {
        "sites": [r[0] for r in rows],
        "items": [r[1] for r in rows],
        "years": [r[2] for r in rows],
        "registers": [r.code for r in register_table().values() if r.role in (Role.TOTAL, Role.TARIFF)],
    }
