"""The metering points of a site: which uses it has, and the tree of totals and sub-meters above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, log, log10

import numpy as np

from metering.items import item_table
from simulators.fleet.meters import MeterMaker
from simulators.fleet.plan import FleetPoint, FleetSite
from simulators.fleet.tables import MixPart, SiteKind, mixes, uses

#: Below this electric peak a site has no meters under 01A, 01B …
_DETAIL_KW = 170.0
#: Uses that stand for all of a sub-item where there are no meters below it.
_WHOLE = {"01A": "lighting_all", "01B": "hvac_all", "01C": "power_all"}
#: … unless one use is more than this share of it.
_MOSTLY = 0.7
#: Shares of an electric mix add up to this: not everything peaks at once.
_COINCIDENCE = 1.25
#: Usual peak of a branch as a share of what it is rated for, when it is sized.
_SIZED_AT = 0.7
#: More than any loss above its children (see simulated_loads.py), so that a total stays below its rating too.
_HEADROOM = 1.065
#: Shares of sites with two transformers, each with a total of its own, and of sites with no total at all.
_TWO_TOTALS, _NO_TOTAL = 0.08, 0.06


@dataclass(frozen=True, slots=True)
class Branch:
    """A point to be: a use with its peak an hour, or, with no use, the sum of `below`."""

    item_code: str
    name: str
    use: str = ""
    peak: float = 0.0
    below: tuple[Branch, ...] = ()

    def rated(self) -> float:
        """Rated capacity, in unit per hour: never less than what its children can take together."""
        if self.use:
            return _rounded_up(self.peak / _SIZED_AT)
        return _rounded_up(sum(b.rated() for b in self.below) * _HEADROOM)


def grow_points(
    site: FleetSite, kind: SiteKind, number: int, first: int, meters: MeterMaker, chance: np.random.Generator
) -> list[FleetPoint]:
    """The points of a site; `number`: its index, `first`: index of its first point in the plan."""
    points: list[FleetPoint] = []
    taken: dict[str, int] = {}

    def place(branch: Branch, parent: int | None) -> None:
        rated = branch.rated()
        taken[branch.item_code] = taken.get(branch.item_code, 0) + 1
        same = taken[branch.item_code]
        meter = meters.make(
            site.district_code, branch.item_code, rated, is_root=parent is None, chance=chance
        )
        points.append(
            FleetPoint(
                point_code=f"{site.site_code}-{branch.item_code}" + (f"-{same}" if same > 1 else ""),
                site=number,
                item_code=branch.item_code,
                name=branch.name,
                parent=parent,
                rated_per_hour=rated,
                meter=meter.number,
                register=meter.register,
                unit=meter.unit,
                face=meter.face,
                instants=meter.instants,
                use=branch.use,
            )
        )
        own = first + len(points) - 1
        for below in branch.below:
            place(below, own)

    for root in _roots(site, kind, chance):
        place(root, None)
    return points


def _roots(site: FleetSite, kind: SiteKind, chance: np.random.Generator) -> list[Branch]:
    parts = _chosen(mixes()[kind.site_kind], chance)
    peak_kw = site.floor_area_m2 * chance.uniform(*kind.w_m2) / 1000
    low, high = kind.area
    size = log(site.floor_area_m2 / low) / log(high / low)
    electric = [p for p in parts if uses()[p.use].item_code.startswith("01")]
    scale = peak_kw * _COINCIDENCE / sum(p.share for p in electric)
    leaves = [b for p in electric for b in _copies(p, p.share * scale, size, chance)]
    if peak_kw < _DETAIL_KW:
        leaves = _merged(leaves)
    roots = _heads(leaves, chance)
    for part in parts:
        if part not in electric:
            peak = part.share * site.floor_area_m2 / 1000 * chance.uniform(0.7, 1.3)
            copies = _copies(part, peak, size * chance.random(), chance)
            roots.append(_joined(uses()[part.use].item_code, tuple(copies)))
    return roots


def _chosen(parts: Sequence[MixPart], chance: np.random.Generator) -> list[MixPart]:
    """The parts that a site has, each with a share of its own; one source of heat and one of cold."""
    found = [
        replace(p, share=p.share * chance.uniform(0.65, 1.35)) for p in parts if chance.random() < p.chance
    ]
    there = {p.use for p in found}
    barred: set[str] = set()
    if "cooling" in there:
        barred |= {"chiller", "chiller_day", "chilled_pump"}
    if not there & {"chiller", "chiller_day"}:
        barred.add("chilled_pump")
    if "heat" in there:
        barred.add("gas_boiler")
    return [p for p in found if p.use not in barred]


def _copies(part: MixPart, peak: float, size: float, chance: np.random.Generator) -> list[Branch]:
    """The meters of a use: more of them in larger sites."""
    use = uses()[part.use]
    n = max(1, min(part.copies, round(part.copies * size * chance.uniform(0.5, 1.1))))
    shares = chance.uniform(0.6, 1.4, n)
    shares /= shares.sum()
    return [
        Branch(
            use.item_code,
            f"{use.name_zh}{i} · {use.name_en} {i}" if n > 1 else f"{use.name_zh} · {use.name_en}",
            part.use,
            float(peak * share),
        )
        for i, share in enumerate(shares, start=1)
    ]


def _merged(leaves: Sequence[Branch]) -> list[Branch]:
    """One branch for each of 01A, 01B …"""
    merged = []
    for code in sorted({b.item_code[:3] for b in leaves}):
        group = [b for b in leaves if b.item_code.startswith(code)]
        largest = max(group, key=lambda b: b.peak)
        peak = sum(b.peak for b in group)
        same = sum(b.peak for b in group if b.use == largest.use)
        use = largest.use if same > _MOSTLY * peak else _WHOLE.get(code, largest.use)
        merged.append(Branch(code, _item_name(code), use, peak))
    return merged


def _heads(leaves: Sequence[Branch], chance: np.random.Generator) -> list[Branch]:
    """The electricity of a site below its total; some have two totals, some none."""
    groups = [_tree(code, leaves) for code in sorted({b.item_code[:3] for b in leaves})]
    drawn = chance.random()
    if drawn < _NO_TOTAL:
        return groups
    if drawn < _NO_TOTAL + _TWO_TOTALS and len(groups) > 2:
        by_size = sorted(groups, key=lambda g: -g.rated())
        halves = [by_size[:1], by_size[1:]]
        return [
            Branch("01", f"{i}号变压器总表 · Transformer {i}, total", below=tuple(half))
            for i, half in enumerate(halves, start=1)
        ]
    return [Branch("01", "总电表 · Electricity, total", below=tuple(groups))]


def _tree(code: str, leaves: Sequence[Branch]) -> Branch:
    """The branches of `leaves` below the sub-item `code`, which all of them in it lie under."""
    under = [b for b in leaves if b.item_code.startswith(code)]
    below = [b for b in under if b.item_code == code]
    deeper = sorted({b.item_code[: len(code) + 1] for b in under if b.item_code != code})
    below += [_tree(d, under) for d in deeper]
    return _joined(code, tuple(below))


def _joined(code: str, below: tuple[Branch, ...]) -> Branch:
    """A point above `below`, where there is more than one."""
    return below[0] if len(below) == 1 else Branch(code, _item_name(code), below=below)


def _item_name(code: str) -> str:
    item = item_table()[code]
    return f"{item.name_zh} · {item.name_en}"


def _rounded_up(value: float) -> float:
    """`value`, up to two significant digits and never below it."""
    step = 10.0 ** (floor(log10(value)) - 1)
    return float(f"{np.ceil(value / step) * step:.6g}")
