"""Keeps the versions of quota limits: reads terms and base years, computes, writes what moved."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from alerts.days import end_of_day
from alerts.parameters import LimitParameters
from alerts.percentiles import PeerGroup, peer_group
from alerts.quota_limits import (
    NORM_METHOD,
    OWN_METHODS,
    PEER_METHOD,
    BaseYear,
    Limit,
    NoLimit,
    Place,
    Terms,
    compute_limit,
    moved,
    own_mean,
)
from alerts.sql import query
from metering.monthly_plans import monthly_plan
from metering.registers import Role, register_table

_KINDS_FROM_BASE_YEARS = OWN_METHODS | {PEER_METHOD}
#: Every year that a base year can be has ended.
_ALL_ENDED = 9999
#: Terms of a quota that each version of its limit tells as they were.
_TOLD = ("method", "source", "approved_by", "note")


@dataclass(frozen=True, slots=True)
class Undetermined:
    """A quota without a limit, and why."""

    site_code: str
    item_code: str
    year: int
    effective_from: date
    reason: str
    reason_zh: str

    @property
    def key(self) -> tuple[str, str, int, date]:
        """The quota's key in the registry."""
        return self.site_code, self.item_code, self.year, self.effective_from


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
    book = _Book(conn, parameters, site_codes)
    written, without, stale = 0, [], []
    for quota in book.quotas:
        limit = book.limit(quota, today.year - 1, None)
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
    site_codes: list[str] | None,
) -> list[Undetermined]:
    """Why quotas without a limit have none that can be computed as known at `now`; writes nothing."""
    year_now = now.astimezone(zone).year
    book = _Book(conn, parameters, site_codes)
    found = []
    for quota in book.quotas:
        limit = book.limit(quota, year_now - 1, None) if quota.quota_limit_id is None else None
        if isinstance(limit, NoLimit):
            found.append(_undetermined(quota, limit))
    return found


def refresh_limits_of_days(
    conn: psycopg.Connection[Any], parameters: LimitParameters, zone: ZoneInfo, through: date, now: datetime
) -> int:
    """The same by the event clock, up to the end of local day `through`; returns the versions written.

    A computed limit is recorded at the end of the day on which it became known: the last base year's, and the day
    on which a step over that year's end was closed. So its versions do not depend on how often this is called; nor
    do their numbers, which alerts name: limits as given come first, then the others as they became known. Where a
    person changed the terms of a computed limit since, it is computed again as known at the end of `through`.
    """
    book = _Book(conn, parameters, None)
    written = 0
    known: list[tuple[datetime, int, date]] = []
    for n, quota in enumerate(book.quotas):
        if quota.limit_value is None:
            known += [
                (end_of_day(d, zone), n, d) for d in book.days_of_knowledge(quota, zone) if d <= through
            ]
            continue
        limit = book.limit(quota, _ALL_ENDED, None)
        if isinstance(limit, Limit) and _is_new(quota, limit, parameters):
            _write(conn, quota, limit, now)
            written += 1
    for recorded_at, n, day in sorted(known):
        quota = book.quotas[n]
        if quota.recorded_at is not None and recorded_at <= quota.recorded_at:
            continue
        if quota.quota_limit_id is not None and _is_of_other_terms(quota):
            continue  # imported since: known from the end of `through` on, not from a day that is past
        limit = book.limit(quota, _ended_by(day), recorded_at)
        if isinstance(limit, Limit) and _is_new(quota, limit, parameters):
            book.quotas[n] = _write(conn, quota, limit, recorded_at)
            written += 1
    return written + _compute_changed(conn, book, zone, through)


def _compute_changed(conn: psycopg.Connection[Any], book: _Book, zone: ZoneInfo, through: date) -> int:
    """By the event clock: limits to be computed whose version in force is of other terms, a given value among them."""
    written = 0
    at = end_of_day(through, zone)
    for quota in book.quotas:
        if quota.limit_value is not None or quota.quota_limit_id is None or not _is_of_other_terms(quota):
            continue
        limit = book.limit(quota, _ended_by(through), at)
        if isinstance(limit, Limit):
            _write(conn, quota, limit, at)
            written += 1
        elif quota.given:
            _supersede(conn, quota.quota_limit_id, at)
    return written


def _ended_by(day: date) -> int:
    """The last year that has ended at the end of a day."""
    return day.year if (day.month, day.day) == (12, 31) else day.year - 1


def _is_of_other_terms(quota: Any) -> bool:
    """Whether the version in force was written from other terms than the quota's: its document, approval and note among
    them, and whether its value was given, but not which.
    """
    if any(getattr(quota, f"current_{name}") != getattr(quota, name) for name in _TOLD):
        return True
    if quota.given != (quota.limit_value is not None):
        return True
    if quota.given:
        return bool(quota.current_value == quota.limit_value and _plan_differs(quota))
    basis = quota.current_basis
    years = () if quota.method == NORM_METHOD else basis.get("base_years", ())
    now_years = () if quota.method == NORM_METHOD else quota.base_years
    terms = ({int(y) for y in years}, basis.get("reduction_percent", 0.0), basis.get("norm", {}).get("terms"))
    return bool(terms != (set(now_years), quota.reduction_percent or 0.0, quota.norm) or _plan_differs(quota))


def _plan_differs(quota: Any) -> bool:
    """Whether the version's months are not those that the quota's plan makes of its value."""
    return bool(_months(quota, quota.current_value) != quota.current_months)


def limit_bases(conn: psycopg.Connection[Any], limit_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """What versions of limits rest on, by quota_limit_id, as an alert's evidence keeps it."""
    ids = sorted(set(limit_ids))
    rows = conn.execute(query("limit_basis"), {"ids": ids}).fetchall() if ids else []
    return {
        limit_id: {
            "quota_limit_id": limit_id,
            "method": method,
            "source": source,
            "effective_from": effective_from.isoformat(),
            "basis": basis,
        }
        for limit_id, method, source, basis, effective_from in rows
    }


class _Book:
    """The quotas with what their limits are computed from, read at once."""

    def __init__(
        self, conn: psycopg.Connection[Any], parameters: LimitParameters, site_codes: list[str] | None
    ) -> None:
        self._parameters = parameters
        self.quotas = _fetch(conn, "quotas_to_compute", {"site_codes": site_codes})
        computed = [q for q in self.quotas if q.limit_value is None and q.method in _KINDS_FROM_BASE_YEARS]
        by_peers = [q for q in computed if self._needs_peers(q)]
        types = sorted({q.building_type for q in by_peers})
        self._peers: dict[str, list[Any]] = defaultdict(list)
        for peer in _fetch(conn, "peer_sites", {"building_types": types}) if types else []:
            self._peers[peer.building_type].append(peer)
        self._groups: dict[tuple[Any, ...], PeerGroup | None] = {}
        wanted = {(q.site_id, q.item_code, y) for q in computed for y in q.base_years}
        asked = {(q.building_type, q.item_code, y) for q in by_peers for y in q.base_years}
        wanted |= {(peer.site_id, item, year) for kind, item, year in asked for peer in self._peers[kind]}
        self._years: dict[tuple[int, str, int], list[Any]] = defaultdict(list)
        for row in _fetch(conn, "base_years", _keys(wanted)):
            self._years[row.site_id, row.item_code, row.year].append(row)

    def limit(self, quota: Any, ended: int, known_at: datetime | None) -> Limit | NoLimit:
        """The limit of a quota; ended: the last year that has ended; known_at: count only what readings up to then
        tell (None: all)."""
        terms = Terms(
            quota.method,
            quota.limit_value,
            tuple(quota.base_years),
            quota.reduction_percent,
            quota.norm,
            quota.item_code,
        )
        uses = self._uses(quota.site_id, quota.item_code, terms.base_years, ended, known_at)
        peers = self._peer_group(quota, terms, ended, known_at) if self._needs_peers(quota) else None
        place = Place(quota.building_type, quota.floor_area_m2)
        p = self._parameters
        return compute_limit(terms, uses, p.min_coverage, place, peers, p.percentiles)

    def _needs_peers(self, quota: Any) -> bool:
        computed = quota.limit_value is None and quota.method in _KINDS_FROM_BASE_YEARS
        wanted = quota.method == PEER_METHOD or self._parameters.percentiles.enabled
        return bool(computed and wanted and quota.building_type and quota.base_years)

    def days_of_knowledge(self, quota: Any, zone: ZoneInfo) -> list[date]:
        """Local days at whose end a computed limit became known or may have moved, in order."""
        if quota.method == NORM_METHOD:  # it rests on nothing that is measured
            return [quota.effective_from - timedelta(days=1)]
        if not quota.base_years:
            return []
        days = {date(max(quota.base_years), 12, 31)}
        for year in quota.base_years:
            for row in self._years.get((quota.site_id, quota.item_code, year), ()):
                if row.closed_at is not None:
                    days.add(max(_day_ended_by(row.closed_at.astimezone(zone)), min(days)))
        return sorted(days)

    def _uses(
        self, site_id: int, item: str, years: Iterable[int], ended: int, known_at: datetime | None
    ) -> dict[int, BaseYear]:
        uses = {}
        for year in years:
            rows = self._years.get((site_id, item, year))
            if rows:
                uses[year] = _base_year(rows, year <= ended, known_at)
        return uses

    def _peer_group(
        self, quota: Any, terms: Terms, ended: int, known_at: datetime | None
    ) -> PeerGroup | None:
        key = (quota.building_type, quota.item_code, terms.base_years, ended, known_at)
        if key not in self._groups:
            found = []
            for peer in self._peers[quota.building_type]:
                uses = self._uses(peer.site_id, quota.item_code, terms.base_years, ended, known_at)
                mean = own_mean(terms.base_years, uses, self._parameters.min_coverage)
                if not isinstance(mean, NoLimit):
                    found.append((mean, peer.floor_area_m2))
            as_of = date(max(terms.base_years), 12, 31)
            self._groups[key] = peer_group(quota.building_type, found, as_of)
        return self._groups[key]


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
    if quota.quota_limit_id is None or _is_of_other_terms(quota):
        return True
    if quota.given:
        return bool(quota.current_value != limit.value)
    return moved(quota.current_value, limit.value, parameters.min_move)


def _write(conn: psycopg.Connection[Any], quota: Any, limit: Limit, at: datetime) -> Any:
    if quota.quota_limit_id is not None:
        _supersede(conn, quota.quota_limit_id, at)
    months = _months(quota, limit.value)
    keys = {
        **{name: getattr(quota, name) for name in ("quota_id", *_TOLD)},
        "value": limit.value,
        "basis": Jsonb(limit.basis),
        "months": months,
        "months_source": ("given" if limit.basis["given"] else "shares") if months else None,
        "recorded_at": at,
    }
    row = conn.execute(query("insert_limit"), keys).fetchone()
    assert row is not None
    return quota._replace(
        quota_limit_id=row[0],
        current_value=limit.value,
        given=limit.basis["given"],
        current_basis=limit.basis,
        current_months=months,
        recorded_at=at,
        **{f"current_{name}": getattr(quota, name) for name in _TOLD},
    )


def _months(quota: Any, value: float) -> list[Decimal] | None:
    """The months of a limit by the quota's plan; None without one."""
    return list(monthly_plan(value, quota.monthly_plan)) if quota.monthly_plan else None


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
