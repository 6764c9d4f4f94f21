"""The quota report: one self-contained HTML page in Chinese and English, without scripts or external
requests.
"""

from __future__ import annotations

from datetime import datetime
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from alerts.report_charts import band_shown, display_unit, months_chart, number, pace_chart
from alerts.report_data import QuotaYear, ReportData
from alerts.report_lines import lanes
from alerts.rule_names import rule_names

#: Levels of an assessment, in words: (Chinese, English).
LEVEL_NAMES = {
    "undetermined": ("无法判定", "undetermined"),
    "normal": ("正常", "normal"),
    "watch": ("关注", "watch"),
    "warning": ("预警", "warning"),
    "over": ("超限额", "over"),
    "severe": ("严重超限", "severe"),
    "enforcement": ("连续严重超限", "enforcement"),
}

#: States of an alert, in words: (Chinese, English).
STATE_NAMES = {
    "provisional": ("待确认", "provisional"),
    "confirmed": ("已确认", "confirmed"),
    "acknowledged": ("已受理", "acknowledged"),
    "resolved": ("已解除", "resolved"),
    "retracted": ("已撤回", "retracted"),
}


def render_report(data: ReportData, language: str, made_at: datetime) -> str:
    """The page as text; `language` (zh or en) is what it opens in, the other is one click away."""
    page = _environment().get_template("report.html.j2")
    return page.render(
        data=data,
        language=language,
        made_at=made_at.astimezone(ZoneInfo(data.timezone)),
        levels=LEVEL_NAMES,
        states=STATE_NAMES,
        rules=rule_names(),
        css=Markup(_template("report.css")),
    )


def write_report(data: ReportData, path: Path, language: str, made_at: datetime) -> Path:
    """Write the page to `path`, at once or not at all, and return its absolute path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    half.write_text(render_report(data, language, made_at), encoding="utf-8")
    half.replace(path)
    return path.resolve()


def _template(name: str) -> str:
    return files("alerts").joinpath("templates", name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["months_chart"] = lambda q: Markup(months_chart(q))
    environment.globals["pace_chart"] = lambda q: Markup(pace_chart(q))
    environment.globals["lanes"] = lambda spans, until: [
        (rule, Markup(svg)) for rule, svg in lanes(spans, until)
    ]
    environment.globals["band_shown"] = band_shown
    environment.filters["energy"] = _energy
    environment.filters["percent"] = lambda v: "–" if v is None else f"{v:.1%}"
    environment.filters["thousands"] = lambda v: f"{v:,}"
    return environment


def _energy(value: float | None, q: QuotaYear) -> str:
    """A value of the quota's unit, in the unit that suits its limit."""
    if value is None:
        return "–"
    top = max(q.limit_value or 0.0, q.last.used if q.last else 0.0, value)
    unit, scale = display_unit(q.unit, top)
    return f"{number(value / scale)} {unit}"
