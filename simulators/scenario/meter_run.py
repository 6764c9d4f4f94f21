"""What a meter that faults strike shows: true energy in, readings out, a stretch of time after the other. Pure.

Nothing here asks what a platform would make of it. A register counts what is measured since it was put in; energy is in
whole units of 1e-9 of the item's unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from metering.records import Floats, Ints
from simulators.chance import generator
from simulators.consumption import UNITS_PER_KWH
from simulators.registers import RegisterFace
from simulators.scenario.draw import Fault
from simulators.scenario.points import MeteredPoint

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A register that counts from `from_us` on, having counted `since` (measured energy) before: which meter it is sent
    as and how it shows, its start value included.
    """

    from_us: int
    meter: str
    face: RegisterFace
    since: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What is sent of a stretch, for each reading that there would be: n of each.

    ts_us: as stamped; value: the display's; kept: False where nothing is read; meter: index into `meters`.
    transformed: current on the meter's side of the transformers by what it was with the first ones; measured: share of
    the power that is measured; lost_phase: 1-3, 0 none.
    """

    ts_us: Ints
    value: Floats
    kept: np.ndarray[Any, np.dtype[np.bool_]]
    meter: Ints
    meters: Sequence[str]
    transformed: Floats
    measured: Floats
    lost_phase: Ints


@dataclass
class MeterRun:
    """One meter through a run. happened: what a fault turned out as; used: the true energy while it lasts, in 1e-9;
    read: readings while it lasts that there are in truth; all by its place in `faults`. rolled_us: when its register
    showed less than before by passing its highest value, from `from_us` on, the first reading that it was asked for.
    """

    point: MeteredPoint
    faults: Sequence[Fault]
    segments: list[Segment] = field(default_factory=list)
    happened: dict[int, dict[str, Any]] = field(default_factory=dict)
    rolled_us: list[int] = field(default_factory=list)
    used: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)
    measured: int = 0
    runs: bool = False
    from_us: int = 0
    _last_value: float = 0.0
    _frozen: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the meter that is there."""
        self.segments.append(Segment(-(2**62), self.point.meter, self.point.face, 0))

    def is_struck(self, last_us: int) -> bool:
        """Whether it may show anything else than the true energy up to a moment, which is after all before."""
        return self.runs or any(f.from_us <= last_us or f.kind == "rollover" for f in self.faults)

    def shows(self) -> float:
        """What its register shows after the last stretch."""
        return float(_display(self.segments[-1], self.measured)[0])

    def advance(
        self,
        ts_us: Ints,
        energy: Ints,
        before: int,
        present: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
    ) -> Shown:
        """int64[n] times of readings, ascending and after all before; int64[n] true energy since the reading before;
        before: true energy up to there, which is what was measured until this is asked first; present: bool[n], whether
        there is a reading, None: always.
        """
        if not self.runs:
            self.runs, self.measured, self.from_us = True, before, int(ts_us[0])
            self._last_value = float(self.point.face.show(np.array([before]))[0])
        share, phase = self._measured_share(ts_us)
        for n, fault in enumerate(self.faults):
            inside = (ts_us > fault.from_us) & (ts_us <= fault.to_us)
            self.used[n] = self.used.get(n, 0) + int(energy[inside].sum())
            struck = (ts_us >= fault.from_us) & (ts_us < fault.to_us) & (True if present is None else present)
            self.read[n] = self.read.get(n, 0) + int(np.count_nonzero(struck))
        before = self.measured
        measured = before + np.cumsum(np.rint(energy * self._counted_share(ts_us, share)).astype(np.int64))
        self.measured = int(measured[-1]) if len(measured) else before
        first = len(self.segments) - 1
        for n, fault in enumerate(self.faults):
            self._change_register(n, fault, ts_us, measured, before)
        value, which = self._values(ts_us, measured, first)
        shown = value.copy()
        kept = np.ones(len(ts_us), np.bool_)
        stamped = ts_us.copy()
        for n, fault in enumerate(self.faults):
            self._misread(n, fault, ts_us, value, shown, kept)
            stamped += clock_error_us(fault, ts_us) if fault.on == "meter" else 0
        if len(value):
            self._last_value = float(value[-1])
        return Shown(
            stamped,
            shown,
            kept,
            which,
            [s.meter for s in self.segments[first:]],
            self._transformed(which, first),
            share,
            phase,
        )

    # ------------------------------------------------------------ what is measured

    def _measured_share(self, ts_us: Ints) -> tuple[Floats, Ints]:
        """The share of the true power that is measured in each interval, and the phase that is lost."""
        share, phase = np.ones(len(ts_us)), np.zeros(len(ts_us), np.int64)
        for fault in self.faults:
            inside = (ts_us > fault.from_us) & (ts_us <= fault.to_us)
            if fault.kind == "phase_lost":
                share[inside] *= 1 - float(fault.values["share"])
                phase[inside] = int(fault.values["phase"])
        return share, phase

    def _counted_share(self, ts_us: Ints, share: Floats) -> Floats:
        """Of what is measured, that which the register counts: nothing where it stands still and loses it."""
        counted = share.copy()
        for fault in self.faults:
            if fault.kind == "stuck_register" and fault.values["then"] == "lost":
                counted[(ts_us >= fault.from_us) & (ts_us < fault.to_us)] = 0.0
        return counted

    # ------------------------------------------------------------ which register counts

    def _change_register(self, n: int, fault: Fault, ts_us: Ints, measured: Ints, before: int) -> None:
        """Begin a segment where a reset, a replacement or new transformers fall into this stretch."""
        make = _NEW_FACES.get(fault.kind)
        if make is None or n in self.happened or not len(ts_us) or ts_us[-1] < fault.from_us:
            return
        i = int(np.searchsorted(ts_us, fault.from_us))
        counted = int(measured[i]) if ts_us[i] == fault.from_us else int(measured[i - 1]) if i else before
        old = self.segments[-1]
        shown, rest = _display(old, counted)
        face, meter, carry = make(fault, old, shown, rest)
        self.segments.append(Segment(fault.from_us, meter, face, counted - carry))
        self.happened[n] = {
            "end_value": float(shown), "start_value": float(face.start_value), "meter": meter,
            "old_meter": old.meter, "ratio": str(face.ratio), "old_ratio": str(old.face.ratio),
            "digits": face.digits, "decimals": face.decimals,
        }  # fmt: skip

    def _values(self, ts_us: Ints, measured: Ints, first: int) -> tuple[Floats, Ints]:
        """What the registers show, and by which segment counted from `first`."""
        value, which = np.zeros(len(ts_us)), np.zeros(len(ts_us), np.int64)
        for k, segment in enumerate(self.segments[first:]):
            on = ts_us >= segment.from_us
            counted = measured[on] - segment.since
            value[on], which[on] = segment.face.show(counted), k
            later = self.segments[first + k + 1] if first + k + 1 < len(self.segments) else None
            mine = on if later is None else on & (ts_us < later.from_us)
            self._note_rollover(ts_us[mine], value[mine], self._last_value if k == 0 else 0.0)
        return value, which

    def _note_rollover(self, ts_us: Ints, value: Floats, before: float) -> None:
        fell = np.flatnonzero(np.diff(value, prepend=before) < 0)
        self.rolled_us += ts_us[fell].tolist()

    def _transformed(self, which: Ints, first: int) -> Floats:
        ratios = np.array([float(self.point.face.ratio / s.face.ratio) for s in self.segments[first:]])
        return ratios[which]

    # ------------------------------------------------------------ what is read

    def _misread(
        self,
        n: int,
        fault: Fault,
        ts_us: Ints,
        value: Floats,
        shown: Floats,
        kept: np.ndarray[Any, np.dtype[np.bool_]],
    ) -> None:
        inside = (ts_us >= fault.from_us) & (ts_us < fault.to_us)
        if not inside.any():
            return
        match fault.kind:
            case "outage" if fault.on == "meter":
                kept[inside] = False
            case "zeros":
                shown[inside] = 0.0
            case "stuck_register":
                i = int(np.argmax(inside))
                self._frozen.setdefault(n, float(value[i - 1]) if i else self._last_value)
                shown[inside] = self._frozen[n]
            case "spike":
                shown[inside] = self._spiked(n, fault, value[inside])
            case "transposed_digits":
                shown[inside] = [self._transposed(n, fault, float(v)) for v in value[inside]]

    def _spiked(self, n: int, fault: Fault, value: Floats) -> Floats:
        face = self.segments[-1].face
        energy = fault.values.get("energy")
        if energy is None:
            hours = (fault.to_us - fault.from_us) / 3.6e9
            energy = float(fault.values["factor"]) * self.point.rated_per_hour * hours
        top = 10.0**face.digits
        spiked: Floats = np.round((value + float(energy) / float(face.ratio)) % top, face.decimals)
        self.happened[n] = {"energy": float((spiked - value)[0] * float(face.ratio))}
        return spiked

    def _transposed(self, n: int, fault: Fault, value: float) -> float:
        """The reading with two neighbouring digits swapped that differ, drawn by the fault's own salt."""
        face = self.segments[-1].face
        text = f"{round(value * 10**face.decimals):0{face.digits + face.decimals}d}"
        pairs = [i for i in range(len(text) - 1) if text[i] != text[i + 1]]
        if not pairs:
            return value
        i = pairs[int(generator(fault.values["salt"]).integers(len(pairs)))]
        swapped: float = int(text[:i] + text[i + 1] + text[i] + text[i + 2 :]) / 10**face.decimals
        self.happened[n] = {"energy": (swapped - value) * float(face.ratio), "read": swapped, "right": value}
        return float(swapped)


def clock_error_us(fault: Fault, ts_us: Ints) -> Ints:
    """int64[n]: how far a clock that the fault puts wrong is ahead at each moment; 0 outside of it."""
    error = np.zeros(len(ts_us), np.int64)
    inside = (ts_us >= fault.from_us) & (ts_us < fault.to_us)
    sign = -1 if fault.values.get("direction") == "slow" else 1
    match fault.kind:
        case "clock_skew" | "clock_jump":
            error[inside] = sign * fault.us("offset") // 1_000_000 * 1_000_000
        case "clock_drift":
            days = (ts_us[inside] - fault.from_us) / _DAY_US
            error[inside] = (sign * days * float(fault.values["seconds_per_day"])).astype(
                np.int64
            ) * 1_000_000
    return error


def _display(segment: Segment, measured: int) -> tuple[Decimal, int]:
    """What a register shows, and the measured energy beyond the last full step of its display."""
    face = segment.face
    step = Fraction(face.step_kwh) * UNITS_PER_KWH
    steps = (measured - segment.since) // step
    rest = measured - segment.since - steps * step
    start = int(face.start_value.scaleb(face.decimals))
    return Decimal((start + int(steps)) % face.capacity_steps).scaleb(-face.decimals), int(rest)


# Each gives the face of the register that counts on, the meter it is sent as, and measured energy that it has already.


def _reset(_fault: Fault, old: Segment, _shown: Decimal, _rest: int) -> tuple[RegisterFace, str, int]:
    return replace(old.face, start_value=Decimal(0)), old.meter, 0


def _replaced(fault: Fault, old: Segment, shown: Decimal, _rest: int) -> tuple[RegisterFace, str, int]:
    values: Mapping[str, Any] = fault.values
    face = old.face
    top = Decimal(10) ** face.digits
    if (given := values.get("start_value")) is not None:
        start = Decimal(str(round(float(given), face.decimals)))
    else:
        low, high = (shown, top * Decimal("0.9")) if values["direction"] == "up" else (Decimal(0), shown)
        share = Decimal(str(float(generator(values["salt"], "start").random())))
        start = (low + max(high - low, Decimal(0)) * share).quantize(Decimal(1).scaleb(-face.decimals))
    meter = old.meter if values["number"] == "same" else _other_number(old.meter, int(values["salt"]))
    return replace(face, start_value=start % top), meter, 0


def _other_number(meter: str, salt: int) -> str:
    """A number of as many digits that begins with 99, which no planned meter does."""
    return f"99{salt % 10 ** (len(meter) - 2):0{len(meter) - 2}d}"


def _new_transformers(fault: Fault, old: Segment, shown: Decimal, rest: int) -> tuple[RegisterFace, str, int]:
    factor = Decimal(str(fault.values["factor"]))
    ratio = Decimal(f"{(old.face.ratio * factor).normalize():f}")
    return replace(old.face, ratio=ratio, start_value=shown), old.meter, int(rest * factor)


_NEW_FACES = {"reset": _reset, "meter_replaced": _replaced, "ct_changed": _new_transformers}
