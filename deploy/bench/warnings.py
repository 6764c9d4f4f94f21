"""`bench warnings`: the pilot's quota rule on metered buildings, and when a building would have been warned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from alerts.backtest import Backtest, read_archive, read_areas
from alerts.backtest_honest import Plan, forecasts, honest_plans
from alerts.backtest_pilot import REDUCTIONS, YEARS, Judged, in_sum, judge_years, pilot_limits
from alerts.parameter_file import shipped_parameters
from alerts.rules import RULES
from deploy.bench.forecast import LARGE_M2

_SINCE = 2009


@dataclass(frozen=True, slots=True)
class WarningsBench:
    """data: folder of metered buildings, with the base year and the years judged."""

    data: Path
    zone: ZoneInfo


def run_warnings(options: WarningsBench, say: Callable[[str], None]) -> dict[str, Any]:
    """Building-years under the base year's use, whole and reduced, forecast as by `bench forecast`."""
    whole, energy = read_archive(options.data, _SINCE), read_archive(options.data, _SINCE, whole=False)
    parameters = shipped_parameters()
    say(f"{energy.shape[1]} buildings, {YEARS[0]} to {YEARS[-1]}")
    plans = honest_plans(whole, options.zone, parameters, YEARS)
    broken = tuple(str(b) for b in energy.columns.difference(whole.columns))
    first_of_year = {plan.year: plan for plan in reversed(plans)}
    plans += [replace(plan, buildings=broken) for plan in first_of_year.values() if broken]

    def known(plan: Plan) -> Backtest:
        return Backtest(energy[list(plan.buildings)], options.zone, plan.parameters)

    daily = forecasts(plans, known, step_days=1)
    areas = read_areas(options.data)
    report: dict[str, Any] = {"buildings": energy.shape[1], "years": list(YEARS), "limits": {}}
    for name, reduction in REDUCTIONS.items():
        years = judge_years(
            daily, pilot_limits(energy, reduction), parameters.rules[RULES[0].name], parameters.levels
        )
        large = [y for y in years if areas.get(y.building, 0.0) >= LARGE_M2]
        report["limits"][name] = {
            "reduction": reduction,
            "all": in_sum(years, parameters.levels),
            "large": in_sum(large, parameters.levels),
            "years": [_row(y, float(areas.get(y.building, float("nan")))) for y in years],
        }
    return report


def _row(y: Judged, area_m2: float) -> dict[str, Any]:
    return {
        "building": y.building,
        "area_m2": area_m2,
        "year": y.year,
        "use_to_limit": round(y.ratio, 4),
        "passed": _day(y, y.passed),
        "warned": _day(y, y.warned),
        "warned_days_before_end": y.before_end(y.warned),
        "confirmed": _day(y, y.confirmed),
        "confirmed_days_before_end": y.before_end(y.confirmed),
        "resolved": _day(y, y.resolved),
        "severe_warned": _day(y, y.severe_warned),
        "run_rate": _day(y, y.run_rate),
        "run_rate_days_before_end": y.before_end(y.run_rate),
        "run_rate_standing": y.run_rate_standing,
    }


def _day(y: Judged, day: int | None) -> str | None:
    return None if day is None else (date(y.year, 1, 1) + timedelta(days=day)).isoformat()


def warnings_table(report: dict[str, Any]) -> str:
    """Building-years that were over or warned of, as a Markdown table for each kind of limit, and the counts."""
    lines: list[str] = []
    for name, part in report["limits"].items():
        cuts = ", ".join(f"{year}: {100 * cut:g}% less" for year, cut in part["reduction"].items())
        lines += [f"{name} ({cuts}); large: at least {LARGE_M2:,.0f} m2", ""]
        lines += [f"{group}: {part[group]}" for group in ("all", "large")]
        lines += [
            "",
            "| building | m2 | year | use / limit | passed on | warned on (days before the year's end) |",
        ]
        lines[-1] += " confirmed | resolved | of 1.2 x on | run rate on (days) |"
        lines.append("|---|---|---|---|---|---|---|---|---|---|")
        told = [y for y in part["years"] if y["use_to_limit"] > 1 or y["warned"] or y["run_rate"]]
        lines += [_line(y) for y in sorted(told, key=lambda y: (-y["area_m2"], y["year"]))] + [""]
    return "\n".join(lines)


def _line(y: dict[str, Any]) -> str:
    def on(key: str) -> str:
        return y[key][5:] if y[key] else ""

    def ahead(key: str) -> str:
        return f"{on(key)} ({y[f'{key}_days_before_end']})" if y[key] else ""

    cells = (
        y["building"],
        f"{y['area_m2']:,.0f}",
        y["year"],
        f"{y['use_to_limit']:.3f}",
        on("passed"),
        ahead("warned"),
        ahead("confirmed"),
        on("resolved"),
        on("severe_warned"),
        ahead("run_rate"),
    )
    return "| " + " | ".join(str(c) for c in cells) + " |"
