"""Findings of totals that do not balance with their sub-meters: one a total and month, of its days out of balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from metering.calendar import LocalCalendar
from metering.imbalance import FamilyDays, out_of_balance
from metering.instants import from_us
from metering.items import unit_factor
from metering.registers import energy_registers
from metering.rules import Rules
from storage.finding_rows import Row, finding_row, keep_derived, withdraw_derived
from storage.level_verdicts import said
from storage.rules import load_rules
from storage.sql import query

Cursor = psycopg.Cursor[Any]

RULE = "balance"
IMBALANCE = "imbalance"


@dataclass(frozen=True, slots=True)
class _Display:
    """A register of a total (own) or of one of its sub-meters, for a time; step: what it counts in, in item units."""

    meter: str
    own: bool
    step: float
    rules: Rules
    installed_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Family:
    """A month of a total: its meter and rules at the end of it, the steps of all displays in it added up, and its days
    (day, total, sub-meters).
    """

    point_id: int
    point_code: str
    month: int
    meter: str
    rules: Rules
    step: float
    days: list[tuple[date, float, float]]


def judge_balance(
    cursor: Cursor,
    site_id: int,
    points: Sequence[int],
    days: Iterable[tuple[date, date]],
    calendar: LocalCalendar,
) -> None:
    """Make the findings of these points, and of the totals right above them, what the months of these days are now;
    days: first and last of each span.
    """
    for first, last in _months(days):
        asked = {
            "points": list(points),
            "from_day": first,
            "to_day": last,
            "zone": calendar.zone,
            "registers": list(energy_registers()),
        }
        rows = cursor.execute(query("imbalance_days"), asked).fetchall()
        families = _families(cursor, rows, calendar)
        found = [row for family in families for row in _rows(site_id, family, calendar)]
        within = {
            "points": list(points),
            "from_ts": from_us(calendar.start_of(first)),
            "to_ts": from_us(calendar.start_of(last)),
        }
        known = cursor.execute(query("imbalance_known"), within).fetchall()
        kept = {row["rule_key"] for row in found}
        withdraw_derived(cursor.connection, [finding_id for finding_id, key in known if key not in kept])
        keep_derived(cursor.connection, RULE, found)


def _months(days: Iterable[tuple[date, date]]) -> list[tuple[date, date]]:
    """The whole months of spans of days, and of the days before them, which are over with their first hours: neighbours
    together; first day, day after the last.
    """
    spans = [(_month(first - timedelta(days=1)), _month(last)) for first, last in days]
    months = sorted({m for first, last in spans for m in range(first, last + 1)})
    runs: list[list[int]] = []
    for m in months:
        if runs and runs[-1][1] == m:
            runs[-1][1] = m + 1
        else:
            runs.append([m, m + 1])
    return [(_first(a), _first(b)) for a, b in runs]


def _month(day: date) -> int:
    return 12 * day.year + day.month - 1


def _first(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def _families(cursor: Cursor, rows: Sequence[tuple[Any, ...]], calendar: LocalCalendar) -> Iterator[_Family]:
    """What the days of totals (point_id, day, total, sub-meters) are to be judged by, month by month."""
    days: dict[tuple[int, int], list[tuple[date, float, float]]] = defaultdict(list)
    for point_id, day, energy, children in rows:
        days[point_id, _month(day)].append((day, energy, children))
    codes, displays = _displays(cursor, sorted({point_id for point_id, _ in days}))
    for (point_id, month), found in days.items():
        begins, ends = (from_us(calendar.start_of(_first(m))) for m in (month, month + 1))
        shown = [
            d
            for d in displays[point_id]
            if d.installed_at < ends and (d.removed_at is None or d.removed_at > begins)
        ]
        steps: dict[str, float] = {}
        for d in shown:
            steps[d.meter] = max(d.step, steps.get(d.meter, 0.0))
        for d in [d for d in shown if d.own][-1:]:
            total = sum(steps.values())
            yield _Family(point_id, codes[point_id], month, d.meter, d.rules, total, found)


def _displays(cursor: Cursor, totals: Sequence[int]) -> tuple[dict[int, str], dict[int, list[_Display]]]:
    """Codes of the totals, and their displays with those of their sub-meters, in order of installation."""
    book = load_rules(cursor)
    codes: dict[int, str] = {}
    displays: dict[int, list[_Display]] = defaultdict(list)
    asked = {"totals": list(totals), "registers": list(energy_registers())}
    for row in cursor.execute(query("imbalance_meters"), asked).fetchall():
        point_id, code, item, own, meter, model, unit, ratio, decimals, installed_at, removed_at = row
        step = unit_factor(unit, item) * ratio * 10.0**-decimals
        rules = book.of(item, model, code)
        displays[point_id].append(_Display(meter, own, step, rules, installed_at, removed_at))
        codes[point_id] = code
    return codes, displays


def _rows(site_id: int, family: _Family, calendar: LocalCalendar) -> Iterator[Row]:
    energy = np.array([(a, b) for _, a, b in family.days]).reshape(-1, 2)
    bad = np.flatnonzero(
        out_of_balance(FamilyDays(energy[:, 0], energy[:, 1], family.step), family.rules)
    ).tolist()
    if bad:
        whole, parts = energy[bad].sum(axis=0).tolist()
        first, last = family.days[bad[0]][0], family.days[bad[-1]][0]
        yield finding_row(
            IMBALANCE,
            f"{family.point_code} {_first(family.month):%Y-%m}",
            from_us(calendar.start_of(first)),
            {
                "days": len(bad),
                "total": round(whole, 3),
                "children": round(parts, 3),
                **_text(whole, parts, len(bad)),
            },
            rule_key=f"{family.point_id}:{family.month}",
            point_id=family.point_id,
            site_id=site_id,
            meter=family.meter,
            ends=from_us(calendar.start_of(last + timedelta(days=1))),
        )


def _text(total: float, children: float, days: int) -> dict[str, str]:
    share = "" if total <= 0 else f"{abs(children / total - 1):.1%}"
    if children > total:
        zh = f"该月有 {days} 天分表之和大于总表（多 {share or '全部'}）：总表少计，或某分表多计"
        en = f"on {days} days of the month the sub-meters show more than their total ({share or 'which shows none'})"
        return said(zh, f"{en}: it measures too little, or one of them too much")
    zh = f"该月有 {days} 天总表与分表之差（{share}）超过登记的允许损耗"
    return said(
        zh, f"on {days} days of the month more is lost between total and sub-meters ({share}) than is usual"
    )
