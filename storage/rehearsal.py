"""What a derivation by hand would change, without changing it: derived in transactions that are rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage.derivation import Deriver
from storage.remark import known_sites, mark_points
from storage.slices import bound
from storage.sql import query

#: So many sites are locked at a time, and kept from the workers.
SITES_AT_ONCE = 20


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


def rehearse(
    deriver: Deriver, sites: Sequence[str], from_us: int, to_us: int
) -> Iterator[tuple[int, int, list[PointChange]]]:
    """The points that a derivation of the time would change, some sites at a time: how many sites of how many were
    looked at, and the changes in those since. Raises UnknownSiteError. These sites are locked meanwhile: a worker
    derives others.
    """
    with deriver.rehearsal() as (connection, _):
        codes = known_sites(connection, sites)
    for n in range(0, len(codes), SITES_AT_ONCE):
        some = codes[n : n + SITES_AT_ONCE]
        yield n + len(some), len(codes), _rehearse(deriver, some, from_us, to_us)


def _rehearse(deriver: Deriver, sites: Sequence[str], from_us: int, to_us: int) -> list[PointChange]:
    asked = {"codes": list(sites), "from_ts": bound(from_us), "to_ts": bound(to_us)}
    with deriver.rehearsal() as (connection, derive):
        mark_points(connection, sites, from_us, to_us)
        found = connection.execute(
            "select site_id from nengliu.site where site_code = any (%(codes)s) order by site_id for no key update",
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
