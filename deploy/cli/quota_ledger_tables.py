"""Tables of the quota ledger for people, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import typer

from alerts.report import LEVEL_NAMES
from deploy.cli.finding_commands import _local
from deploy.cli.quota_commands import _number, _percent, _print_table
from deploy.settings import Settings
from metering.norms import announcements, correction_table, norm_table
from storage.registry_codes import code_names

Row = dict[str, Any]


def print_quotas(quotas: Sequence[Row], zh: bool) -> None:
    """Terms and limits, as they are or were known."""
    heads = (
        ("分项", "年", "起效", "限值", "单位", "方法", "基准年", "降幅 %", "批准人", "备注", "文件")
        if zh
        else (
            "item",
            "year",
            "from",
            "limit",
            "unit",
            "method",
            "base years",
            "cut %",
            "approved by",
            "note",
            "source",
        )
    )
    rows = [
        (
            q["item_code"], str(q["year"]), str(q["effective_from"]), _number(q["limit_value"]), q["unit"],
            q["method"], ";".join(map(str, q["base_years"])), _percents(q["reduction_percent"]),
            q["approved_by"] or "", q["note"] or "",
            "; ".join(filter(None, (q["reason_zh" if zh else "reason"], q["source"]))),
        )
        for q in quotas
    ]  # fmt: skip
    _print_table(heads, rows, right=(3, 7))


def _percents(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def print_months(quotas: Sequence[Row], zh: bool) -> None:
    """The months of limits that have a plan."""
    planned = [q for q in quotas if q["months"]]
    if not planned:
        return
    print_head("月度计划" if zh else "Monthly plans")
    sources = {"given": "给定", "shares": "按比例"}
    months = [f"{n} 月" if zh else f"{date(2000, n, 1):%b}" for n in range(1, 13)]
    heads = ("分项", "年", *months, "来源") if zh else ("item", "year", *months, "months")
    rows = [
        (
            q["item_code"], str(q["year"]), *(_number(m) for m in q["months"]),
            sources[q["months_source"]] if zh else q["months_source"],
        )
        for q in planned
    ]  # fmt: skip
    _print_table(heads, rows, right=range(2, 14))


def print_versions(quotas: Sequence[Row], settings: Settings) -> None:
    """Every version of the limits, with what it rests on."""

    zh = settings.language == "zh"
    rows = [
        (
            q["item_code"], str(q["year"]), str(q["effective_from"]), _local(v["recorded_at"], settings),
            _local(v["superseded_at"], settings) or ("现行" if zh else "in force"),
            _number(v["limit_value"]), v["method"], basis_text(v["basis"], zh),
            v["approved_by"] or "", v["imported_by"] or "", v["note"] or "", v["source"],
        )
        for q in quotas
        for v in q["versions"]
    ]  # fmt: skip
    print_head("限值版本" if zh else "Versions of limits")
    heads = (
        ("分项", "年", "起效", "记录于", "替代于", "限值", "方法", "计算依据", "批准人", "导入人", "备注", "文件")
        if zh
        else ("item", "year", "from", "recorded", "superseded", "limit", "method", "rests on", "approved by",
              "imported by", "note", "source")
    )  # fmt: skip
    _print_table(heads, rows, right=(5,))


def print_imports(imports: Sequence[Row], settings: Settings) -> None:
    """What imports made of the terms of quotas."""

    zh = settings.language == "zh"
    rows = [
        (
            i["item_code"], str(i["year"]), str(i["effective_from"]), _local(i["imported_at"], settings),
            i["actor"], str(i["version"]), _changes_text(i, zh),
        )
        for i in imports
    ]  # fmt: skip
    print_head("导入" if zh else "Imports")
    heads = (
        ("分项", "年", "起效", "导入于", "导入人", "登记版本", "内容")
        if zh
        else ("item", "year", "from", "imported", "by", "registry version", "what")
    )
    _print_table(heads, rows, right=(5,))


#: The terms of a quota in the order in which a change of them is told.
_TERMS = (
    "limit_value", "method", "base_years", "reduction_percent", "norm", "monthly_plan", "approved_by", "note", "source",
)  # fmt: skip


def _changes_text(change: Row, zh: bool) -> str:
    changed = {name: change["changed"][name] for name in _TERMS if name in change["changed"]}
    if change["new"]:
        said = "; ".join(
            f"{name} {_cell(now)}" for name, (_, now) in changed.items() if now not in (None, [], "")
        )
        return f"新增: {said}" if zh else f"new: {said}"
    return "; ".join(
        f"{name} {_cell(was) or '-'} → {_cell(now) or '-'}" for name, (was, now) in changed.items()
    )


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(f"{v:.12g}" for v in value)
    if isinstance(value, float):
        return f"{value:,.12g}"
    return "" if value is None else str(value)


def basis_text(basis: Row, zh: bool) -> str:
    """What a version of a limit was computed from, in a line."""
    if basis.get("given"):
        return "给定值" if zh else "as given"
    said = []
    for year, used in basis.get("base_years", {}).items():
        said.append(f"{year}: {used['energy']:,.0f} ({used['coverage']:.1%})")
    if peers := basis.get("peers"):
        said.append(
            f"同类 {peers['building_type']} {peers['sites']} 栋均值 {peers['per_m2']:,.1f}/m2{_by_area(peers, zh)} "
            f"(截至 {peers['as_of']})"
            if zh
            else f"mean of {peers['sites']} of type {peers['building_type']}: {peers['per_m2']:,.1f}/m2"
            f"{_by_area(peers, zh)} as of {peers['as_of']}"
        )
    if norm := basis.get("norm"):
        kind = {"constraint": "约束值", "guide": "引导值"}[norm["kind"]] if zh else norm["kind"]
        said.append(
            f"{norm['norm']} {kind} {norm['per_m2']:g} {norm['unit']} x {norm['floor_area_m2']:,.0f} m2 "
            f"[{norm['confidence']}]"
        )
    if correction := basis.get("correction"):
        said.append(f"/ {correction['factor']:.4g} ({_parameters(correction)})")
    percent = basis.get("reduction_percent") or 0.0
    if place := basis.get("percentile"):
        percent = place["reduction_percent"]
        band = {"best": "最优", "middle": "中间", "worst": "最差"}[place["band"]] if zh else place["band"]
        said.append(
            f"{band} 第 {place['rank']}/{place['sites']} 名"
            if zh
            else f"{band}, {place['rank']} of {place['sites']}"
        )
    if percent:
        said.append(f"-{percent:g}%")
    return "; ".join(said)


def _by_area(peers: Row, zh: bool) -> str:
    """What the peers' mean comes to for the site, and whether that is the smaller; nothing of it in older versions."""
    if "floor_area_m2" not in peers:
        return ""
    value = f" x {peers['floor_area_m2']:,.0f} m2 = {peers['per_m2'] * peers['floor_area_m2']:,.0f}, "
    taken = peers["smaller"] == "peers"
    return value + (("取此值" if taken else "取自身值") if zh else ("taken" if taken else "own taken"))


def _parameters(correction: Row) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in correction.items() if name != "factor")


def print_norms(zh: bool) -> None:
    """The norms by building type."""
    print_head("定额 (按建筑类型)" if zh else "Norms by building type", first=True)
    heads = (
        ("定额", "类型", "名称", "约束值", "引导值", "单位", "可信度", "依据")
        if zh
        else ("norm", "type", "name", "constraint", "guide", "unit", "confidence", "source")
    )
    rows = [
        (
            n.norm, n.building_type, n.name_zh if zh else n.name_en, _number(n.constraint), _number(n.guide),
            n.unit, n.confidence, n.source,
        )
        for n in norm_table().values()
    ]  # fmt: skip
    _print_table(heads, rows, right=(3, 4))


def print_corrections(zh: bool) -> None:
    """The corrections that norms allow."""
    print_head("修正系数 (作用于实测值)" if zh else "Corrections, factors on the measured value")
    heads = (
        ("参数", "单位", "用于", "系数", "可信度", "依据")
        if zh
        else ("parameter", "unit", "of", "factor", "confidence", "source")
    )
    rows = [
        (
            c.parameter, c.unit, ", ".join(c.norms),
            f"{c.fixed:g} + {c.slope:g} * "
            + (f"{c.reference:g} / {c.parameter}" if c.inverse else f"{c.parameter} / {c.reference:g}"),
            c.confidence, c.source,
        )
        for c in correction_table().values()
    ]  # fmt: skip
    _print_table(heads, rows, right=())


def print_announcements(zh: bool) -> None:
    """The announcements of limits."""
    print_head("限额公告" if zh else "Announcements of limits")
    heads = (
        ("公告", "年", "方法", "基准年", "降幅 %", "免降 %", "内容", "可信度", "依据")
        if zh
        else (
            "announcement",
            "years",
            "method",
            "base years",
            "cut %",
            "exempt %",
            "what",
            "confidence",
            "source",
        )
    )
    rows = [
        (
            a.announcement, _years(a.from_year, a.to_year), a.method, ";".join(map(str, a.base_years)),
            _percents(a.reduction_percent), _percents(a.best_percent_exempt), a.title_zh if zh else a.title_en,
            a.confidence, a.source,
        )
        for a in announcements()
    ]  # fmt: skip
    _print_table(heads, rows, right=(4, 5))


def _years(begin: int | None, end: int | None) -> str:
    if begin == end:
        return str(begin or "")
    return f"{begin or ''}-{end or ''}"


#: What shares are of -> column of api.quota_state_area, in Chinese, in English.
_SHARES = {
    "sites": ("sites_share", "占建筑数", "share of sites"),
    "energy": ("used_share", "占用能", "share of energy"),
    "area": ("floor_area_share", "占面积", "share of floor area"),
}
_SIZES = {
    "large_public": ("large public building, over 20,000 m2", "大型公共建筑, 2 万 m2 以上"),
    "other": ("others", "其他"),
}
#: By what it is rolled up -> in Chinese, in English, codes with their names in English and Chinese.
_AREAS = {
    "district": ("行政区", "district", {}),
    "sector": ("部门", "sector", code_names("sector")),
    "type": ("类型", "type", code_names("building_type")),
    "size": ("规模", "size", _SIZES),
    "city": ("城市", "city", {}),
}


def print_rollup(found: Sequence[Row], by: str, of: str, zh: bool) -> None:
    """A row an area, a column a level: sites and their share of the area's sites, energy or floor area."""
    levels = [name for name in LEVEL_NAMES if any(r["quota_level"] == name for r in found)]
    (column, *shares), (kind_zh, kind_en, names) = _SHARES[of], _AREAS[by]
    first = found[0]
    typer.echo(
        f"{first['year']} 年, 分项 {first['item_code']}: 各等级建筑数 ({shares[0]})"
        if zh
        else f"{first['year']}, item {first['item_code']}: sites at each level ({shares[1]})"
    )
    heads = (
        (kind_zh, "建筑数", f"已用 {first['unit']}", "面积 m2", *(LEVEL_NAMES[n][0] for n in levels))
        if zh
        else (kind_en, "sites", f"used {first['unit']}", "floor m2", *(LEVEL_NAMES[n][1] for n in levels))
    )
    rows = []
    for code in dict.fromkeys(r["code"] for r in found):
        at = {r["quota_level"]: r for r in found if r["code"] == code}
        cells = [f"{at[n]['sites']} ({_percent(at[n][column]) or '-'})" if n in at else "" for n in levels]
        totals = [sum(r[name] or 0 for r in at.values()) for name in ("sites", "used", "floor_area_m2")]
        rows.append((_area_name(code, names, zh), *map(_number, totals), *cells))
    _print_table(heads, rows, right=range(1, 4 + len(levels)))


def _area_name(code: str, names: Mapping[str, tuple[str, str]], zh: bool) -> str:
    known = names.get(code)
    if known is None:
        return code
    name = known[1 if zh else 0]
    return name if names is _SIZES else f"{code} {name}"


def print_head(text: str, first: bool = False) -> None:
    """The head of a table among others."""
    typer.echo(text if first else f"\n{text}")
