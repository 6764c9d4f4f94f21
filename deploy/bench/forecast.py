"""`bench forecast`: how good the year-end forecast is on metered buildings, told by parameters that never saw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from alerts.backtest import Backtest, read_archive, read_areas
from alerts.backtest_cases import CASES, Case
from alerts.backtest_errors import PLAIN, errors
from alerts.backtest_honest import Plan, forecasts, honest_plans, shipped_bands
from alerts.parameter_file import shipped_parameters

#: Where the quota rule begins to apply, m2 (公共建筑电耗限额).
LARGE_M2 = 3000.0
_COVERAGE = (0.75, 0.85)


@dataclass(frozen=True, slots=True)
class ForecastBench:
    """data: folder of metered buildings; the forecasts of `years` are judged; the years before them are history."""

    data: Path
    years: range
    zone: ZoneInfo
    cases: bool


def run_forecast(options: ForecastBench, say: Callable[[str], None]) -> dict[str, Any]:
    """Figures as shares of the year's true use: by month, year and size, with the shipped parameters, and by case."""
    first = options.years.start - 3
    energy = read_archive(options.data, first)
    parameters = shipped_parameters()
    say(f"{energy.shape[1]} buildings, forecasts of {options.years.start} to {options.years.stop - 1}")
    plans = honest_plans(energy, options.zone, parameters, options.years)

    def known(plan: Plan) -> Backtest:
        return Backtest(energy[list(plan.buildings)], options.zone, plan.parameters)

    found = forecasts(plans, known)
    shipped = Backtest(energy, options.zone, parameters).run(options.years)
    honest = _figures(found, options.data)
    report: dict[str, Any] = {
        "buildings": energy.shape[1],
        "years": list(options.years),
        "honest": honest,
        "shipped": _figures(shipped, options.data),
        "chosen": [_chosen(plan) for plan in plans],
    }
    if options.cases:
        say("hard cases")
        report["cases"] = [_case(case, plans, energy, options.zone) for case in CASES]
    report["missed"] = _missed(honest["all"])
    return report


def bands_table(options: ForecastBench) -> str:
    """The rows of forecast_bands.csv, fitted on all buildings and all years up to the last of `years`."""
    energy = read_archive(options.data, options.years.start - 3)
    bands = shipped_bands(energy, options.zone, shipped_parameters(), options.years.stop - 1)
    rows = [
        f"{method},{share:g},{low:.3f},{high:.3f}"
        for method, band in bands.items()
        for share, low, high in zip(band.share, band.q10, band.q90, strict=True)
    ]
    return "\n".join(["method,missing_share,q10,q90", *rows])


def _figures(found: pd.DataFrame, data: Path) -> dict[str, Any]:
    by_month = _rows(errors(found))
    figures = {
        "all": by_month.pop("all"),
        "by_month": by_month,
        "by_year": _rows(errors(found, found["year"]).drop(index="all")),
    }
    area = found["building"].map(read_areas(data))
    if area.notna().any():
        size = (area >= LARGE_M2).map({True: "large", False: "small"})
        figures["by_size"] = _rows(errors(found, size).drop(index="all"))
        for name, part in found.groupby(size):
            figures[f"{name}_by_month"] = _rows(errors(part).drop(index="all"))
            figures[f"{name}_by_year"] = _rows(errors(part, part["year"]).drop(index="all"))
    return figures


def _rows(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {str(key): {str(k): round(float(v), 5) for k, v in row.items()} for key, row in table.iterrows()}


def _chosen(plan: Plan) -> dict[str, Any]:
    p = plan.parameters.forecast
    return {
        "year": plan.year,
        "buildings": list(plan.buildings),
        "older_year_weight": p.older_year_weight,
        "level_half_life_days": p.level_half_life_days,
        "season_days": p.season_days,
        "prior_days": p.prior_days,
        "carry": p.carry,
    }


def _case(case: Case, plans: list[Plan], energy: pd.DataFrame, zone: ZoneInfo) -> dict[str, Any]:
    def known(plan: Plan) -> Backtest:
        made, outages = case.make(energy[list(plan.buildings)], plan.year)
        return Backtest(made, zone, plan.parameters, outages)

    found = forecasts(plans, known)
    table = errors(found[found["as_of"].dt.month.isin(case.months)])
    by_month = _rows(table)
    return {
        "name": case.name,
        "title": case.title,
        "title_zh": case.title_zh,
        "all": by_month.pop("all"),
        "by_month": by_month,
    }


def _missed(figures: dict[str, float]) -> list[str]:
    missed = [name for name in PLAIN if not figures["forecast"] < figures[name]]
    low, high = _COVERAGE
    return missed + ([] if low <= figures["inside"] <= high else ["coverage"])


def forecast_table(report: dict[str, Any]) -> str:
    """The figures as lines of text, in per cent of the year's true use."""
    honest = report["honest"]
    lines = [
        f"{report['buildings']} buildings, {report['years'][0]}-{report['years'][-1]}; % of the year's use",
        "",
    ]
    lines.append(_head("forecast at the end of month"))
    lines += [_line(month, row) for month, row in honest["by_month"].items()]
    lines.append(_line("all", honest["all"]))
    lines += [_line(f"year {year}", row) for year, row in honest["by_year"].items()]
    names = {"large": f"at least {LARGE_M2:,.0f} m2", "small": "smaller"}
    lines += [_line(names[size], row) for size, row in honest.get("by_size", {}).items()]
    lines.append(_line("all, as shipped", report["shipped"]["all"]))
    lines += ["", _head("hard cases")] if "cases" in report else []
    lines += [_line(case["title"], case["all"]) for case in report.get("cases", [])]
    lines += ["", f"missed: {', '.join(report['missed'])}"] if report["missed"] else []
    return "\n".join(lines)


def _head(title: str) -> str:
    columns = ("MAPE", "last yr", "run rate", "shape", "pin p10", "pin p50", "pin p90", "width", "inside")
    return f"{title:<58}" + "".join(f"{c:>9}" for c in columns)


def _line(title: str, row: dict[str, float]) -> str:
    keys = ("forecast", *PLAIN, "pinball_p10", "pinball_p50", "pinball_p90", "width", "inside")
    cells = ("-" if row[k] != row[k] else f"{100 * row[k]:.2f}" for k in keys)
    return f"{title:<58}" + "".join(f"{cell:>9}" for cell in cells)
