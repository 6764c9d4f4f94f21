"""What a derivation by hand would change, without changing it: derived in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.derivation import Deriver
from storage.remark import mark_points
from storage.slices import bound
from storage.sql import query


@dataclass(frozen=True, slots=True)
class PointChange:
    """What would come of a point: hours that would come out differently, be new or be gone; energy of the time before
    and after, in `unit`.
    """

    site_code: str
    point_code: str
    unit: str
    hours: int
    before: float
    after: float
    estimated_before: float
    estimated_after: float


def rehearse(deriver: Deriver, sites: Sequence[str], from_us: int, to_us: int) -> list[PointChange]:
    """The points that a derivation of the time would change. Raises UnknownSiteError. The sites are locked meanwhile: a
    worker derives others.
    """
    asked = {"codes": list(sites), "from_ts": bound(from_us), "to_ts": bound(to_us)}
    with deriver.rehearsal() as (connection, derive):
        mark_points(connection, sites, from_us, to_us)
        found = connection.execute(
            "select site_id from nengliu.site where cardinality(%(codes)s::text[]) = 0 or site_code = any (%(codes)s)"
            " order by site_id for no key update",
            asked,
        ).fetchall()
        connection.execute(
            "create temp table rehearsal_before on commit drop as"
            " select point_id, hour, consumption, estimated, covered_s, installed_s, method"
            " from nengliu.point_hour limit 0"
        )
        connection.execute(query("rehearsal_keep"), asked)
        derive([site for (site,) in found])
        return [PointChange(*row) for row in connection.execute(query("rehearsal_compare"), asked)]
