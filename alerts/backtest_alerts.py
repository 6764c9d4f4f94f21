"""How well the forecast rule warns: its alerts over past years of buildings, against which limits were passed.

`python -m alerts.backtest_alerts DIR` takes limits of 2011 less 2, 4, 6 and 12% for each building of the Cambridge
University Estates archive and prints, for the shipped rule and for plainer ones, the years that were warned of. The
forecasts are made with parameters that never saw the building or the year (backtest_honest.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from alerts.assessment import Assessments
from alerts.backtest import Backtest, read_archive, read_areas
from alerts.backtest_honest import forecasts, honest_plans
from alerts.lifecycle import Observation, State, observe
from alerts.parameter_file import shipped_parameters
from alerts.parameters import LevelThresholds, RuleParameters
from alerts.rules import RULES, judge

CUTS = (0.02, 0.04, 0.06, 0.12)
BASE_YEAR = 2011


@dataclass(frozen=True, slots=True)
class WarnedYear:
    """A building-year under a limit. passed: day of the year on which the limit was passed, None if it was kept.

    spells: (opened, confirmed or None, resolved or None) of its alerts, as days of the year.
    """

    building: str
    year: int
    passed: int | None
    spells: tuple[tuple[int, int | None, int | None], ...]

    @property
    def lead_days(self) -> int | None:
        """Days that an alert had stood when the limit was passed; None: none stood."""
        return self._lead((o, r) for o, _, r in self.spells)

    @property
    def confirmed_days(self) -> int | None:
        """Days that it had been confirmed; None: it was not."""
        return self._lead((c, r) for _, c, r in self.spells if c is not None)

    @property
    def confirmed(self) -> bool:
        """Whether any of its alerts was ever confirmed."""
        return any(c is not None for _, c, _ in self.spells)

    def _lead(self, spans: Iterable[tuple[int, int | None]]) -> int | None:
        if self.passed is None:
            return None
        standing = [o for o, r in spans if o < self.passed and (r is None or r > self.passed)]
        return self.passed - standing[0] if standing else None


def warned_years(
    daily: pd.DataFrame, limits: Mapping[str, float], rule: RuleParameters, levels: LevelThresholds
) -> list[WarnedYear]:
    """What the forecast rule does in each building-year of `daily` (Backtest.run with step_days=1)."""
    out = []
    for _, rows in daily.sort_values("as_of").groupby(["building", "year"]):
        building, year = str(rows["building"].iloc[0]), int(rows["year"].iloc[0])
        limit, n = limits[building], len(rows)
        used = rows["used"].to_numpy()
        a = Assessments(
            np.zeros(n, dtype=np.int64), np.arange(n), used, np.full(n, limit), rows["p10"].to_numpy(),
            rows["p50"].to_numpy(), rows["p90"].to_numpy(), np.full(n, -1), np.ones(n), np.zeros(n, dtype=np.int64),
            np.full(n, "profile/1", dtype=object), np.full(n, np.nan),
        )  # fmt: skip
        over = np.flatnonzero(used > limit)
        # The last day of the year is not among the rows: a limit may be passed on it alone.
        passed = int(over[0]) if len(over) else n if rows["total"].iloc[0] > limit else None
        out.append(WarnedYear(building, year, passed, _spells(a, rule, levels)))
    return out


def _spells(
    a: Assessments, rule: RuleParameters, levels: LevelThresholds
) -> tuple[tuple[int, int | None, int | None], ...]:
    v = judge(RULES[0], a, np.zeros(len(a.used), dtype=np.bool_), levels, rule)
    spells: list[tuple[int, int | None, int | None]] = []
    state: State | None = None
    for day in range(len(a.used)):
        seen = Observation(bool(v.holds[day]), bool(v.complete[day]), calm=bool(v.calm[day]))
        step = observe(state, seen)
        if step is None:
            continue
        if step.to_state is State.RESOLVED:
            spells[-1], state = (*spells[-1][:2], day), None
            continue
        confirmed = day if step.to_state is State.CONFIRMED else None
        if state is None:
            spells.append((day, confirmed, None))
        else:
            spells[-1] = (spells[-1][0], confirmed, None)
        state = step.to_state
    return tuple(spells)


def summary(years: list[WarnedYear]) -> dict[str, float]:
    """Counts, precision and recall of the warnings, lead in days, and days that false ones stood; confirmed: of those
    that were.
    """
    false = [y for y in years if y.passed is None and y.spells]
    over = sum(y.passed is not None for y in years)
    false_confirmed = sum(y.confirmed for y in false)
    confirmed = _quality([y.confirmed_days for y in years], false_confirmed, over)
    return {
        "over": over,
        **_quality([y.lead_days for y in years], len(false), over),
        "false_days": sum((365 if r is None else r) - o for y in false for o, _, r in y.spells),
        "false_to_end": sum(y.spells[-1][2] is None for y in false),
        **{f"confirmed_{name}": value for name, value in confirmed.items()},
    }


def _quality(lead_days: Iterable[int | None], false: int, over: int) -> dict[str, float]:
    """Of warnings that stood so many days before the limit was passed (None: none did)."""
    leads = [days for days in lead_days if days is not None]
    return {
        "warned": len(leads),
        "false": false,
        "precision": round(len(leads) / max(1, len(leads) + false), 3),
        "recall": round(len(leads) / max(1, over), 3),
        "lead_median": float(np.median(leads)) if leads else float("nan"),
        "lead_p10": float(np.percentile(leads, 10)) if leads else float("nan"),
    }


def _main(folder: Path) -> None:
    p = shipped_parameters()
    energy = read_archive(folder, 2009)
    zone = ZoneInfo("Asia/Shanghai")
    daily = forecasts(
        honest_plans(energy, zone, p, range(2012, 2016)),
        lambda plan: Backtest(energy[list(plan.buildings)], zone, plan.parameters),
        step_days=1,
    )
    base = energy.loc[f"{BASE_YEAR}-01-01" : f"{BASE_YEAR}-12-31"].sum().to_dict()
    area = read_areas(folder)
    large = {b for b in energy.columns if area.get(b, 0.0) >= 3000}
    shipped = p.rules[RULES[0].name]
    rules = {
        "p50 over, 3 days, to the year's end": RuleParameters("", 3),
        "p50 over, 3 days, calm": replace(shipped, band_share=0.0),
        "shipped": shipped,
    }
    for (name, rule), (group, chosen) in product(
        rules.items(), (("all", None), ("large", large), ("small", set(energy.columns) - large))
    ):
        years = []
        for cut in CUTS:
            limits = {str(b): float(base[b]) * (1.0 - cut) for b in energy.columns}
            years += warned_years(daily, limits, rule, p.levels)
        kept = [y for y in years if chosen is None or y.building in chosen]
        sys.stdout.write(f"{name} | {group} | {summary(kept)}\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
