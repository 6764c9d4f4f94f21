"""Hard cases made from whole years of buildings: what a forecast still knows with little history, steps and gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np
import pandas as pd

from alerts.backtest import Outage
from alerts.days import LONG_HOLIDAY_DAYS
from metering.days import is_day_off

Made = tuple[pd.DataFrame, tuple[Outage, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """make(energy, year): what the days were and when nothing was read, where `year` is to be forecast.

    name, title, title_zh: for machines and people; months: at whose ends the forecasts are judged, 1 to 11.
    """

    name: str
    title: str
    title_zh: str
    make: Callable[[pd.DataFrame, int], Made]
    months: tuple[int, ...] = tuple(range(1, 12))


def _as_it_was(energy: pd.DataFrame, _: int) -> Made:
    return energy, ()


def _begun(energy: pd.DataFrame, year: int, years_before: int, month: int) -> Made:
    """Metered from the first of a month on."""
    begin = pd.Timestamp(year - years_before, month, 1)
    out = energy.copy()
    out.loc[out.index < begin] = np.nan
    return out, ()


def _step(energy: pd.DataFrame, year: int, factor: float) -> Made:
    """From 1 July on everything is multiplied by `factor`."""
    out = energy.copy()
    out.loc[f"{year}-07-01" :] *= factor
    return out, ()


def _outages(energy: pd.DataFrame, year: int, spans: tuple[tuple[int, int, int], ...]) -> Made:
    """Without readings for spans of (month, day, days) of the year before and of the year itself."""
    found = []
    for y in (year - 1, year):
        for month, day, days in spans:
            first = date(y, month, day)
            found += [Outage(str(b), first, first + timedelta(days=days - 1)) for b in energy.columns]
    return energy, tuple(found)


def _festival(energy: pd.DataFrame, _: int, moves: bool) -> Made:
    """Every year a week at half the energy and the weeks before and after it at four fifths.

    moves: the week is Spring Festival's statutory days off; else it begins on 1 February every year.
    """
    out = energy.copy()
    for year in range(int(energy.index[0].year), int(energy.index[-1].year) + 1):
        begin = pd.Timestamp(spring_festival(year) if moves else date(year, 2, 1))
        for after, factor in ((-7, 0.8), (0, 0.5), (7, 0.8)):
            first = begin + pd.Timedelta(days=after)
            out.loc[first : first + pd.Timedelta(days=6)] *= factor
    return out, ()


def spring_festival(year: int) -> date:
    """The first of the statutory days off of 春节: of the first long run of days off after 15 January."""
    day = date(year, 1, 15)
    while not all(is_day_off(day + timedelta(days=n)) for n in range(LONG_HOLIDAY_DAYS)):
        day += timedelta(days=1)
    return day


CASES = (
    Case("whole", "three years of history, no gap", "三年历史，无缺口", _as_it_was),
    Case("two_years", "two years of history", "两年历史", partial(_begun, years_before=2, month=1)),
    Case("one_year", "one year of history", "一年历史", partial(_begun, years_before=1, month=1)),
    Case(
        "half_year",
        "metered since 1 July of last year",
        "去年7月1日起有表",
        partial(_begun, years_before=1, month=7),
    ),
    Case("none", "metered since 1 January", "当年1月1日起有表", partial(_begun, years_before=0, month=1)),
    Case(
        "from_april",
        "metered since 1 April",
        "当年4月1日起有表",
        partial(_begun, years_before=0, month=4),
        tuple(range(4, 12)),
    ),
    Case(
        "step_up",
        "a third more from 1 July on",
        "7月1日起增加三分之一",
        partial(_step, factor=4 / 3),
        (6, 7, 8, 9, 10, 11),
    ),
    Case(
        "step_down",
        "a quarter less from 1 July on",
        "7月1日起减少四分之一",
        partial(_step, factor=3 / 4),
        (6, 7, 8, 9, 10, 11),
    ),
    Case(
        "gaps",
        "three weeks in spring and six in autumn without readings, last year too",
        "春季三周、秋季六周无读数，去年亦然",
        partial(_outages, spans=((4, 20, 21), (9, 10, 42))),
    ),
    Case(
        "festival_fixed",
        "three weeks' lull from 25 January on",
        "每年1月25日起三周低谷",
        partial(_festival, moves=False),
    ),
    Case(
        "festival_moves",
        "the same lull, around Spring Festival",
        "同样的低谷，随春节移动",
        partial(_festival, moves=True),
    ),
)
