"""What an import of the registry changes in energy: spans of points and roots, and which times to derive
again. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from metering.meters import Installation, Point
from metering.registers import Role
from metering.rules import RuleBook, Rules
from metering.spans import PlacedPoint, Span, root_spans, symmetric_difference, union
from storage.registry_state import Key, RegistryState


@dataclass(frozen=True)
class SitePlan:
    """The points of a site with the installations that energy is taken from (not void, no instant
    registers).
    """

    points: dict[str, Point] = field(default_factory=dict)
    installations: dict[str, dict[Key, Installation]] = field(default_factory=dict)
    rules: RuleBook = field(default_factory=RuleBook)

    def rules_of(self, installation: Installation) -> Rules:
        """The rules that judge an installed register."""
        point = self.points[installation.point_code]
        return self.rules.of(point.item_code, installation.model, point.point_code)

    @cached_property
    def installed(self) -> dict[str, list[Span]]:
        """When a register is installed that each point's consumption is taken from (normal)."""
        counted = (Role.TOTAL, Role.TARIFF)
        rows = {code: self.installations.get(code, {}).values() for code in self.points}
        return {code: union(i.span for i in found if i.kind.role in counted) for code, found in rows.items()}

    @cached_property
    def roots(self) -> dict[tuple[str, str], list[Span]]:
        """When each point counts for an item of the site: (item, point code) -> spans."""
        placed = {
            code: PlacedPoint(p.item_code, p.parent_point_code, self.installed[code])
            for code, p in self.points.items()
        }
        return root_spans(placed)


def plans_of(state: RegistryState, site_codes: Iterable[str]) -> dict[str, SitePlan]:
    """The plans of the given sites; a site without points has an empty one."""
    rules = RuleBook(state.rules.values())
    plans = {code: SitePlan(rules=rules) for code in site_codes}
    for point in state.points.values():
        if point.site_code in plans:
            plans[point.site_code].points[point.point_code] = point
    for key, installation in state.installations.items():
        point = state.points[installation.point_code,]
        if (
            point.site_code in plans
            and not installation.is_void
            and installation.kind.role is not Role.INSTANT
        ):
            plans[point.site_code].installations.setdefault(point.point_code, {})[key] = installation
    return plans


def touched_sites(before: RegistryState, after: RegistryState, keys: Mapping[str, Iterable[Key]]) -> set[str]:
    """Sites whose energy the changed rows may touch; `keys`: keys of changed rows by kind."""
    points = {p for key in keys["point"] for p in (before.points.get(key), after.points.get(key)) if p}
    for key in keys["installation"]:
        for state in (before, after):
            if key in state.installations:
                points.add(state.points[state.installations[key].point_code,])
    if keys["rule"]:
        points |= _judged_otherwise(before, after)
    sites = {p.site_code for p in points}
    # A point that moved between sites belongs to the one of before, too.
    return sites | {q.site_code for p in points if (q := before.points.get((p.point_code,)))}


def _judged_otherwise(before: RegistryState, after: RegistryState) -> set[Point]:
    """Points with an installation that other rules judge."""
    old, new = RuleBook(before.rules.values()), RuleBook(after.rules.values())
    placed = ((i, after.points[i.point_code,]) for i in after.installations.values())
    return {
        p for i, p in placed if (of := (p.item_code, i.model, p.point_code)) and old.of(*of) != new.of(*of)
    }


def balanced_otherwise(before: RegistryState, after: RegistryState) -> set[str]:
    """Points that other rules judge, that belong to another family, with these totals, or that are read or displayed
    otherwise: their balance may differ where their energy does not.
    """
    moved = {
        p
        for key, point in after.points.items()
        if (was := before.points.get(key)) is not None
        and (was.parent_point_code, was.item_code) != (point.parent_point_code, point.item_code)
        for p in (point.point_code, point.parent_point_code, was.parent_point_code)
        if p is not None
    }
    read = {
        i.point_code
        for key, i in after.installations.items()
        if (old := before.installations.get(key)) is not None
        and (old.interval_s, old.decimals) != (i.interval_s, i.decimals)
    }
    return moved | read | {p.point_code for p in _judged_otherwise(before, after)}


def affected(before: SitePlan, after: SitePlan) -> dict[str, list[Span]]:
    """When the energy of each point, or what it counts for, may differ: point code -> normal list, never
    empty.
    """
    spans: dict[str, list[Span]] = defaultdict(list)
    for code in {**before.points, **after.points}:
        spans[code] += _energy_change(before, after, code)
        for total in _other_totals(before, after, code):
            spans[total] += union([*before.installed.get(code, ()), *after.installed.get(code, ())])
    old, new = before.roots, after.roots
    for item, code in {**old, **new}:
        spans[code] += symmetric_difference(old.get((item, code), []), new.get((item, code), []))
    return {code: merged for code, found in spans.items() if (merged := union(found))}


def _energy_change(before: SitePlan, after: SitePlan, code: str) -> list[Span]:
    old, new = before.installations.get(code, {}), after.installations.get(code, {})
    changed = [span for key in {**old, **new} for span in _row_change(old.get(key), new.get(key))]
    changed += [
        new[key].span for key in old.keys() & new if before.rules_of(old[key]) != after.rules_of(new[key])
    ]
    was, now = before.points.get(code), after.points.get(code)
    if (
        was is None
        or now is None
        or (was.item_code, was.rated_per_hour) != (now.item_code, now.rated_per_hour)
    ):
        changed += [i.span for rows in (old, new) for i in rows.values()]
    return changed


def _other_totals(before: SitePlan, after: SitePlan, code: str) -> set[str]:
    """Points that a point is newly, or no longer, right below: what these did not measure is told by their children."""
    was, now = before.points.get(code), after.points.get(code)
    known = {p.parent_point_code for p in (was, now) if p is not None and p.parent_point_code is not None}
    if was is not None and now is not None and was.parent_point_code == now.parent_point_code:
        return set()
    return {parent for parent in known if parent in before.points or parent in after.points}


def _row_change(old: Installation | None, new: Installation | None) -> list[Span]:
    """When an installation row that is new, gone or changed gives other energy."""
    if old is None or new is None:
        return [i.span for i in (old, new) if i]
    if (
        replace(
            new,
            removed_at=old.removed_at,
            end_value=old.end_value,
            gateway=old.gateway,
            protocol=old.protocol,
            model=old.model,
        )
        != old
    ):
        return [old.span, new.span]
    ends = symmetric_difference([old.span], [new.span])
    if not ends and old.end_value != new.end_value:
        # Only the value at the end moved: the step that it closes.
        end = new.span[1]
        return [(end - 1, end)]
    return ends
