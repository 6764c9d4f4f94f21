"""The score as a picture: by kind of fault, and the worst points. SVG by hand, see docs/decisions/report-charts.md."""

from __future__ import annotations

import math
from html import escape

from simulators.scenario.kinds import fault_kinds
from simulators.score.chart_strips import STRIP_HEIGHT, strip_keys, strip_panel
from simulators.score.hours import Tally
from simulators.score.result import Group, Score

_WIDTH, _MARGIN = 1000, 24
_ROW, _HEAD = 26, 116
#: Left edge and width of the columns: energy error, hours wrong, found, precision.
_ERROR, _HOURS, _FOUND, _EXACT = (170, 330), (580, 160), (800, 78), (902, 74)
_LOG_FROM, _LOG_TO = -2, 2
_DARK, _LIGHT, _GREY, _BLUE, _GREEN = "#c8553d", "#e8b4a6", "#c9c9c9", "#1f6f8b", "#4f772d"


def score_chart(score: Score, language: str) -> str:
    """One SVG, in Chinese or English: a row a kind of fault, then a strip for each of `score.strips`."""
    zh = language == "zh"
    groups = [g for g in score.kinds.values() if g.faults]
    strips_at = _HEAD + _ROW * len(groups) + 82
    height = strips_at + STRIP_HEIGHT * math.ceil(len(score.strips) / 2) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13" fill="#222">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        *_head(score, zh),
        *_axes(len(groups)),
    ]
    for n, group in enumerate(groups):
        parts += _row(score, group, _HEAD + _ROW * n, zh)
    if score.strips:
        title = (
            "误差最大的计量点：故障前后的真值与平台"
            if zh
            else "The worst points: truth and platform around the fault"
        )
        parts += [_text(_MARGIN, strips_at - 30, title, 'font-size="15" font-weight="bold"')]
        parts += strip_keys(_MARGIN, strips_at - 12, zh)
    half = (_WIDTH - 2 * _MARGIN) // 2
    for n, strip in enumerate(score.strips):
        at = (_MARGIN + n % 2 * (half + 8), strips_at + n // 2 * STRIP_HEIGHT)
        parts += strip_panel(strip, score, at, half - 8, zh)
    return "\n".join([*parts, "</svg>", ""])


def _head(score: Score, zh: bool) -> list[str]:
    faults = sum(t.fault.is_fault for t in score.faults)
    days = score.hours / 24
    title = "模拟真值对照：按故障种类" if zh else "Scored against the truth, by kind of fault"
    said = (
        f"{len(score.points)} 个计量点，{days:g} 天，{faults} 个故障" if zh else
        f"{len(score.points)} points, {days:g} days, {faults} faults"
    )  # fmt: skip
    columns = (
        (
            _ERROR[0],
            "能耗误差 %（条：故障窗口内；菱形：全程）" if zh else
            "Energy error % (bar: in the window; diamond: whole run)",
        ),
        (_HOURS[0], "错误小时（条：占窗口）" if zh else "Hours wrong (bar: of window)"),
        (_FOUND[0], "发现率" if zh else "Recall"),
        (_EXACT[0], "准确率" if zh else "Precision"),
    )  # fmt: skip
    keys = (
        (_DARK, "未标记" if zh else "unflagged"),
        (_LIGHT, "已标记" if zh else "flagged"),
        (_GREY, "缺失" if zh else "missing"),
    )
    parts = [
        _text(_MARGIN, 32, title, 'font-size="18" font-weight="bold"'),
        _text(_MARGIN, 54, said, 'fill="#666"'),
        *(_text(x, 82, escape(name), 'font-weight="bold" font-size="12"') for x, name in columns),
    ]
    for n, (colour, name) in enumerate(keys):
        at = _HOURS[0] + n * (56 if zh else 76)
        parts.append(f'<rect x="{at}" y="90" width="9" height="9" fill="{colour}"/>')
        parts.append(_text(at + 12, 99, name, 'font-size="11" fill="#666"'))
    return parts


def _axes(rows: int) -> list[str]:
    """Lines of the logarithmic scale of errors, with their percents."""
    parts = []
    bottom = _HEAD + _ROW * rows
    for power in range(_LOG_FROM, _LOG_TO + 1):
        x = _error_x(10.0**power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 4}" y2="{bottom}" stroke="#e4e4e4"/>')
        parts.append(
            _text(x, _HEAD - 8, f"{10.0**power:g}", 'text-anchor="middle" font-size="11" fill="#888"')
        )
    return parts


def _row(score: Score, group: Group, top: int, zh: bool) -> list[str]:
    kind = fault_kinds().get(group.name)
    name = group.name if kind is None else kind.name_zh if zh else kind.name_en
    unit, window = group.window.main
    whole = dict(group.whole.units).get(unit, Tally())
    middle = top + _ROW / 2 + 4
    return [
        f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{top}" y2="{top}" stroke="#eee"/>',
        _text(
            _MARGIN, middle, f"{escape(name)} <tspan fill='#888' font-size='11'>×{len(group.faults)}</tspan>"
        ),
        *_error_bar(window, whole, top, middle),
        *_hours_bar(window, top, middle),
        *_judged(score, group, top, middle, zh),
    ]


def _error_x(percent: float) -> float:
    """Where an error is on the logarithmic scale; what is smaller or larger than it, at its ends."""
    log = math.log10(percent) if percent > 0 else -math.inf
    share = (min(max(log, _LOG_FROM), _LOG_TO) - _LOG_FROM) / (_LOG_TO - _LOG_FROM)
    return _ERROR[0] + share * _ERROR[1]


def _error_bar(window: Tally, whole: Tally, top: int, middle: float) -> list[str]:
    percent = window.percent(window.gross_error)
    if percent is None:
        return [_text(_ERROR[0], middle, "–", 'fill="#888"')]
    at = max(_error_x(percent), _ERROR[0] + 2)
    parts = [
        f'<rect x="{_ERROR[0]}" y="{top + 7}" width="{at - _ERROR[0]:.1f}" height="{_ROW - 14}" fill="{_BLUE}"/>',
        _text(at + 9, middle, _percent(percent), 'font-size="12"'),
    ]
    of_run = whole.percent(whole.gross_error)
    if of_run is not None and of_run >= 10**_LOG_FROM:
        x, y = _error_x(of_run), top + _ROW / 2
        parts.append(
            f'<path d="M{x - 5:.1f} {y}L{x:.1f} {y - 5}L{x + 5:.1f} {y}L{x:.1f} {y + 5}Z" fill="#fff" stroke="#222"/>'
        )
    return parts


def _hours_bar(window: Tally, top: int, middle: float) -> list[str]:
    parts, x = [], float(_HOURS[0])
    for count, colour in (
        (window.wrong_unflagged, _DARK),
        (window.wrong_flagged, _LIGHT),
        (window.missing, _GREY),
    ):
        width = (window.share(count) or 0) * _HOURS[1]
        if width:
            parts.append(
                f'<rect x="{x:.1f}" y="{top + 7}" width="{width:.1f}" height="{_ROW - 14}" fill="{colour}"/>'
            )
        x += width
    bad = window.wrong + window.missing
    said = f"{bad:,}" if window.hours else "–"
    return [*parts, _text(x + 5, middle, said, 'font-size="12"')]


def _judged(score: Score, group: Group, top: int, middle: float, zh: bool) -> list[str]:
    recall, precision = score.recall(group), score.precision(group)
    quiet = 'fill="#888" font-size="12"'
    if not group.is_fault:
        called = recall.called_fault
        said = (
            (f"误报 {called}" if zh else f"{called} called a fault")
            if called
            else "未误报"
            if zh
            else "left alone"
        )
        return [_text(_FOUND[0], middle, said, f'fill="{_DARK}" font-size="12"' if called else quiet)]
    if not recall.expecting:
        return [_text(_FOUND[0], middle, "只看能耗" if zh else "judged by energy only", quiet)]
    if not recall.judged:
        return [_text(_FOUND[0], middle, "尚未判定" if zh else "not judged yet", quiet)]
    parts = _ratio(_FOUND, recall.ratio, f"{recall.found}/{recall.judged}", top, middle)
    return parts + _ratio(_EXACT, precision.ratio, f"{precision.explained}/{precision.findings}", top, middle)


def _ratio(column: tuple[int, int], ratio: float | None, said: str, top: int, middle: float) -> list[str]:
    x, width = column[0], 36
    if ratio is None:
        return [_text(x, middle, "–", 'fill="#888"')]
    frame = f'x="{x}" y="{top + 7}" height="{_ROW - 14}"'
    return [
        f'<rect {frame} width="{width}" fill="#eee"/>',
        f'<rect {frame} width="{width * ratio:.1f}" fill="{_GREEN}"/>',
        _text(x + width + 5, middle, said, 'font-size="12"'),
    ]


def _percent(value: float) -> str:
    if value < 0.0005:
        return "0" if value == 0 else "&lt; 0.001"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    """`text` is markup already."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{text}</text>'
