"""Norms of energy use by building type, and announcements of limits: data, each with its source and confidence.

Norms are yearly electricity per m2 of floor area, heating excluded (norms.csv beside this file). A quota names its
norm by `NormTerms`. Corrections (norm_corrections.csv) apply to the measured value; so a limit on what is measured is
the norm divided by them.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

#: Norms are of the electricity of a whole building.
NORM_ITEM = "01"
KINDS = ("constraint", "guide")
_NUMBER = re.compile(r"\d+(\.\d*)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Norm:
    """A norm of buildings of a type: constraint and guide value in `unit`, kWh/(m2.a)."""

    norm: str
    building_type: str
    name_en: str
    name_zh: str
    ventilation: str
    constraint: float
    guide: float
    unit: str
    zone: str
    source: str
    confidence: str

    def value(self, kind: str) -> float:
        """Its constraint or its guide value."""
        return self.constraint if kind == "constraint" else self.guide


@dataclass(frozen=True, slots=True)
class Correction:
    """A factor on the measured value: fixed + slope x parameter / reference, or reference / parameter if `inverse`.

    norms: what the names of norms that it is for begin with.
    """

    parameter: str
    norms: tuple[str, ...]
    unit: str
    fixed: float
    slope: float
    reference: float
    inverse: bool
    source: str
    confidence: str

    def factor(self, value: float) -> float:
        """The factor for a value of the parameter, above zero."""
        return self.fixed + self.slope * (self.reference / value if self.inverse else value / self.reference)


@dataclass(frozen=True, slots=True)
class Announcement:
    """How limits of some years are set, as far as it was read; None: not stated."""

    announcement: str
    from_year: int | None
    to_year: int | None
    method: str
    base_years: tuple[int, ...]
    reduction_percent: float | None
    best_percent_exempt: float | None
    title_en: str
    title_zh: str
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class NormTerms:
    """What a quota says of its norm. norm None: the only one of the site's building type; corrections by parameter."""

    norm: str | None = None
    kind: str = "constraint"
    corrections: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class NoNorm:
    """Why no norm applies, in English and Chinese."""

    reason: str
    reason_zh: str


@cache
def norm_table() -> dict[str, Norm]:
    """The shipped norms by name."""
    return {
        row["norm"]: Norm(
            row["norm"],
            row["building_type"],
            row["name_en"],
            row["name_zh"],
            row["ventilation"],
            float(row["constraint"]),
            float(row["guide"]),
            row["unit"],
            row["zone"],
            row["source"],
            row["confidence"],
        )
        for row in _rows("norms.csv")
    }


@cache
def correction_table() -> dict[str, Correction]:
    """The shipped corrections by parameter."""
    return {
        row["parameter"]: Correction(
            row["parameter"],
            tuple(row["norms"].split(";")),
            row["unit"],
            float(row["fixed"]),
            float(row["slope"]),
            float(row["reference"]),
            row["inverse"] == "true",
            row["source"],
            row["confidence"],
        )
        for row in _rows("norm_corrections.csv")
    }


@cache
def announcements() -> tuple[Announcement, ...]:
    """The shipped announcements."""
    return tuple(
        Announcement(
            row["announcement"],
            _whole(row["from_year"]),
            _whole(row["to_year"]),
            row["method"],
            tuple(int(y) for y in row["base_years"].split(";") if y),
            _number(row["reduction_percent"]),
            _number(row["best_percent_exempt"]),
            row["title_en"],
            row["title_zh"],
            row["source"],
            row["confidence"],
        )
        for row in _rows("quota_announcements.csv")
    )


def parse_norm_terms(cell: str | None) -> NormTerms:
    """The terms in a cell such as `commercial_office_B;guide;hours=3000`; empty: the type's only constraint value.

    Raises ValueError for what is not known.
    """
    norm, kind = None, None
    corrections: dict[str, float] = {}
    for part in (p.strip() for p in (cell or "").split(";")):
        name, equals, value = part.partition("=")
        if not part:
            continue
        if equals:
            corrections[name] = _parameter(name, value, corrections)
        elif part in KINDS and kind is None:
            kind = part
        elif part in norm_table() and norm is None:
            norm = part
        else:
            raise ValueError(f"{part!r} is not one of {', '.join((*norm_table(), *KINDS))}")
    unfit = [p for p in corrections if norm is not None and not _corrects(p, norm)]
    if unfit:
        raise ValueError(f"{unfit[0]} corrects {' and '.join(correction_table()[unfit[0]].norms)} only")
    return NormTerms(norm, kind or KINDS[0], tuple(corrections.items()))


def norm_for(terms: NormTerms, building_type: str | None, item_code: str) -> Norm | NoNorm:
    """The norm that terms name for a site of a building type, or why there is none."""
    if item_code != NORM_ITEM:
        return NoNorm(
            f"norms are of item {NORM_ITEM}, the electricity of the whole building, not of {item_code}",
            f"定额只适用于分项 {NORM_ITEM} (整栋建筑用电), 不适用于 {item_code}",
        )
    if building_type is None:
        return NoNorm("the site has no building type, so no norm", "没有建筑类型, 因此没有定额")
    fitting = [n for n in norm_table().values() if n.building_type == building_type]
    if not fitting:
        return NoNorm(
            f"there is no norm of building type {building_type}", f"没有建筑类型 {building_type} 的定额"
        )
    named = [n for n in fitting if terms.norm in (None, n.norm)]
    if not named:
        return NoNorm(
            f"norm {terms.norm} is not of building type {building_type}",
            f"定额 {terms.norm} 不属于建筑类型 {building_type}",
        )
    if len(named) > 1:
        names = ", ".join(n.norm for n in named)
        return NoNorm(
            f"several norms are of building type {building_type}: name one in column norm ({names})",
            f"建筑类型 {building_type} 有多个定额: 请在 norm 列写明一个 ({names})",
        )
    unfit = [p for p, _ in terms.corrections if not _corrects(p, named[0].norm)]
    if unfit:
        return NoNorm(
            f"norm {named[0].norm} has no correction by {unfit[0]}",
            f"定额 {named[0].norm} 没有按 {unfit[0]} 的修正",
        )
    return named[0]


def correction_of(terms: NormTerms) -> float:
    """The factor on the measured value, 1 without corrections."""
    return math.prod(correction_table()[name].factor(value) for name, value in terms.corrections)


def _corrects(parameter: str, norm: str) -> bool:
    return norm.startswith(correction_table()[parameter].norms)


def _parameter(name: str, value: str, known: dict[str, float]) -> float:
    if name not in correction_table():
        raise ValueError(f"{name!r} is no parameter; known are {', '.join(correction_table())}")
    if name in known:
        raise ValueError(f"{name} is named twice")
    if not _NUMBER.match(value) or not math.isfinite(float(value)) or float(value) <= 0:
        raise ValueError(f"{name} {value!r} must be a number above zero")
    return float(value)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _whole(text: str) -> int | None:
    return int(text) if text else None


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = files("metering").joinpath(name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())
