"""Evidence of changes of level from the database: hours and instant values of points, and what rules make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.level_balance import LevelRule
from metering.levels import Shift, find_shifts
from metering.phases import InstantRule, LostPhase, PowerOff, apparent_off, lost_phases, power_off
from metering.scale_kinds import CT_CHANGED, PHASE_LOST, KindRule, Named, name_scale, plain_factor
from storage.copying import decode
from storage.level_verdicts import HOUR_S, Hours, Verdict, moment, said
from storage.sql import query

Floats = npt.NDArray[np.float64]
Cursor = psycopg.Cursor[Any]

VOLTS = ("32.7.0", "52.7.0", "72.7.0")
AMPS = ("31.7.0", "51.7.0", "71.7.0")
POWER = "16.7.0"
INSTANTS = (*VOLTS, *AMPS, POWER)
#: Registers whose ratio and meter count.
_ENERGY = ("1.8.0", "1.8.1", "1.8.2", "1.8.3", "1.8.4", "8:1.0.0", "7:3.0.0", "6:1.0.0", "5:1.0.0")

#: Instant values are looked at this far around what changed, and further where a state reaches beyond.
_AROUND_H, _FURTHER_H, _FURTHEST_H = 48, 14 * 24, 56 * 24
#: A state this near to the begin or end of what was looked at goes on beyond it.
_EDGE_H = 24
METER_REPLACED = "meter_replaced"
#: An hour's difference between two sources of one thing is none.
_NEAR_H = 36


@dataclass(frozen=True, slots=True)
class SitePoint:
    """A point as level_points.sql has it."""

    point_id: int
    point_code: str
    item: str
    parent: int | None
    meter: str | None
    interval_s: int
    instants: bool


# ---------------------------------------------------------------- balance


def balance_verdicts(
    cursor: Cursor, members: Sequence[SitePoint], blocks: Sequence[Hours], rule: LevelRule, kinds: KindRule
) -> dict[str, list[Verdict]]:
    """What the balance of a site's points of one item says of changes that begin in these blocks, which touch."""
    first, last = blocks[0][0] - rule.before_h, blocks[-1][1] + rule.after_h
    energy = _hours(cursor, [p.point_id for p in members], (first, last))
    at = {p.point_id: n for n, p in enumerate(members)}
    parent = np.array([at.get(p.parent or 0, -1) for p in members])
    found: list[Verdict] = []
    for begin, end in blocks:
        low, high = begin - rule.before_h - first, end + rule.after_h - first
        window = energy[:, low:high]
        if not np.isfinite(window[:, rule.before_h : rule.before_h + rule.block_h]).any():
            continue
        shifts = find_shifts(window, parent, (rule.before_h, rule.before_h + rule.block_h), rule)
        for shift in shifts:
            verdict = _of_shift(cursor, members, shift, low + first, kinds)
            if verdict is not None and not any(_same(verdict, v) for v in found):
                found.append(verdict)
    return {"balance": found}


def _same(one: Verdict, other: Verdict) -> bool:
    near = abs((one.starts - other.starts).total_seconds()) <= _NEAR_H * HOUR_S
    return one.point_id == other.point_id and near


def _of_shift(
    cursor: Cursor, members: Sequence[SitePoint], shift: Shift, first: int, kinds: KindRule
) -> Verdict | None:
    point = members[shift.point]
    span = first + shift.from_ix, first + shift.to_ix
    alive = _phases_alive(cursor, point, span)
    named = name_scale(
        shift.scale, shift.hours, lasting=shift.lasting, rival=shift.rival, phases_alive=alive, rule=kinds
    )
    if named is None or _said_already(cursor, point, named.kind, span):
        return None
    ends = None if shift.lasting else moment(span[1])
    rival = None if shift.rival_point is None or shift.rival < 0.5 else members[shift.rival_point].point_code
    detail = {
        **_named(named),
        "scale": round(shift.scale, 4),
        "explained": round(shift.explained, 3),
        "rival": round(shift.rival, 3),
        **({} if rival is None else {"rival_point": rival}),
        "hours": shift.hours,
        "judged_to": moment(span[1]).isoformat(),
        **_balance_text(shift, named, rival),
    }
    return Verdict(
        point.point_id, point.meter, named.kind, moment(span[0]), ends, named.confidence >= kinds.sure, detail
    )


def _named(named: Named) -> dict[str, Any]:
    told = {"factor": named.factor, "instead": named.instead}
    return {"confidence": round(named.confidence, 2), **{k: v for k, v in told.items() if v is not None}}


def _balance_text(shift: Shift, named: Named, rival: str | None) -> dict[str, str]:
    percent = f"{100 * shift.scale:.1f}%"
    zh = f"总表与分表之差表明该点自此只计量应有值的 {percent}"
    en = f"its total and sub-meters say that this point measures {percent} of what it should from here on"
    if named.kind == CT_CHANGED and named.factor is not None:
        zh, en = f"{zh}，约为 {named.factor} 倍", f"{en}, about {named.factor}"
    if named.instead is not None:
        zh, en = f"{zh}；也可能是另一种原因，请现场核实", f"{en}; it may be the other kind: look at the site"
    if rival is not None:
        zh, en = f"{zh}；也可能是 {rival}", f"{en}; or it is {rival}"
    return said(zh, en)


def _phases_alive(cursor: Cursor, point: SitePoint, span: Hours) -> bool | None:
    """True where the meter sends voltages or currents then and no phase was found gone; None where it sends none."""
    if not point.instants:
        return None
    asked = {
        "point": point.point_id,
        "instants": [*VOLTS, *AMPS],
        "from_ts": moment(span[0]),
        "to_ts": moment(span[1]),
    }
    row = cursor.execute(query("level_alive"), asked).fetchone()
    if row is None or not row[0]:
        return None
    return not _found_by(cursor, point, "phases", PHASE_LOST, span)


def _said_already(cursor: Cursor, point: SitePoint, kind: str, span: Hours) -> bool:
    """Whether the meter's own instant values tell the same thing of the same time."""
    return point.instants and any(
        _found_by(cursor, point, source, kind, span) for source in ("phases", "power")
    )


def _found_by(cursor: Cursor, point: SitePoint, source: str, kind: str, span: Hours) -> bool:
    row = cursor.execute(
        query("level_overlaps"),
        {
            "source": source,
            "point": point.point_id,
            "kind": kind,
            "from_ts": moment(span[0]),
            "to_ts": moment(span[1]),
        },
    ).fetchone()
    return row is not None and bool(row[0])


# ---------------------------------------------------------------- instant values


def instant_verdicts(
    cursor: Cursor, point: SitePoint, span: Hours, rule: InstantRule
) -> tuple[Hours, dict[str, list[Verdict]]]:
    """What a meter's voltages, currents and power say of the hours of a span, as far beyond it as a state reaches, at
    most _FURTHEST_H; and the hours that were looked at.
    """
    begin, end = span[0] - _AROUND_H, span[1] + _AROUND_H
    brief = replace(rule, power_days=1, factor_days=1)
    while True:
        instants = _instants(cursor, point.point_id, (begin, end))
        energy = _hours(cursor, [point.point_id], (begin, end))[0]
        further = _further(_states(energy, instants, brief), (begin, end), span)
        if further == (begin, end):
            break
        begin, end = further
    states = _states(energy, instants, rule)
    edge = _EDGE_H if begin <= span[0] - _FURTHEST_H else 0

    def told(verdict: Verdict, state: LostPhase | PowerOff) -> Verdict:
        return replace(verdict, goes_on=state.from_ix < edge)

    return (begin, end), {
        "phases": [told(_of_phase(point, p, begin), p) for p in _one_each(states.lost)],
        "power": [told(_of_power(point, p, begin), p) for p in states.power],
        "apparent": [told(_of_apparent(point, p, begin), p) for p in states.apparent],
    }


@dataclass(frozen=True, slots=True)
class _States:
    """What the instant values of some hours say; apparent: only what power does not say of the same time."""

    lost: list[LostPhase]
    power: list[PowerOff]
    apparent: list[PowerOff]

    def spans(self) -> list[tuple[int, int]]:
        return [(s.from_ix, s.to_ix) for s in self.lost] + [
            (s.from_ix, s.to_ix) for s in (*self.power, *self.apparent)
        ]


def _states(energy: Floats, instants: dict[str, Floats], rule: InstantRule) -> _States:
    volts, amps = (_of(instants, registers, len(energy)) for registers in (VOLTS, AMPS))
    power = power_off(energy, _of(instants, (POWER,), len(energy))[0], rule)
    apparent = [
        a
        for a in apparent_off(energy, volts, amps, rule)
        if not any(p.from_ix < a.to_ix and a.from_ix < p.to_ix for p in power)
    ]
    return _States(lost_phases(volts, amps, rule), power, apparent)


def _further(states: _States, looked: Hours, span: Hours) -> Hours:
    """A wider look where a state, however short, begins or ends at the edge of this one; the same where none does."""
    begin, end = looked
    if begin > span[0] - _FURTHEST_H and any(first < _EDGE_H for first, _ in states.spans()):
        begin -= _FURTHER_H
    if end < span[1] + _FURTHEST_H and any(last > end - looked[0] - _EDGE_H for _, last in states.spans()):
        end += _FURTHER_H
    return begin, end


def _one_each(lost: Sequence[LostPhase]) -> list[LostPhase]:
    """Phases that are lost at the same time are one finding."""
    kept: list[LostPhase] = []
    for phase in lost:
        if not kept or phase.from_ix >= kept[-1].to_ix:
            kept.append(phase)
    return kept


def _of_phase(point: SitePoint, lost: LostPhase, first: int) -> Verdict:
    name = "ABC"[lost.phase - 1]
    what = [w for w, there in (("voltage", lost.volts), ("current", lost.amps)) if there]
    zh = f"{name} 相{'电压' if lost.volts else ''}{'电流' if lost.amps else ''}为零，其余各相正常，该相电能未计量"
    en = f"{' and '.join(what)} of phase {name} read 0 while others do not: its energy is not measured"
    detail = {
        "phase": name,
        "missing": what,
        "confidence": 0.98 if lost.volts else 0.6,
        **({} if np.isnan(lost.share) else {"share": round(lost.share, 3)}),
        **said(zh, en),
    }
    ends = None if lost.lasting else moment(first + lost.to_ix)
    return Verdict(
        point.point_id, point.meter, PHASE_LOST, moment(first + lost.from_ix), ends, lost.volts, detail
    )


def _of_power(point: SitePoint, off: PowerOff, first: int) -> Verdict:
    factor = plain_factor(off.scale, 0.03)
    zh = f"电能与平均功率之比为 {off.scale:.3f}，两者的倍率至少有一个有误"
    en = f"energy is {off.scale:.3f} x mean power: the ratio of one of the two registers is wrong"
    detail = {
        "scale": round(off.scale, 4),
        **({} if factor is None else {"factor": str(factor)}),
        "confidence": 0.9 if factor is not None else 0.6,
        **said(zh, en),
    }
    ends = None if off.lasting else moment(first + off.to_ix)
    return Verdict(
        point.point_id, point.meter, CT_CHANGED, moment(first + off.from_ix), ends, factor is not None, detail
    )


def _of_apparent(point: SitePoint, off: PowerOff, first: int) -> Verdict:
    low = off.scale < 1
    zh = f"电能仅为电压乘电流的 {off.scale:.3f}，请核查电流互感器极性、相序接线与倍率，或负荷功率因数是否确实如此低"
    en = (
        f"energy is {off.scale:.3f} x voltage times current: look for a reversed current transformer, phases that are "
        "mixed up, a wrong ratio, or a load whose power factor is that low"
    )
    if not low:
        zh = f"电能为电压乘电流的 {off.scale:.3f} 倍，功率因数不可能大于 1：电能或电流的倍率有误"
        en = f"energy is {off.scale:.3f} x voltage times current, more than can be: the ratio of one of them is wrong"
    detail = {"scale": round(off.scale, 4), "confidence": 0.5 if low else 0.9, **said(zh, en)}
    ends = None if off.lasting else moment(first + off.to_ix)
    return Verdict(
        point.point_id, point.meter, CT_CHANGED, moment(first + off.from_ix), ends, not low, detail
    )


# ---------------------------------------------------------------- the registry


def entered_verdicts(cursor: Cursor, point: SitePoint, span: Hours) -> dict[str, list[Verdict]]:
    """Ratios and replaced meters that were entered after readings of their time had come: their hours were wrong until
    then.
    """
    asked = {
        "points": [point.point_id],
        "registers": list(_ENERGY),
        "from_ts": moment(span[0]),
        "to_ts": moment(span[1]),
    }
    rows = cursor.execute(query("level_entered"), asked).fetchall()
    return {"entered": [_of_entry(*row) for row in rows]}


def _of_entry(
    point_id: int,
    meter: str,
    at: datetime,
    ratio: float,
    old_ratio: float,
    end_value: float | None,
    start_value: float | None,
    seen: datetime,
) -> Verdict:
    detail: dict[str, Any] = {"suspected": False, "confidence": 1.0, "scale": round(old_ratio / ratio, 4)}
    if ratio == old_ratio:
        detail |= {"before": end_value, "after": start_value}
        text = said(
            f"更换了表计（旧表止数 {end_value:g}，新表起数 {start_value:g}），补录较晚；此前各小时已重新推算",
            f"the meter was replaced (it ended at {end_value:g}, the new one began at {start_value:g}), entered "
            "late; the hours until then have been derived again",
        )
        return Verdict(point_id, meter, METER_REPLACED, at, seen, False, detail | text)
    text = said(
        f"倍率由 {old_ratio:g} 改为 {ratio:g}，补录较晚；此前按旧倍率计算的各小时已重新推算",
        f"the ratio changed from {old_ratio:g} to {ratio:g} and was entered late; hours computed with the old one "
        "have been derived again",
    )
    return Verdict(point_id, meter, CT_CHANGED, at, seen, False, detail | text)


# ---------------------------------------------------------------- rows


def _hours(cursor: Cursor, points: Sequence[int], span: Hours) -> Floats:
    """float64[points, hours]: energy of hours measured wholly, NaN elsewhere."""
    energy = np.full((len(points), span[1] - span[0]), np.nan)
    asked = {"points": list(points), "from_ts": moment(span[0]), "to_ts": moment(span[1])}
    with cursor.copy(f"copy ({query('level_hours')}) to stdout (format binary)", asked) as copy:
        point, hour, consumption = decode(b"".join(copy), ("int4", "int4", "float8"))
    at = {p: n for n, p in enumerate(points)}
    row = np.array([at[p] for p in point.tolist()], dtype=np.int64)
    energy[row, hour.astype(np.int64) - span[0]] = consumption
    return energy


def _instants(cursor: Cursor, point: int, span: Hours) -> dict[str, Floats]:
    """Register -> float64[hours], NaN where nothing was read."""
    asked = {
        "point": point,
        "instants": list(INSTANTS),
        "volts": list(VOLTS),
        "from_ts": moment(span[0]),
        "to_ts": moment(span[1]),
    }
    found: dict[str, Floats] = {}
    for register, hour, mean in cursor.execute(query("level_instants"), asked).fetchall():
        found.setdefault(register, np.full(span[1] - span[0], np.nan))[hour - span[0]] = mean
    return found


def _of(instants: dict[str, Floats], registers: Sequence[str], hours: int) -> Floats:
    return np.stack([instants.get(r, np.full(hours, np.nan)) for r in registers])
