"""The city overview: who is over, who will be, what stopped reporting, how far the data can be trusted.

Reads the api views only. `python -m deploy.grafana.city_overview` writes dashboards/city-overview.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy.grafana.panels import (
    DATASOURCE,
    LEVELS,
    Panel,
    barchart,
    coloured,
    column,
    gauge_column,
    laid_out,
    stat,
    state_timeline,
    table,
    timeseries,
)
from metering.findings import finding_kinds

FILE = Path(__file__).parent / "dashboards" / "city-overview.json"

_SITES = (
    "(select site_code, name from api.site where coalesce(district_code, '-') in (${district:sqlstring}))"
)

#: The newest assessment of each site, item and year inside the time range.
_NEWEST = f"""
with site as {_SITES}, newest as (
    select distinct on (a.site_code, a.item_code) a.*, s.name
    from api.quota_assessment a join site s using (site_code)
    where $__timeFilter(a.as_of) and a.item_code = '$item'
    order by a.site_code, a.item_code, a.as_of desc
)"""


def sites_over() -> Panel:
    """How many sites have used more than their limit."""
    sql = f"{_NEWEST}\nselect count(*) as value from newest where used > limit_value"
    return stat("已超限额 · Over the limit", sql, red_from=1)


def sites_forecast_over() -> Panel:
    """How many more will, by the forecast."""
    sql = f"{_NEWEST}\nselect count(*) as value from newest where used <= limit_value and forecast_p50 > limit_value"
    return stat("预计超限 · Forecast to be over", sql, red_from=1)


def open_alerts() -> Panel:
    """How many alerts are open now."""
    return stat(
        "未关闭预警 · Open alerts",
        f"select count(*) as value from api.alert where state not in ('resolved', 'retracted')\n"
        f"and site_code in (select site_code from {_SITES} s)",
        red_from=1,
    )


def silent_gateways() -> Panel:
    """How many gateways are not online."""
    return stat(
        "离线网关 · Gateways offline",
        "select count(*) as value from api.gateway_status where state is distinct from 'online'",
        red_from=1,
    )


def energy_in_range() -> Panel:
    """Energy of the city in the time range."""
    return stat(
        "全市用量 · City, in the time range",
        """
select sum(consumption) as value from api.area_energy_day
where level = 'city' and item_code = '$item' and $__timeFilter(period)""",
        unit="short",
    )


def trust() -> Panel:
    """Completeness of the city in the time range."""
    return stat(
        "数据完整率 · Completeness",
        """
select avg(completeness) as value from api.area_energy_day
where level = 'city' and item_code = '$item' and $__timeFilter(period)""",
        unit="percentunit",
    )


def quota_table() -> Panel:
    """The newest assessment of every site."""
    return table(
        "限额状态 · Quotas",
        f"""{_NEWEST}
select site_code as "编码 site", name as "建筑 name", year as "年度 year", as_of as "截至 as of",
       used as "已用 used", limit_value as "限额 limit", used_ratio as "占比 ratio", forecast_p50 as "预测 forecast",
       level as "级别 level", exhaustion_date as "耗尽日 exhausted on", completeness as "完整率 complete"
from newest order by used_ratio desc nulls last""",
        [
            coloured("级别 level"),
            gauge_column("占比 ratio", 1.3),
            column("完整率 complete", unit="percentunit"),
            column("年度 year", unit="none"),
            column("已用 used", unit="none", decimals=0),
            column("限额 limit", unit="none", decimals=0),
            column("预测 forecast", unit="none", decimals=0),
            column("建筑 name", custom__width=320),
        ],
    )


def levels_by_district() -> Panel:
    """How many sites of each district are at each level, by the newest assessment in the years of the time range."""
    counts = ",\n".join(
        f"       count(*) filter (where level = '{name}') as \"{text}\""
        for name, (_, _, text) in LEVELS.items()
    )
    colours = [column(text, color={"mode": "fixed", "fixedColor": hue}) for _, hue, text in LEVELS.values()]
    return barchart(
        "各区限额等级 · Levels by district",
        f"""
with newest as (
    select distinct on (q.site_code) coalesce(q.district_code, '-') as district, q.level
    from api.quota_state q
    where q.item_code = '$item' and coalesce(q.district_code, '-') in (${{district:sqlstring}})
      and q.year between extract(year from ($__timeFrom())::timestamptz at time zone '$zone')
                     and extract(year from ($__timeTo())::timestamptz at time zone '$zone')
    order by q.site_code, q.year desc
)
select district,
{counts}
from newest group by district order by district""",
        unit="none",
        x="district",
        overrides=colours,
    )


def levels_over_time() -> Panel:
    """The level of each site, day by day."""
    ranks = " ".join(f"when '{name}' then {rank}" for name, (rank, _, _) in LEVELS.items())
    return state_timeline(
        "级别变化 · Levels over time",
        f"""
with site as {_SITES}
select a.as_of::timestamp at time zone '$zone' as time, a.site_code as metric, case a.level {ranks} end as value
from api.quota_assessment a join site s using (site_code)
where $__timeFilter(a.as_of) and a.item_code = '$item'
order by 1, 2""",
    )


def share_used() -> Panel:
    """The share of its limit that each site has used."""
    return timeseries(
        "限额使用率 · Share of the limit used",
        f"""
with site as {_SITES}
select a.as_of::timestamp at time zone '$zone' as time, a.site_code as metric, a.used_ratio as value
from api.quota_assessment a join site s using (site_code)
where $__timeFilter(a.as_of) and a.item_code = '$item'
order by 1, 2""",
        unit="percentunit",
        limit=1,
    )


def city_by_day() -> Panel:
    """Energy by day and sector."""
    return timeseries(
        "各部门日用量 · Energy by day and sector",
        """
select period::timestamp at time zone '$zone' as time, code as metric, consumption as value
from api.area_energy_day
where level = 'sector' and item_code = '$item' and $__timeFilter(period)
order by 1, 2""",
        unit="short",
        bars=True,
    )


def districts_by_month() -> Panel:
    """Energy by month, a bar a month."""
    return barchart(
        "各月用量与碳排放 · Energy and CO2 by month",
        """
select to_char(period, 'YYYY-MM') as month, sum(consumption) / 1000 as "千单位 thousands", sum(tco2) as "tCO2"
from api.area_energy_month
where level = 'district' and code in (${district:sqlstring}) and item_code = '$item' and $__timeFilter(period)
group by period order by period""",
        unit="short",
        x="month",
    )


def completeness_by_district() -> Panel:
    """How far each district's data can be trusted."""
    return timeseries(
        "各区数据完整率 · Completeness by district",
        """
select period::timestamp at time zone '$zone' as time, code as metric, completeness as value
from api.area_energy_day
where level = 'district' and code in (${district:sqlstring}) and item_code = '$item' and $__timeFilter(period)
order by 1, 2""",
        unit="percentunit",
        top=1,
    )


def alert_table() -> Panel:
    """The alerts that opened in the time range."""
    return table(
        "预警 · Alerts",
        f"""
select opened_at as "时间 opened", site_code as "编码 site", rule as "规则 rule", severity as "级别 severity",
       state as "状态 state", subject as "对象 subject"
from api.alert
where $__timeFilter(opened_at) and site_code in (select site_code from {_SITES} s)
order by opened_at desc limit 200""",
        [coloured("级别 severity")],
    )


def findings_table() -> Panel:
    """What is silent or missing now, the most severe first."""
    names = " ".join(
        f"when '{k.kind}' then '{k.name_zh} {k.name_en.lower()}'" for k in finding_kinds().values()
    )
    return table(
        "未结发现 · Open findings",
        f"""
select case kind {names} else kind end as "种类 kind", severity as "级别 severity", site_code as "编码 site",
       coalesce(meter, detail ->> 'gateway') as "对象 about", starts as "自 since",
       coalesce(detail ->> 'meters', detail ->> 'missing') as "数量 count"
from api.finding
where state = 'open' and ends is null
order by array_position(array['critical', 'major', 'warning'], severity), starts limit 200""",
    )


def gateway_table() -> Panel:
    """Every gateway, the longest silent first."""
    return table(
        "网关 · Gateways",
        """
select gateway as "网关 gateway", state as "状态 state", since as "自 since", last_reading as "最新读数 last reading",
       clock_offset_s as "时钟偏差 clock offset", outbox_depth as "待发 outbox"
from api.gateway_status order by last_reading nulls first limit 200""",
        [column("时钟偏差 clock offset", unit="s")],
    )


def intake_by_day() -> Panel:
    """What came in, by the day of receipt."""
    return timeseries(
        "接收量（按接收日）· Readings received, by day of receipt",
        """
select l.day::timestamp at time zone '$zone' as time, k.metric, sum(k.value) as value
from api.ingest_ledger l
cross join lateral (values ('入库 stored', stored), ('重复 repeated', repeated), ('冲突 conflicting', conflicting),
                           ('拒收 rejected', rejected)) k (metric, value)
where $__timeFilter(l.day)
group by 1, 2 order by 1, 2""",
        unit="short",
        bars=True,
    )


def rejects_by_reason() -> Panel:
    """What could not be used, and why."""
    return table(
        "拒收原因 · Rejects by reason",
        """
select reason as "原因 reason", gateway as "网关 gateway", count(*) as "数量 count", max(received_at) as "最近 last"
from api.reject where $__timeFilter(received_at)
group by reason, gateway order by count(*) desc limit 100""",
    )


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana loads it."""
    figures = [
        sites_over(),
        sites_forecast_over(),
        open_alerts(),
        silent_gateways(),
        energy_in_range(),
        trust(),
    ]
    return {
        "id": None,
        "uid": "nengliu-city",
        "title": "全市总览 · City overview",
        "tags": ["nengliu"],
        "timezone": "Asia/Shanghai",
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "",
        "time": {"from": "now-1y", "to": "now"},
        "links": [
            {
                "title": "演示数据 2014–2015 · Demo years",
                "type": "link",
                "icon": "external link",
                "url": "/d/nengliu-city?from=1388505600000&to=1451577599000",
                "targetBlank": False,
            }
        ],
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": laid_out(
            [
                (4, [(4, p) for p in figures]),
                (9, [(24, quota_table())]),
                (8, [(8, levels_by_district()), (8, share_used()), (8, levels_over_time())]),
                (8, [(12, city_by_day()), (12, districts_by_month())]),
                (8, [(12, alert_table()), (12, completeness_by_district())]),
                (8, [(9, gateway_table()), (9, intake_by_day()), (6, rejects_by_reason())]),
                (8, [(24, findings_table())]),
            ]
        ),
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {
            "name": "district",
            "label": "行政区 District",
            "type": "query",
            "datasource": DATASOURCE,
            "query": "select distinct coalesce(district_code, '-') from api.site order by 1",
            "multi": True,
            "includeAll": True,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "refresh": 1,
            "sort": 1,
        },
        {
            "name": "item",
            "label": "能源项 Item",
            "type": "query",
            "datasource": DATASOURCE,
            "query": "select distinct item_code from api.site_energy_year order by 1",
            "multi": False,
            "includeAll": False,
            "current": {"selected": True, "text": "01", "value": "01"},
            "refresh": 1,
            "sort": 1,
        },
        {
            "name": "zone",
            "type": "constant",
            "hide": 2,
            "query": "Asia/Shanghai",
            "current": {"selected": True, "text": "Asia/Shanghai", "value": "Asia/Shanghai"},
        },
    ]


def as_text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(as_text(), encoding="utf-8")
