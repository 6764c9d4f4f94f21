"""How good alerts are, by what was truly used: pure, over days counted from the first one."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deploy.bench.alert_truth import Building, Flaw

#: Alerts about what was used, with the share of the limit that is passed.
FACTS = {"quota_over": 1.0, "quota_severe": 1.2}
FORECAST = "quota_forecast_over"
#: The same, the provisional ones counted too.
OPENED = "quota_forecast_over, opened"
#: An alert is in time up to so many days after the limit was passed; where a flaw lay over these days, after it.
TOLERANCE_DAYS = 3
#: A flaw explains a retraction if it lay so many days or less before the alert.
_REACH_DAYS = 3


@dataclass(frozen=True, slots=True)
class Spell:
    """An alert's life in days: opened, confirmed (None: never), ended (None: still open) and how it ended."""

    site_code: str
    rule: str
    opened: int
    confirmed: int | None
    ended: int | None = None
    how: str | None = None
    note: str | None = None

    @property
    def stands(self) -> bool:
        """Whether it was confirmed, and not taken back."""
        return self.confirmed is not None and self.how != "retracted"


def spells(steps: Iterable[tuple[int, str, str, int, str, str | None]]) -> list[Spell]:
    """Alerts of (alert, site, rule, day, state, note) in their order."""
    lives: dict[int, list[tuple[str, str, int, str, str | None]]] = {}
    for alert_id, site, rule, day, state, note in steps:
        lives.setdefault(alert_id, []).append((site, rule, day, state, note))
    found = []
    for life in lives.values():
        site, rule, opened, _, _ = life[0]
        confirmed = next((on for _, _, on, became, _ in life if became == "confirmed"), None)
        _, _, day, state, note = life[-1]
        ended = (day, state, note) if state in ("resolved", "retracted") else (None, None, None)
        found.append(Spell(site, rule, opened, confirmed, *ended))
    return found


@dataclass(slots=True)
class FactScore:
    """Sites of which a rule about what was used is right (and how many of these late, for a flaw), wrong or silent."""

    right: int = 0
    after_flaw: int = 0
    wrong: list[dict[str, Any]] = field(default_factory=list)
    missed: list[dict[str, Any]] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """With precision and recall."""
        return {
            "right": self.right,
            "after_flaw": self.after_flaw,
            "wrong": self.wrong,
            "missed": self.missed,
            "precision": _share(self.right, len(self.wrong)),
            "recall": _share(self.right, len(self.missed)),
        }


@dataclass(slots=True)
class WarningScore:
    """Sites that were warned in time, with the days of warning, in vain, or not."""

    days: list[int] = field(default_factory=list)
    wrong: list[dict[str, Any]] = field(default_factory=list)
    missed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, spans: Sequence[tuple[int, int | None]], passed: int | None, about: dict[str, Any]) -> None:
        """Score a building's warnings, each from a day on until one (None: still there)."""
        if passed is None:
            if spans:
                self.wrong.append({**about, "spells": list(spans)})
            return
        standing = [begin for begin, end in spans if begin < passed and (end is None or end >= passed)]
        if standing:
            self.days.append(passed - standing[0])
        else:
            self.missed.append({**about, "passed": passed})

    def report(self) -> dict[str, Any]:
        """With precision, recall and days of warning."""
        return {
            "right": len(self.days),
            "wrong": self.wrong,
            "missed": self.missed,
            "precision": _share(len(self.days), len(self.wrong)),
            "recall": _share(len(self.days), len(self.missed)),
            "days_of_warning": statistics.median(self.days) if self.days else None,
            "days_of_warning_p10": float(np.percentile(self.days, 10)) if self.days else None,
        }


@dataclass(slots=True)
class Score:
    """What is scored of one or several runs. retracted: each with what explains it; warnings: of those that were
    confirmed; opened: of all of them.
    """

    facts: dict[str, FactScore] = field(default_factory=lambda: {rule: FactScore() for rule in FACTS})
    warnings: WarningScore = field(default_factory=WarningScore)
    opened: WarningScore = field(default_factory=WarningScore)
    retracted: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, seed: int, buildings: Sequence[Building], first: int, days: int, found: list[Spell]
    ) -> None:
        """Score a run; first, days: the days of the year that is judged."""
        of_site: dict[str, list[Spell]] = {}
        for spell in found:
            of_site.setdefault(spell.site_code, []).append(spell)
        for b in buildings:
            own = of_site.get(b.code, [])
            about = {"seed": seed, "site": b.code, "aim": b.aim, "flaw": _told(b.flaw)}
            for rule, share in FACTS.items():
                passed = passed_on(b, share, first, days)
                self._fact(self.facts[rule], [s for s in own if s.rule == rule], passed, b.flaw, about)
            feared, passed = [s for s in own if s.rule == FORECAST], passed_on(b, 1.0, first, days)
            self.opened.add([(s.opened, s.ended) for s in feared], passed, about)
            confirmed = [(s.confirmed, s.ended) for s in feared if s.confirmed is not None]
            self.warnings.add(confirmed, passed, about)

    def _fact(
        self, score: FactScore, own: list[Spell], passed: int | None, flaw: Flaw | None, about: dict[str, Any]
    ) -> None:
        for spell in own:
            if spell.how == "retracted" and spell.confirmed is not None:
                ended = spell.ended if spell.ended is not None else spell.confirmed
                explained = flaw is not None and flaw.touches(spell.confirmed, ended, _REACH_DAYS)
                self.retracted.append(
                    {**about, "rule": spell.rule, "confirmed": spell.confirmed, "retracted": spell.ended,
                     "note": spell.note, "explained": explained}
                )  # fmt: skip
        standing = [s for s in own if s.stands and s.confirmed is not None]
        told = standing[0].confirmed if standing else None
        explained = flaw is not None and told is not None and flaw.touches(told, told, _REACH_DAYS)
        verdict = {**about, "passed": passed, "confirmed": told, "explained": explained}
        if not standing:
            if passed is not None:
                score.missed.append(verdict)
            return
        if passed is None or told is None or told < passed - 1:
            score.wrong.append(verdict)
        elif told <= passed + TOLERANCE_DAYS:
            score.right += 1
        elif flaw is not None and flaw.first <= passed <= flaw.last and told <= flaw.last + TOLERANCE_DAYS:
            score.right += 1
            score.after_flaw += 1
        else:
            score.missed.append(verdict)

    def report(self) -> dict[str, Any]:
        """All figures."""
        return {
            **{rule: score.report() for rule, score in self.facts.items()},
            FORECAST: self.warnings.report(),
            OPENED: self.opened.report(),
            "retracted": self.retracted,
            "retracted_unexplained": sum(not r["explained"] for r in self.retracted),
        }


def passed_on(b: Building, share: float, first: int, days: int) -> int | None:
    """The day on which what was truly used passes a share of the limit; None: it does not."""
    used = np.cumsum(b.true_kwh[first * 24 : (first + days) * 24].reshape(days, 24).sum(axis=1))
    over = np.flatnonzero(used > share * b.limit_kwh)
    return first + int(over[0]) if len(over) else None


def limits_off(buildings: Sequence[Building], limits: Mapping[str, float]) -> list[str]:
    """Sites whose limit is not, to a hundredth of a percent, what it truly is."""
    return [b.code for b in buildings if not abs(limits.get(b.code, 0.0) - b.limit_kwh) <= 1e-4 * b.limit_kwh]


def _share(right: int, others: int) -> float | None:
    return round(right / (right + others), 4) if right + others else None


def _told(flaw: Flaw | None) -> dict[str, Any] | None:
    if flaw is None:
        return None
    return {"kind": flaw.kind, "first": flaw.first, "last": flaw.last, "size": round(flaw.size, 3)}
