"""Findings of totals that do not balance with their sub-meters: one a total and month, of its days out of balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
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


@dataclass(slots=True)
class _Total:
    """A total: the step of its own and its sub-meters' displays, its rules, and its days (day, total, sub-meters)."""

    point_code: str
    meter: str | None
    step: float
    rules: Rules
    days: list[tuple[date, float, float]] = field(default_factory=list)


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
        totals = _totals(cursor, rows)
        found = [
            row for point_id, total in totals.items() for row in _rows(site_id, point_id, total, calendar)
        ]
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
    return [(date(a // 12, a % 12 + 1, 1), date(b // 12, b % 12 + 1, 1)) for a, b in runs]


def _month(day: date) -> int:
    return 12 * day.year + day.month - 1


def _totals(cursor: Cursor, rows: Sequence[tuple[Any, ...]]) -> dict[int, _Total]:
    """Totals by point_id, with their days."""
    days: dict[int, list[tuple[date, float, float]]] = defaultdict(list)
    for point_id, day, energy, children in rows:
        days[point_id].append((day, energy, children))
    book = load_rules(cursor)
    steps: dict[int, dict[str, float]] = defaultdict(dict)
    found: dict[int, _Total] = {}
    for point_id, code, item, own, meter, model, unit, ratio, decimals in cursor.execute(
        query("imbalance_meters"), {"totals": list(days), "registers": list(energy_registers())}
    ).fetchall():
        step = unit_factor(unit, item) * ratio * 10.0**-decimals
        steps[point_id][meter] = max(step, steps[point_id].get(meter, 0.0))
        if own:
            found[point_id] = _Total(code, meter, 0.0, book.of(item, model, code), days[point_id])
    for point_id, total in found.items():
        total.step = sum(steps[point_id].values())
    return found


def _rows(site_id: int, point_id: int, total: _Total, calendar: LocalCalendar) -> Iterable[Row]:
    energy = np.array([(a, b) for _, a, b in total.days]).reshape(-1, 2)
    bad = out_of_balance(FamilyDays(energy[:, 0], energy[:, 1], total.step), total.rules)
    by_month: dict[int, list[int]] = defaultdict(list)
    for n in np.flatnonzero(bad).tolist():
        by_month[_month(total.days[n][0])].append(n)
    for month, chosen in by_month.items():
        whole, parts = energy[chosen].sum(axis=0).tolist()
        first, last = total.days[chosen[0]][0], total.days[chosen[-1]][0]
        yield finding_row(
            IMBALANCE,
            f"{total.point_code} {month // 12}-{month % 12 + 1:02d}",
            from_us(calendar.start_of(first)),
            {
                "days": len(chosen),
                "total": round(whole, 3),
                "children": round(parts, 3),
                **_text(whole, parts, len(chosen)),
            },
            rule_key=f"{point_id}:{month}",
            point_id=point_id,
            site_id=site_id,
            meter=total.meter,
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
