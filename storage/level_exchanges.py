"""Evidence of a ratio entered wrong when a meter or its transformers were exchanged: use steps there. See
docs/decisions/exchanges.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from metering.days import is_day_off
from metering.exchanges import ExchangeRule, ExchangeStep, exchange_step
from metering.registers import energy_registers
from metering.scale_kinds import CT_CHANGED, plain_factor
from storage.level_verdicts import Hours, Verdict, moment, said
from storage.sql import query

#: How far a step may be off from a plain factor that it is named by, relative.
_TOLERANCE = 0.05
_CONFIDENCE = 0.6


def exchange_verdicts(
    cursor: psycopg.Cursor[Any], point_id: int, span: Hours, rule: ExchangeRule
) -> tuple[Hours, dict[str, list[Verdict]]]:
    """What the days around exchanges at a point say, of all exchanges that hours of a span bear on; and the hours in
    which these lie.
    """
    reach = 24 * (rule.window_days + 2)
    around = span[0] - reach, span[1] + reach
    asked = {
        "point": point_id,
        "registers": list(energy_registers()),
        "window": rule.window_days,
        "from_ts": moment(around[0]),
        "to_ts": moment(around[1]),
    }
    found = []
    for meter, at, old_meter, ratio, old_ratio, day, energy in cursor.execute(
        query("level_exchanges"), asked
    ).fetchall():
        step = _step(day, energy, rule)
        if step is not None:
            found.append(_verdict(point_id, meter, at, old_meter, (old_ratio, ratio), step))
    return around, {"exchange": found}


def _step(day: date, energy: Sequence[float | None], rule: ExchangeRule) -> ExchangeStep | None:
    days = np.array(energy, dtype=np.float64)  # None: NaN
    window = rule.window_days
    off = np.array([is_day_off(day + timedelta(days=n - window)) for n in range(len(days))])
    return exchange_step(days[:window], off[:window], days[window + 1 :], off[window + 1 :], rule)


def _verdict(
    point_id: int, meter: str, at: datetime, old_meter: str, ratios: tuple[float, float], step: ExchangeStep
) -> Verdict:
    factor = plain_factor(step.scale, _TOLERANCE)
    detail = {
        "confidence": _CONFIDENCE,
        "scale": round(step.scale, 4),
        **({} if factor is None else {"factor": str(factor)}),
        "days": step.days,
        "old_meter": old_meter,
        "ratio": ratios[1],
        "old_ratio": ratios[0],
    }
    percent = f"{100 * step.scale:.0f}%"
    zh_ratios, en_ratios = f"倍率 {ratios[0]:g} → {ratios[1]:g}", f"ratio {ratios[0]:g} to {ratios[1]:g}"
    text = said(
        f"自更换之日起（{zh_ratios}）用量为此前的 {percent}，请核对新旧倍率；若负荷确实改变，请予以驳回",
        f"since the exchange ({en_ratios}) use is {percent} of what it was: check both ratios; refuse this if the load "
        "did change",
    )
    return Verdict(point_id, meter, CT_CHANGED, at, None, False, detail | text)
