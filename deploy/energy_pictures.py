"""Draw docs/images/energy-*.svg: how registers become hours, case by case, out of what metering/ makes of them.

    python -m deploy.energy_pictures

A test draws them again and compares, so that the pictures of docs/energy.md show what the code does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from metering.calendar import local_calendar
from metering.children import ChildHours
from metering.energy import Derived, Windows, hourly_energy
from metering.readings import InstalledRegister, RegisterReadings
from metering.registers import Role
from metering.spans import END, HOUR_US, START

FOLDER = Path(__file__).parents[1] / "docs" / "images"
T0 = 1_402_243_200_000_000  # 2014-06-09T00:00+08:00, a Monday; no holiday comes in six weeks
DAYS = 42
HOURS = DAYS * 24
_WIDTH, _PANEL, _LEFT, _TOP = 774, 96, 92, 34
_GOOD, _DOUBT, _MEASURED, _ESTIMATED = "#1b5e8c", "#c62828", "#4a90c2", "#f2a33a"
_CHILDREN = "#2e7d32"

METER = InstalledRegister(Role.TOTAL, 1.0, 6, 1, 3600, T0)


@dataclass(frozen=True)
class Case:
    """Installed registers with their readings (hour -> display), the hours that are drawn, and what it is called.

    truth: what is taken in an hour, kWh; children: what the sub-meters of the registers' point measured in it.
    """

    name: str
    title: str
    meters: list[tuple[InstalledRegister, Mapping[int, float]]]
    first: int
    last: int
    truth: Callable[[int], float] = field(default_factory=lambda: load)
    children: Mapping[int, float] = field(default_factory=dict)


def load(hour: int) -> float:
    """What the example building takes in an hour, kWh: never still, more by day, less on days off."""
    by_day = 8 <= hour % 24 < 19
    is_off = hour // 24 % 7 >= 5
    return (22.0 if by_day and not is_off else 6.0) + (hour * 7919 % 13) / 4


def odd_load(hour: int) -> float:
    """The same, but on one workday the building is open by night and not by day."""
    return load(hour + 12) if 36 * 24 <= hour < 37 * 24 else load(hour)


def shown(truth: Callable[[int], float] = load) -> dict[int, float]:
    """What its register shows at every hour."""
    values, value = {}, 1200.0
    for hour in range(HOURS):
        values[hour] = round(value, 1)
        value += truth(hour)
    return values


def cases() -> list[Case]:
    """All that are drawn; the day that matters is a Monday late in the run, when typical hours are known."""
    day = 35 * 24
    plain = shown()
    wrapped = {h: (v + 999_999.0 - plain[day + 30]) % 1_000_000 for h, v in plain.items()}
    reset = {h: v if h < day + 30 else round(v - plain[day + 29] - 9.0, 1) for h, v in plain.items()}
    stuck = {h: plain[day + 27] if day + 27 < h < day + 34 else v for h, v in plain.items()}
    at = T0 + (day + 30) * HOUR_US
    old = replace(METER, removed_us=at, end_value=plain[day + 30])
    new = replace(METER, installed_us=at, start_value=4.0)
    after = {h: round(v - plain[day + 30] + 4.0, 1) for h, v in plain.items() if h > day + 30}
    odd = shown(odd_load)
    below = {h: 0.92 * odd_load(h) for h in range(HOURS)}
    unread = replace(METER, removed_us=T0 + (day + 44) * HOUR_US)
    span = day + 20, day + 50

    def one(
        values: Mapping[int, float], register: InstalledRegister = METER
    ) -> list[tuple[InstalledRegister, Mapping[int, float]]]:
        return [(register, values)]

    def without(begin: int, end: int) -> dict[int, float]:
        return {h: v for h, v in plain.items() if not begin < h < end}

    return [
        Case("plain", "一般情况 the usual case", one(plain), *span),
        Case("gap", "缺数 a gap", one(without(day + 24, day + 42)), *span),
        Case("rollover", "计数翻转 a rollover", one(wrapped), *span),
        Case("reset", "读数清零 a reset", one(reset), *span),
        Case(
            "replaced",
            "换表（已登记）a recorded replacement",
            [(old, {h: v for h, v in plain.items() if h < day + 30}), (new, after)],
            *span,
        ),
        Case("spike", "读数突变 a spike", one({**plain, day + 30: plain[day + 30] + 400}), *span),
        Case(
            "zeros", "读数归零 zeros", one({**plain, **dict.fromkeys(range(day + 29, day + 33), 0.0)}), *span
        ),
        Case("stuck", "读数停滞 a register that stands still", one(stuck), *span),
        Case(
            "unread",
            "拆表未抄止码 removed without an end value",
            one({h: v for h, v in plain.items() if h <= day + 30}, unread),
            *span,
        ),
        Case(
            "total-gap",
            "总表缺数，分表有数 a gap of a total with sub-meters",
            one({h: v for h, v in odd.items() if not day + 24 < h < day + 42}),
            *span,
            odd_load,
            below,
        ),
        Case(
            "total-silent",
            "总表静默，分表有数 a total falls silent, its sub-meters do not",
            one({h: v for h, v in odd.items() if h <= day + 27}),
            *span,
            odd_load,
            below,
        ),
    ]


def derive(case: Case) -> Derived:
    """What metering/ makes of a case."""
    registers = [register for register, _ in case.meters]
    rows = [(n, T0 + h * HOUR_US, v) for n, (_, values) in enumerate(case.meters) for h, v in values.items()]
    every = np.ones(len(registers), dtype=np.bool_)
    readings = RegisterReadings(
        np.array([r[0] for r in rows]),
        np.array([r[1] for r in rows]),
        np.array([r[2] for r in rows]),
        every,
        every,
    )
    windows = Windows(np.array([START]), np.array([END]))
    calendar = local_calendar("Asia/Shanghai")
    hour = np.array(sorted(case.children), dtype=np.int64)
    since = T0 // HOUR_US + hour
    asked = registers, [0] * len(registers), readings, windows, calendar, T0 + HOURS * HOUR_US
    hours = hourly_energy(*asked).hours
    whole = (hours.covered_s == 3600) & (hours.estimated == 0)
    own = dict(zip(hours.hour_us[whole].tolist(), hours.consumption[whole].tolist(), strict=True))
    children = ChildHours(
        np.zeros(len(hour), dtype=np.int64),
        since,
        np.array([case.children[h] for h in hour.tolist()]),
        np.array([own.get(h * HOUR_US, np.nan) for h in since.tolist()]),
        np.ones(len(hour), dtype=np.int64),
        (since + 1) * HOUR_US,
    )
    return hourly_energy(*asked, children=children)


def draw(case: Case) -> str:
    """An SVG: the register above, energy per hour below."""
    found = derive(case)
    hours = range(case.first, case.last)
    width = (_WIDTH - _LEFT - 16) / len(hours)

    def x(hour: float) -> float:
        return _LEFT + (hour - case.first) * width

    height = _TOP + 2 * _PANEL + 78
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="15" font-weight="bold">{case.title}</text>',
        *_registers(case, found, x),
        *_bars(case, found, x, width),
        *_axis(case, x),
        *_legend(height - 12, children=bool(case.children)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _registers(case: Case, found: Derived, x: Callable[[float], float]) -> list[str]:
    points = [
        (n, h, v)
        for n, (_, values) in enumerate(case.meters)
        for h, v in values.items()
        if case.first <= h <= case.last
    ]
    low, high = min(v for *_, v in points), max(v for *_, v in points)
    bottom = _TOP + _PANEL

    def y(value: float) -> float:
        return bottom - 6 - (value - low) / ((high - low) or 1) * (_PANEL - 14)

    doubts = set(
        zip(
            found.judged.doubts.register_ix.tolist(),
            ((found.judged.doubts.ts_us - T0) // HOUR_US).tolist(),
            strict=True,
        )
    )
    parts = [_frame(_TOP, "寄存器 register", f"{low:,.0f}–{high:,.0f}")]
    parts += [
        f'<circle cx="{x(h):.1f}" cy="{y(v):.1f}" r="3" fill="{_DOUBT if (n, h) in doubts else _GOOD}"/>'
        for n, h, v in points
    ]
    return parts


def _bars(case: Case, found: Derived, x: Callable[[float], float], width: float) -> list[str]:
    top = _TOP + _PANEL + 14
    hours = found.hours
    shown_hours = {
        int(h - T0) // HOUR_US: (float(c), float(e))
        for h, c, e in zip(hours.hour_us, hours.consumption, hours.estimated, strict=True)
    }
    most = max(
        max(case.truth(h) for h in range(case.first, case.last)),
        max(c for h, (c, _) in shown_hours.items() if case.first <= h < case.last),
    )
    scale = (_PANEL - 10) / most
    parts = [_frame(top, "每小时用量 energy per hour", f"0–{most:.0f} kWh")]
    for h in range(case.first, case.last):
        consumption, estimated = shown_hours.get(h, (0.0, 0.0))
        base = top + _PANEL
        for energy, colour in ((consumption, _MEASURED), (estimated, _ESTIMATED)):
            if energy > 0:
                tall = energy * scale
                parts.append(
                    f'<rect x="{x(h) + 1:.1f}" y="{base - tall:.1f}" width="{width - 2:.1f}" height="{tall:.1f}" '
                    f'fill="{colour}"/>'
                )
        lines = [(case.truth(h), "#222", "1.4")]
        if h in case.children:
            lines.append((case.children[h], _CHILDREN, "1.2"))
        for energy, colour, thick in lines:
            level = base - energy * scale
            parts.append(
                f'<path d="M{x(h):.1f} {level:.1f}H{x(h + 1):.1f}" stroke="{colour}" stroke-width="{thick}" '
                'fill="none"/>'
            )
    return parts


def _frame(top: int, name: str, span: str) -> str:
    return (
        f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT - 16}" height="{_PANEL}" fill="#f7f8fa" stroke="#d5d9de"/>'
        + "".join(
            f'<text x="{_LEFT - 6}" y="{top + 16 + 15 * n}" text-anchor="end" font-size="10.5">{word}</text>'
            for n, word in enumerate(_words(name))
        )
        + f'<text x="{_LEFT - 6}" y="{top + 62}" text-anchor="end" font-size="9.5" fill="#777">{span}</text>'
    )


def _words(name: str) -> list[str]:
    chinese, english = name.split(" ", 1)
    return [chinese, *english.split(" per ", 1)] if " per " in english else [chinese, english]


def _axis(case: Case, x: Callable[[float], float]) -> list[str]:
    y = _TOP + 2 * _PANEL + 30
    return [
        f'<text x="{x(h):.1f}" y="{y}" text-anchor="middle" font-size="10.5" fill="#444">{h % 24:02d}:00</text>'
        for h in range(case.first, case.last + 1)
        if h % 6 == 0
    ]


def _legend(y: int, *, children: bool) -> list[str]:
    parts, at = [], _LEFT
    for colour, text in (
        (_GOOD, "可用读数 good reading"),
        (_CHILDREN, "分表之和 sub-meters") if children else (_DOUBT, "存疑读数 in doubt"),
        (_MEASURED, "实测 measured"),
        (_ESTIMATED, "估算 estimated"),
        ("#222", "真值 truth"),
    ):
        parts.append(f'<rect x="{at}" y="{y - 9}" width="11" height="11" fill="{colour}"/>')
        parts.append(f'<text x="{at + 15}" y="{y}" font-size="11.5">{text}</text>')
        at += 148 if "reading" in text or "meters" in text else 120
    return parts


def main() -> None:
    """Draw all."""
    for case in cases():
        (FOLDER / f"energy-{case.name}.svg").write_text(draw(case), encoding="utf-8")


if __name__ == "__main__":
    main()
