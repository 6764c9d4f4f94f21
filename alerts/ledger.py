"""The quota ledger of a site: terms, versions of limits and imports, as known now or as known at a time."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from alerts.limit_store import explain_missing_limits
from alerts.parameters import LimitParameters
from alerts.sql import query

Row = dict[str, Any]
_Key = tuple[str, int, date]

#: What a quota says of its limit, as columns of the ledger and of an import.
_TERMS = {
    "method": "method",
    "base_years": "base_years",
    "reduction_percent": "reduction_percent",
    "given_value": "limit_value",
    "source": "source",
    "approved_by": "approved_by",
    "note": "note",
    "monthly_plan": "monthly_plan",
    "norm": "norm",
}


def site_ledger(
    conn: psycopg.Connection[Any],
    site_code: str,
    parameters: LimitParameters,
    zone: ZoneInfo,
    now: datetime,
    known_at: datetime | None = None,
) -> Row | None:
    """A site's quotas, each with its terms and the versions of its limit, and the newest assessments; None: no such
    site.

    known_at: as was known then: terms imported, limits recorded, assessments made by that time.
    """
    keys = {"site_code": site_code, "known_at": known_at}
    name = conn.execute("select name from nengliu.site where site_code = %(site_code)s", keys).fetchone()
    if name is None:
        return None
    changes = quota_imports(conn, site_code)
    versions = _versions(conn, keys, changes)
    quotas = []
    for row in _fetch(conn, "quotas_of_site", keys):
        key = _key(row)
        known = row if known_at is None else _as_known(row, changes[key], versions[key], known_at)
        if known is not None:
            quotas.append({**known, **_limit_now(versions[key]), "versions": versions[key]})
    if known_at is None:
        _explain(quotas, conn, parameters, zone, now, site_code)
    assessments = _fetch(conn, "newest_assessments_of_site", keys)
    return {"site_code": site_code, "name": name[0], "quotas": quotas, "assessments": assessments}


def quota_imports(conn: psycopg.Connection[Any], site_code: str) -> dict[_Key, list[Row]]:
    """What imports made of each of a site's quotas, oldest first: version, when, by whom, and its terms since."""
    found: dict[_Key, list[Row]] = defaultdict(list)
    for row in _fetch(conn, "ledger_terms", {"site_code": site_code}):
        before, after = row.pop("before") or {}, row.pop("after")
        key = (after["item_code"], after["year"], date.fromisoformat(after["effective_from"]))
        changed = {c: (before.get(c), v) for c, v in after.items() if before.get(c) != v}
        found[key].append({**row, "new": not before, "changed": changed, "terms": after})
    return found


def _versions(
    conn: psycopg.Connection[Any], keys: dict[str, Any], changes: dict[_Key, list[Row]]
) -> dict[_Key, list[Row]]:
    found: dict[_Key, list[Row]] = defaultdict(list)
    for row in _fetch(conn, "ledger_limits", keys):
        key = _key(row)
        row["months"] = None if row["months"] is None else [float(m) for m in row["months"]]
        row["imported_by"] = _importer(changes[key], row["recorded_at"])
        found[key].append({c: v for c, v in row.items() if c not in ("item_code", "year", "effective_from")})
    return found


def _importer(changes: list[Row], recorded_at: datetime) -> str | None:
    """Who had imported the terms that a version was written from; by the event clock limits are older than imports."""
    if not changes:
        return None
    before = [c for c in changes if c["imported_at"] <= recorded_at]
    actor: str = (before[-1] if before else changes[0])["actor"]
    return actor


def _as_known(row: Row, changes: list[Row], versions: list[Row], known_at: datetime) -> Row | None:
    """A quota with the terms that were known then; None: nothing of it was."""
    imported = [c["terms"] for c in changes if c["imported_at"] <= known_at]
    if imported:
        return {**row, **{name: imported[-1].get(column) for name, column in _TERMS.items()}}
    if not versions:
        return None
    # By the event clock a limit may have been known before its terms were imported.
    newest = versions[-1]
    return {**row, **{name: newest[name] for name in ("method", "source", "approved_by", "note")}}


def _limit_now(versions: list[Row]) -> Row:
    current = [v for v in versions if v["superseded_at"] is None]
    newest = current[-1] if current else {}
    names = ("limit_value", "months", "months_source")
    return {**{name: newest.get(name) for name in names}, "reason": None, "reason_zh": None}


def _explain(
    quotas: list[Row],
    conn: psycopg.Connection[Any],
    parameters: LimitParameters,
    zone: ZoneInfo,
    now: datetime,
    site_code: str,
) -> None:
    """Say of quotas without a limit why there is none."""
    missing = {
        (u.item_code, u.year, u.effective_from): u
        for u in explain_missing_limits(conn, parameters, zone, now, [site_code])
    }
    for q in quotas:
        why = missing.get(_key(q)) if q["limit_value"] is None else None
        if why is not None:
            q["reason"], q["reason_zh"] = why.reason, why.reason_zh


def _key(row: Row) -> _Key:
    return row["item_code"], row["year"], row["effective_from"]


def _fetch(conn: psycopg.Connection[Any], name: str, keys: dict[str, Any]) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return list(cursor.execute(query(name), keys).fetchall())
