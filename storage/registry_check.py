"""Whether the rows of a registry fit together: pure checks over a whole registry, problems by file and
line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from metering.contacts import address_problem
from metering.meters import Installation, Point, Quota, Site
from metering.norms import norm_table, parse_norm_terms
from metering.registers import Role
from storage.registry_codes import RegistryCodes
from storage.registry_files import (
    CONTACTS,
    INSTALLATIONS,
    POINTS,
    QUOTAS,
    RULES,
    SITES,
    Placed,
    RegistryFiles,
)
from storage.registry_state import Key, RegistryState

T = TypeVar("T")
Order = tuple[int, int]

_FILES = [layout.name for layout in (SITES, POINTS, INSTALLATIONS, RULES, QUOTAS, CONTACTS)]


def misfits(state: RegistryState, files: RegistryFiles, codes: RegistryCodes) -> list[str]:
    """What does not fit in `state`, the stored registry with `files` laid over it, sorted by file and
    line.
    """
    found = [
        *_point_misfits(state, files),
        *_cycles(state, files),
        *_installation_misfits(state, files),
        *_overlaps(state, files),
        *_double_counts(state, files),
        *_rule_misfits(state, files),
        *_quota_misfits(state, files, codes),
        *_contact_misfits(state, files, codes),
    ]
    return list(dict.fromkeys(found))


def in_order(problems: Iterable[str]) -> list[str]:
    """Problems by file, as the files build on each other, and line."""
    return sorted(problems, key=_order)


def _order(problem: str) -> Order:
    file, _, rest = problem.partition(":")
    line = rest.partition(":")[0]
    return _FILES.index(file) if file in _FILES else -1, int(line) if line.isdigit() else 0


def _knows_site(state: RegistryState, files: RegistryFiles, code: str) -> bool:
    return (code,) in state.sites or (SITES.name, code) in files.refused


def _knows_point(state: RegistryState, files: RegistryFiles, code: str) -> bool:
    return (code,) in state.points or (POINTS.name, code) in files.refused


def _place(rows: Mapping[Key, Placed[T]], key: Key) -> str | None:
    return rows[key].place if key in rows else None


def _named(place: str | None) -> str:
    return f" ({place})" if place else " (in the registry)"


def _point_misfits(state: RegistryState, files: RegistryFiles) -> Iterator[str]:
    for key, point in state.points.items():
        own = _place(files.points, key)
        if own and not _knows_site(state, files, point.site_code):
            yield f"{own}: site_code {point.site_code!r} is not known; add it to sites.csv"
        if point.parent_point_code is None:
            continue
        parent = state.points.get((point.parent_point_code,))
        if parent is None:
            if not _knows_point(state, files, point.parent_point_code):
                yield f"{own}: parent_point_code {point.parent_point_code!r} is not known"
        elif parent.site_code != point.site_code:
            above = _place(files.points, (parent.point_code,))
            yield (
                f"{own or above}: point {point.point_code} of site {point.site_code} has the parent "
                f"{parent.point_code} of another site, {parent.site_code}"
            )


def _cycles(state: RegistryState, files: RegistryFiles) -> Iterator[str]:
    """Each ring of parents once, at its first point that stands in the file."""
    done: set[str] = set()
    for point in state.points.values():
        path: dict[str, None] = {}
        at: Point | None = point
        while at is not None and at.point_code not in done and at.point_code not in path:
            path[at.point_code] = None
            at = state.points.get((at.parent_point_code,)) if at.parent_point_code else None
        if at is not None and at.point_code in path:
            codes = list(path)
            ring = codes[codes.index(at.point_code) :]
            places = [p for code in ring if (p := _place(files.points, (code,)))]
            yield f"{min(places, key=_order)}: parents go round in a ring: {' -> '.join([*ring, ring[0]])}"
        done.update(path)


def _installation_misfits(state: RegistryState, files: RegistryFiles) -> Iterator[str]:
    for key, installation in state.installations.items():
        own = _place(files.installations, key)
        point = state.points.get((installation.point_code,))
        if point is None:
            if not _knows_point(state, files, installation.point_code):
                yield f"{own}: point_code {installation.point_code!r} is not known; add it to points.csv"
            continue
        place = own or _place(files.points, (point.point_code,))
        if place is None or installation.is_void:
            continue
        problem = installation.unit_problem(point.item_code)
        if problem is not None:
            yield f"{place}: {problem}"


def _in_force(state: RegistryState) -> list[tuple[Key, Installation]]:
    in_force = ((key, i) for key, i in state.installations.items() if not i.is_void)
    return sorted(in_force, key=lambda pair: (pair[1].span, pair[0]))


def _overlaps(state: RegistryState, files: RegistryFiles) -> Iterator[str]:
    """One register of one meter at two places, or twice at one, at the same time."""
    last: dict[tuple[str, str], tuple[Key, Installation]] = {}
    for key, installation in _in_force(state):
        register = (installation.meter, installation.register)
        if register in last:
            before_key, before = last[register]
            if installation.span[0] < before.span[1]:
                yield _overlap(files, key, before_key, f"is installed already at {before.point_code}", before)
            if installation.span[1] < before.span[1]:
                continue
        last[register] = (key, installation)


def _double_counts(state: RegistryState, files: RegistryFiles) -> Iterator[str]:
    """Two registers that a point's consumption would be taken from twice."""
    last: dict[tuple[str, str], tuple[Key, Installation]] = {}
    for key, installation in _in_force(state):
        role = installation.kind.role
        if role is Role.INSTANT:
            continue
        counted = (installation.point_code, "total" if role is Role.TOTAL else installation.register)
        if counted in last:
            before_key, before = last[counted]
            same = (before.meter, before.register) == (installation.meter, installation.register)
            if not same and installation.span[0] < before.span[1]:
                what = (
                    f"point {installation.point_code} has register {before.register} of meter {before.meter}"
                )
                yield _overlap(files, key, before_key, what, before)
            if installation.span[1] < before.span[1]:
                continue
        last[counted] = (key, installation)


def _overlap(files: RegistryFiles, key: Key, before_key: Key, what: str, before: Installation) -> str:
    own, other = _place(files.installations, key), _place(files.installations, before_key)
    until = before.removed_at.isoformat() if before.removed_at else "now on"
    where = f"from {before.installed_at.isoformat()} to {until}{_named(other if own else None)}"
    meter, register = key[0], key[1]
    return f"{own or other}: register {register} of meter {meter}: {what} {where}; end that row first"


def _rule_misfits(state: RegistryState, files: RegistryFiles) -> Iterator[str]:
    for row in files.rules.values():
        if row.value.scope == "point" and not _knows_point(state, files, row.value.key):
            yield f"{row.place}: point {row.value.key!r} is not known; add it to points.csv"


def _quota_misfits(state: RegistryState, files: RegistryFiles, codes: RegistryCodes) -> Iterator[str]:
    for row in files.quotas.values():
        if (problem := _never_in_force(row.value)) is not None:
            yield f"{row.place}: {problem}"
        site = state.sites.get((row.value.site_code,))
        if site is not None:
            problem = _norm_misfit(row.value, site, codes)
            if problem is not None:
                yield f"{row.place}: {problem}"
        elif not _knows_site(state, files, row.value.site_code):
            yield f"{row.place}: site_code {row.value.site_code!r} is not known; add it to sites.csv"


def _never_in_force(quota: Quota) -> str | None:
    """Why a quota can never judge anything."""
    if quota.effective_from.year > quota.year:
        return (
            f"effective_from {quota.effective_from} is after the year {quota.year}: the limit would never be in force; "
            f"use a day of the year, such as {quota.year}-01-01 (when it became known is kept with the import)"
        )
    if quota.method == "own_or_peers" and quota.limit_value is None and not quota.base_years:
        return "method own_or_peers needs base_years, such as 2011 or 2009;2010;2011"
    return None


def _norm_misfit(quota: Quota, site: Site, codes: RegistryCodes) -> str | None:
    """Why a limit by norm can never be computed for the site as it is; a type without a norm is no error."""
    if quota.method != "norm" or quota.limit_value is not None:
        return None
    if site.building_type is None:
        return f"method norm needs the building_type of site {site.site_code}, which has none"
    problem = codes.problem("building_type", f"building_type of site {site.site_code}", site.building_type)
    if problem is not None:
        return problem
    name = parse_norm_terms(quota.norm).norm
    if name is None or norm_table()[name].building_type == site.building_type:
        return None
    return f"norm {name} is not of building type {site.building_type}, that of site {site.site_code}"


def _contact_misfits(state: RegistryState, files: RegistryFiles, codes: RegistryCodes) -> Iterator[str]:
    for row in files.contacts.values():
        if (wrong := address_problem(row.value.channel, row.value.address)) is not None:
            yield f"{row.place}: address: {wrong}"
        scope = row.value.site_code
        kind, colon, name = scope.partition(":")
        if scope == "city" or (colon and kind == "district"):
            continue
        if colon and kind == "sector":
            problem = codes.problem("sector", "sector", name)
            if problem is not None:
                yield f"{row.place}: {problem}"
        elif not _knows_site(state, files, scope):
            yield (
                f"{row.place}: site_code {scope!r} is not known; expected a site, district:110108, "
                "sector:buildings or city"
            )
