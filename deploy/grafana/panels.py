"""Panels of a Grafana dashboard as plain dictionaries; loads in Grafana 9.4 and later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Panel = dict[str, Any]

DATASOURCE = {"type": "postgres", "uid": "nengliu"}

#: Level -> (rank, colour, text in both languages), mild to severe.
LEVELS = {
    "undetermined": (0, "#8a9aa4", "无法判定 undetermined"),
    "normal": (1, "#2e9e6b", "正常 normal"),
    "watch": (2, "#e3b505", "关注 watch"),
    "warning": (3, "#e08200", "预警 warning"),
    "over": (4, "#e0562b", "超限额 over"),
    "severe": (5, "#c0392b", "严重超限 severe"),
    "enforcement": (6, "#7b1e3a", "连续严重超限 enforcement"),
}


def panel(kind: str, title: str, sql: str, *, series: bool = False, **more: Any) -> Panel:
    """A panel with one SQL query; `series`: the query gives time, metric, value."""
    target = {
        "refId": "A",
        "datasource": DATASOURCE,
        "rawQuery": True,
        "editorMode": "code",
        "format": "time_series" if series else "table",
        "rawSql": sql.strip(),
    }
    return {"type": kind, "title": title, "datasource": DATASOURCE, "targets": [target], **more}


def stat(title: str, sql: str, *, unit: str = "short", red_from: float | None = None) -> Panel:
    """One big figure; turns red from `red_from` on."""
    steps: list[dict[str, Any]] = [{"color": "text", "value": None}]
    if red_from is not None:
        steps.append({"color": "red", "value": red_from})
    return panel(
        "stat", title, sql,
        fieldConfig=_field({"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}),
        options={"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                 "colorMode": "value", "graphMode": "none", "textMode": "auto", "justifyMode": "auto"},
    )  # fmt: skip


def timeseries(
    title: str,
    sql: str,
    *,
    unit: str,
    bars: bool = False,
    top: float | None = None,
    limit: float | None = None,
) -> Panel:
    """Lines or stacked bars over time; `limit` draws a red line there."""
    custom: dict[str, Any] = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 70 if bars else 8,
        "lineWidth": 1 if bars else 2,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if bars else "none", "group": "A"},
    }
    defaults: dict[str, Any] = {"unit": unit, "min": 0, "custom": custom}
    if top is not None:
        defaults["max"] = top
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        steps = [{"color": "transparent", "value": None}, {"color": "red", "value": limit}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return panel(
        "timeseries", title, sql, series=True,
        fieldConfig=_field(defaults),
        options={"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                 "tooltip": {"mode": "multi", "sort": "desc"}},
    )  # fmt: skip


def table(title: str, sql: str, overrides: Sequence[dict[str, Any]] = ()) -> Panel:
    """A table; `overrides` as `column` makes them."""
    return panel(
        "table", title, sql,
        fieldConfig=_field({"custom": {"align": "auto", "filterable": True}}, overrides),
        options={"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
    )  # fmt: skip


def column(name: str, **properties: Any) -> dict[str, Any]:
    """How one column of a table shows: property id -> value."""
    listed = [{"id": i.replace("__", "."), "value": v} for i, v in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def coloured(name: str) -> dict[str, Any]:
    """The column of levels, coloured, in the form of older and of newer versions."""
    return column(
        name,
        mappings=level_mappings(by_rank=False),
        custom__displayMode="color-background",
        custom__cellOptions={"type": "color-background", "mode": "basic"},
    )


def gauge_column(name: str, top: float) -> dict[str, Any]:
    """A column of shares as bars up to `top`, red over 1."""
    steps = [
        {"color": "green", "value": None},
        {"color": "orange", "value": 0.9},
        {"color": "red", "value": 1},
    ]
    return column(
        name,
        unit="percentunit",
        min=0,
        max=top,
        thresholds={"mode": "absolute", "steps": steps},
        custom__displayMode="basic",
        custom__cellOptions={"type": "gauge", "mode": "basic"},
    )


def level_mappings(*, by_rank: bool) -> list[dict[str, Any]]:
    """Value mappings of levels, by name or by rank."""
    options = {
        str(rank) if by_rank else name: {"text": text, "color": colour, "index": rank}
        for name, (rank, colour, text) in LEVELS.items()
    }
    return [{"type": "value", "options": options}]


def state_timeline(title: str, sql: str) -> Panel:
    """The level of each site over time."""
    return panel(
        "state-timeline", title, sql, series=True,
        fieldConfig=_field({"custom": {"fillOpacity": 85, "lineWidth": 0}, "mappings": level_mappings(by_rank=True)}),
        options={"mergeValues": True, "showValue": "never", "rowHeight": 0.85,
                 "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
    )  # fmt: skip


def barchart(title: str, sql: str, *, unit: str, x: str, overrides: Sequence[dict[str, Any]] = ()) -> Panel:
    """Stacked bars by the text column `x`."""
    return panel(
        "barchart", title, sql,
        fieldConfig=_field({"unit": unit, "min": 0, "custom": {"fillOpacity": 80, "lineWidth": 1}}, overrides),
        options={"xField": x, "stacking": "normal", "orientation": "auto", "showValue": "never",
                 "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
    )  # fmt: skip


def laid_out(rows: Sequence[tuple[int, Sequence[tuple[int, Panel]]]]) -> list[Panel]:
    """Panels with id and place: rows of (height, [(width of 24, panel)])."""
    placed: list[Panel] = []
    y = 0
    for height, row in rows:
        x = 0
        for width, one in row:
            placed.append(
                {"id": len(placed) + 1, **one, "gridPos": {"h": height, "w": width, "x": x, "y": y}}
            )
            x += width
        y += height
    return placed


def _field(defaults: dict[str, Any], overrides: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"defaults": defaults, "overrides": list(overrides)}
