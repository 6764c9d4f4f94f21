"""What a derivation by hand would change, without changing it: derived in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from storage.derivation import Deriver
from storage.remark import mark_points
from storage.slices import bound
from storage.sql import query


@dataclass(frozen=True, slots=True)
class PointChange:
    """What would come of a point: hours that would be written or taken away, energy before and after in `unit`."""

    site_code: str
    point_code: str
    unit: str
    hours: int
    before: float
    after: float
    estimated_before: float
    estimated_after: float


def rehearse(
    deriver: Deriver, stored: psycopg.Connection[Any], sites: Sequence[str], from_us: int, to_us: int
) -> list[PointChange]:
    """The points that a derivation of the time would change; `stored` sees what is committed. Raises
    UnknownSiteError. The sites are locked meanwhile: a worker derives others.
    """
    row = stored.execute("select nextval('nengliu.energy_revision')").fetchone()
    asked = {
        "codes": list(sites),
        "from_ts": bound(from_us),
        "to_ts": bound(to_us),
        "revision": row[0] if row else 0,
    }
    before = _figures(stored.execute(query("derive_compare"), asked).fetchall())
    with deriver.rehearsal() as (connection, derive):
        mark_points(connection, sites, from_us, to_us)
        found = connection.execute(
            "select site_id from nengliu.site where cardinality(%(codes)s::text[]) = 0 or site_code = any (%(codes)s)"
            " order by site_id for no key update",
            asked,
        ).fetchall()
        derive([site for (site,) in found])
        after = _figures(connection.execute(query("derive_compare"), asked).fetchall())
    return [
        change
        for key in sorted(before.keys() | after.keys())
        if (change := _change(key, before, after)).hours
    ]


_Figures = dict[tuple[str, str, str], tuple[int, float, float, int]]


def _figures(rows: Sequence[tuple[Any, ...]]) -> _Figures:
    return {(site, point, unit): tuple(rest) for site, point, unit, *rest in rows}


def _change(key: tuple[str, str, str], before: _Figures, after: _Figures) -> PointChange:
    none = 0, 0.0, 0.0, 0
    hours, was, estimated_was, _ = before.get(key, none)
    left, consumption, estimated, fresh = after.get(key, none)
    gone = max(hours - left, 0)
    return PointChange(*key, fresh + gone, was, consumption, estimated_was, estimated)
