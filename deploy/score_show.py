"""What `simulate score` prints: sums, fault kinds, labels, the worst points, false alarms, a peer beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from metering.findings import finding_kinds
from metering.items import item_table
from simulators.scenario.kinds import fault_kinds
from simulators.score.findings import Finding
from simulators.score.hours import Tally, UnitTallies
from simulators.score.peers import Beside
from simulators.score.result import Group, Score

_ALARMS_SHOWN = 10
#: Columns where there is no terminal that says how many it has.
_WIDTH = 120
Cell = Text | str
#: Titles of columns: Chinese, English; names are left, all else is right.
_SUMS = (
    ("", ""), ("单位", "unit"), ("真值", "true"), ("平台", "platform"), ("误差", "error"), ("误差\n%", "error\n%"),
    ("估算\n%", "esti-\nmated"), ("完整\n率", "com-\nplete"), ("错误小时\n(未标记)", "hours wrong\n(unflagged)"),
    ("缺失\n小时", "hours\nmissing"), ("误标\n小时", "flagged,\nno fault"),
)  # fmt: skip
_GROUPS = (
    ("", ""), ("次数", "n"), ("单位", "unit"), ("窗口内\n误差", "error in\nwindow"), ("窗口内\n%", "in win-\ndow %"),
    ("全程\n%", "whole\nrun %"), ("错误\n小时", "hours\nwrong"), ("其中\n未标记", "unflag-\nged"),
    ("缺失\n小时", "hours\nmissing"), ("发现率", "recall"), ("准确率", "precision"),
)  # fmt: skip
_BESIDE = (
    ("标签", "label"), ("{peer} 宽限\n误差 %", "{peer} loose\nerror %"), ("宽限\n错误小时", "loose\nhours wrong"),
    ("严限\n误差 %", "tight\nerror %"), ("本平台\n误差 %", "ours\nerror %"), ("本平台\n错误小时", "ours\nhours wrong"),
    ("表计", "meters"),
)  # fmt: skip


def show_score(
    score: Score,
    language: str,
    *,
    worst: int = 10,
    peer: str | None = None,
    joined: Sequence[Beside] | None = None,
    console: Console | None = None,
) -> None:
    """Print everything, on stdout if no other console is given."""
    plain = Console(highlight=False)
    out = console or (plain if plain.is_terminal else Console(highlight=False, width=_WIDTH))
    _Shown(score, language == "zh", out).all(worst, peer, joined)


class _Shown:
    def __init__(self, score: Score, zh: bool, console: Console) -> None:
        self._score = score
        self._zh = zh
        self._console = console

    def all(self, worst: int, peer: str | None, joined: Sequence[Beside] | None) -> None:
        self._head()
        self._sums()
        self._hours()
        self._groups(
            self._text("按故障种类", "By kind of fault"), self._score.kinds.values(), self._kind_name
        )
        labels = [g for g in self._score.labels.values() if g.name not in self._score.kinds]
        if labels:
            self._groups(self._text("按场景标签", "By label of the scenario"), labels, str)
        if joined is not None:
            self._beside(peer or "", joined)
        self._worst(worst)
        self._alarms()

    def _text(self, zh: str, en: str) -> str:
        return zh if self._zh else en

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def _say(self, zh: str, en: str) -> None:
        self._console.print(Text(self._text(zh, en)))

    def _table(self, titles: Iterable[tuple[str, str]]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for n, title in enumerate(titles):
            first = n == 0
            table.add_column(
                title[0 if self._zh else 1],
                justify="left" if first else "right",
                no_wrap=not first,
                overflow="fold",
            )
        return table

    def _head(self) -> None:
        score, zone = self._score, ZoneInfo(self._score.facts.get("timezone", "Asia/Shanghai"))
        begin, end = (f"{t.astimezone(zone):%Y-%m-%d %H:%M}" for t in (score.starts, score.ends))
        faults = sum(t.fault.is_fault for t in score.faults)
        changes = len(score.faults) - faults
        self._say(
            f"{begin} 至 {end}：{len(score.points)} 个计量点；故障 {faults} 个，真实变化 {changes} 个",
            f"{begin} to {end}: {len(score.points)} points; faults: {faults}, real changes: {changes}",
        )
        t = score.tolerance
        self._say(
            f"误差超过表计显示的 {t.display_steps:g} 个最小步长加该小时能耗的 {t.percent:g}% 即为错误小时",
            f"an hour is wrong beyond {t.display_steps:g} steps of the display and {t.percent:g}% of its energy",
        )
        if score.unknown_points or score.behind_points:
            self._say(
                f"! {score.unknown_points} 个计量点没有能耗，{score.behind_points} 个缺最后一小时："
                "可能仍在推算（--wait）",
                f"! {score.unknown_points} points have no energy, {score.behind_points} lack the last hour: "
                "still deriving? (--wait)",
            )

    def _sums(self) -> None:
        score = self._score
        self._title(self._text("能耗与小时", "Energy and hours"))
        table = self._table(_SUMS)
        self._sum_rows(table, self._text("全部计量点", "all points"), score.totals)
        self._sum_rows(table, self._text("无故障的点", "undisturbed points"), score.undisturbed)
        self._sum_rows(table, self._text("故障窗口之外", "outside windows"), score.elsewhere)
        if len(score.years) > 1:
            for year, tallies in sorted(score.years.items()):
                self._sum_rows(table, str(year), tallies)
        if len(score.items) > 1:
            for item, tallies in sorted(score.items.items()):
                self._sum_rows(table, self._item_name(item), tallies)
        self._console.print(table)

    def _item_name(self, code: str) -> str:
        item = item_table().get(code)
        return code if item is None else f"{code} {self._text(item.name_zh, item.name_en)}"

    def _sum_rows(self, table: Table, name: str, tallies: UnitTallies) -> None:
        for n, (unit, t) in enumerate(tallies.units):
            table.add_row(name if n == 0 else "", *_sum_cells(unit, t))

    def _hours(self) -> None:
        totals = self._score.totals
        hours = totals.count("hours")
        named = (
            ("错误且未标记为估算", "wrong and not flagged as estimated", "wrong_unflagged"),
            ("错误但已标记", "wrong but flagged", "wrong_flagged"),
            ("缺失", "missing", "missing"),
            ("误标（附近无故障）", "flagged although no fault is near", "strange"),
        )
        said = [
            f"{self._text(zh, en)} {totals.count(n):,} ({totals.count(n) / hours:.2%})" for zh, en, n in named
        ]
        self._say(f"共 {hours:,} 点时：" + "，".join(said), f"of {hours:,} hours: " + ", ".join(said))

    def _groups(self, title: str, groups: Iterable[Group], name: object) -> None:
        self._title(title)
        table = self._table(_GROUPS)
        for group in groups:
            for n, (unit, t) in enumerate(group.window.units or group.whole.units or [("", Tally())]):
                self._group_row(table, group, name(group.name) if callable(name) else "", n, unit, t)
        self._console.print(table)

    def _group_row(self, table: Table, group: Group, name: str, n: int, unit: str, window: Tally) -> None:
        whole = dict(group.whole.units).get(unit, Tally())
        shown = window if group.faults else whole
        judged = self._judged(group) if n == 0 else ("", "")
        table.add_row(
            name if n == 0 else "",
            str(len(group.faults)) if n == 0 else "",
            unit,
            _signed(window.error) if window.hours and group.faults else "–",
            _percent(window.percent(window.gross_error)) if group.faults else "–",
            _percent(whole.percent(whole.gross_error)),
            _count(shown.wrong),
            _count(shown.wrong_unflagged, bad="red"),
            _count(shown.missing),
            *judged,
        )

    def _judged(self, group: Group) -> tuple[Cell, Cell]:
        """The cells that say how faults were found."""
        recall, precision = self._score.recall(group), self._score.precision(group)
        exact = (
            "–"
            if precision.ratio is None
            else f"{precision.ratio:.0%} ({precision.explained}/{precision.findings})"
        )
        if not group.faults:
            return "–", "–"
        if not group.is_fault:
            if recall.called_fault:
                wrong = self._text(f"误报 {recall.called_fault}", f"called fault: {recall.called_fault}")
                return Text(wrong, style="red"), "–"
            return self._text("未误报", "left alone"), "–"
        if not recall.expecting:
            return Text(self._text("只看能耗", "energy only"), style="dim"), "–"
        if not recall.judged:
            return Text(self._text("尚未判定", "not judged yet"), style="dim"), "–"
        return f"{recall.ratio:.0%} ({recall.found}/{recall.judged})", exact

    def _kind_name(self, kind: str) -> str:
        known = fault_kinds().get(kind)
        return kind if known is None else self._text(known.name_zh, known.name_en)

    def _worst(self, count: int) -> None:
        worst = self._score.worst(count)
        if not worst:
            return
        self._title(self._text(f"误差最大的 {len(worst)} 个计量点", f"The {len(worst)} worst points"))
        table = self._table(_SUMS)
        for p in worst:
            labels = ", ".join(p.labels)
            name = p.point.point_code + (f"\n  {labels}" if labels else "")
            table.add_row(name, *_sum_cells(p.point.unit, p.tally))
        self._console.print(table)

    def _alarms(self) -> None:
        found = self._score.findings
        alarms = found.false_alarms
        waiting = [k for k in finding_kinds() if not found.judged([k])]
        self._title(self._text("发现", "Findings"))
        self._say(
            f"{len(found.findings)} 条，其中误报 {len(alarms)} 条；另有 {found.outside} 条不在模拟时段内；"
            f"{len(waiting)} 种尚无判定规则，尚未判定",
            f"{len(found.findings)} findings, false alarms: {len(alarms)}; {found.outside} more outside the run; "
            f"{len(waiting)} kinds are not judged yet: nothing finds them",
        )
        for f in alarms[:_ALARMS_SHOWN]:
            self._say(f"  误报 {self._finding(f)}", f"  false alarm: {self._finding(f)}")
        if len(alarms) > _ALARMS_SHOWN:
            more = len(alarms) - _ALARMS_SHOWN
            self._say(f"  另有 {more} 条（--json）", f"  and {more} more (--json)")

    def _finding(self, f: Finding) -> str:
        kind = finding_kinds().get(f.kind)
        name = f.kind if kind is None else self._text(kind.name_zh, kind.name_en)
        zone = ZoneInfo(self._score.facts.get("timezone", "Asia/Shanghai"))
        begin = f"{f.starts.astimezone(zone):%Y-%m-%d %H:%M}"
        end = "" if f.ends is None else f"{f.ends.astimezone(zone):%Y-%m-%d %H:%M}"
        where = " ".join(n for n in (f.site_code, f.point_code, f.meter or f.gateway) if n)
        return f"{name} {where} {begin} – {end}"

    def _beside(self, peer: str, joined: Sequence[Beside]) -> None:
        shown = {"myems": "MyEMS"}.get(peer, peer)
        self._title(self._text(f"与 {shown} 相比，同样的故障", f"Beside {shown}, on the same faults"))
        table = self._table([(zh.format(peer=shown), en.format(peer=shown)) for zh, en in _BESIDE])
        for b in joined:
            p, ours = b.peer, b.ours
            table.add_row(
                p.label,
                _percent(p.percent(p.loose_error_kwh)),
                "–" if p.loose_hours_wrong is None else f"{p.loose_hours_wrong:g}",
                _percent(p.percent(p.tight_error_kwh)),
                _percent(ours.percent(ours.error)) if ours else "–",
                f"{(ours.wrong + ours.missing) / ours.points:.4g}" if ours else "–",
                str(ours.points) if ours else "–",
            )
        self._console.print(table)
        self._say(
            f"宽限、严限：{shown} 的小时上限设为 999.999 或额定功率；错误小时为每只表平均，含缺失",
            f"loose, tight: {shown}'s hourly limit at 999.999 or at the rated power; hours wrong a meter, missing ones "
            "included",
        )


def _sum_cells(unit: str, t: Tally) -> list[Cell]:
    return [
        unit,
        _energy(t.true),
        _energy(t.platform),
        _signed(t.error),
        _percent(t.percent(t.error)),
        f"{t.estimated / t.platform:.1%}" if t.platform else "–",
        "–" if t.share(t.covered) is None else f"{t.share(t.covered):.1%}",
        f"{t.wrong:,} ({t.wrong_unflagged:,})" if t.wrong else _count(0),
        _count(t.missing),
        _count(t.strange),
    ]


def _energy(value: float) -> str:
    """With as many decimals as matter."""
    if abs(value) < 5e-7:
        return "0"
    return (
        f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.3g}"
    )


def _signed(value: float) -> str:
    shown = _energy(value)
    return f"+{shown}" if value > 0 and shown != "0" else shown


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    size = abs(value)
    return (
        "0"
        if size < 5e-6
        else f"{value:.3f}"
        if size < 10
        else f"{value:.1f}"
        if size < 1000
        else f"{value:,.0f}"
    )


def _count(value: int, bad: str = "") -> Cell:
    return Text("0", style="dim") if not value else Text(f"{value:,}", style=bad)
