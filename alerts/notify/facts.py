"""What a notification says, as text for templates: one flat set of fields, the same for every channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from alerts.notify.words import item_name, named, note_in, to_do, unit_of
from alerts.report_charts import display_unit, number

Row = Mapping[str, Any]
_OPENING = ("provisional", "confirmed")


@dataclass(frozen=True, slots=True)
class Figures:
    """How a quota stands, in the item's unit; the day is local."""

    as_of: str | None
    used: float | None
    limit: float | None
    p10: float | None
    p50: float | None
    p90: float | None
    exhaustion: str | None
    completeness: float | None

    @property
    def ratio(self) -> float | None:
        """Used as a share of the limit."""
        return self.used / self.limit if self.used is not None and self.limit else None


def opening_figures(evidence: Row) -> Figures:
    """As they stood when the alert opened."""
    forecast = evidence.get("forecast") or {}
    return Figures(
        evidence.get("as_of"),
        evidence.get("used"),
        evidence.get("limit_value"),
        forecast.get("p10"),
        forecast.get("p50"),
        forecast.get("p90"),
        evidence.get("exhaustion_date"),
        evidence.get("completeness"),
    )


def newest_figures(row: Row) -> Figures:
    """As the newest assessment has them; those of the opening where there is none."""
    if row["as_of"] is None:
        return opening_figures(row["evidence"])
    return Figures(
        row["as_of"].isoformat(),
        row["used"],
        row["limit_value"],
        row["forecast_p10"],
        row["forecast_p50"],
        row["forecast_p90"],
        _iso(row["exhaustion_date"]),
        row["completeness"],
    )


def alert_facts(row: Row, language: str, zone: ZoneInfo) -> dict[str, Any]:
    """The fields that are an alert's own: of what has just opened the figures that it rests on, else the newest."""
    opening = row["to_state"] in _OPENING
    figures = opening_figures(row["evidence"]) if opening else newest_figures(row)
    return {
        "alert_id": row["alert_id"],
        "subject": row["subject"],
        "site_code": row["site_code"],
        "site_name": row["site_name"],
        "district_code": row["district_code"] or "",
        "item_code": row["item_code"],
        "item_name": item_name(row["item_code"], language),
        "year": row["year"],
        "rule": row["rule"],
        "rule_name": named("rule", row["rule"], language),
        "severity": row["severity"],
        "severity_name": named("severity", row["severity"], language),
        "state": row["to_state"],
        "state_name": named("state", row["to_state"], language),
        "happened": named("happened", row["to_state"], language),
        "at": local_time(row["at"], zone),
        "actor": row["actor"] if row["actor"] != "nengliu" else "",
        "note": note_in(row["note"], language),
        "actions": to_do(row["rule"], language) if opening else [],
        **figure_facts(figures, row["item_code"]),
        **estimate_facts(row),
        "quota_source": ((row["evidence"].get("quota") or {}).get("source")) or "",
    }


def figure_facts(f: Figures, item_code: str) -> dict[str, Any]:
    """Figures as text, energies in one unit that suits them; empty: not known."""
    energy = energy_text(item_code, [f.used, f.limit, f.p50])
    days = None
    if f.exhaustion and f.as_of:
        days = (date.fromisoformat(f.exhaustion) - date.fromisoformat(f.as_of)).days
    return {
        "as_of": f.as_of or "",
        "used": energy(f.used),
        "limit": energy(f.limit),
        "ratio": percent(f.ratio),
        "over_by": energy(f.used - f.limit) if f.used is not None and f.limit and f.used > f.limit else "",
        "p10": energy(f.p10),
        "p50": energy(f.p50),
        "p90": energy(f.p90),
        "forecast_ratio": percent(f.p50 / f.limit if f.p50 is not None and f.limit else None),
        "exhaustion_date": f.exhaustion or "",
        "days_left": "" if days is None else str(days),
        "completeness": percent(f.completeness),
    }


def estimate_facts(row: Row) -> dict[str, Any]:
    """How much of the year's energy is estimated; empty where that is not known (tonnes are not metered)."""
    whole, part = row["year_consumption"], row["year_estimated"]
    return {
        "estimated": energy_text(row["item_code"], [whole])(part),
        "estimated_share": percent(part / whole if part is not None and whole else None),
    }


def energy_text(item_code: str, values: Sequence[float | None]) -> Callable[[float | None], str]:
    """How energies of an item are written where the largest of them is of the size of `values`."""
    unit, scale = display_unit(unit_of(item_code), max((v for v in values if v is not None), default=0.0))
    return lambda v: "" if v is None else f"{number(v / scale)} {unit}"


def percent(share: float | None) -> str:
    """A share as text."""
    return "" if share is None else f"{share:.1%}"


def local_time(at: datetime, zone: ZoneInfo) -> str:
    """A moment in local time."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


#: A row like those of notify_facts.sql, for templates to be tried with and for `alerts test-notify`.
SAMPLE: dict[str, Any] = {
    "notification_id": 0,
    "key": "0" * 40,
    "alert_id": 0,
    "rule": "quota_forecast_over",
    "severity": "warning",
    "state": "confirmed",
    "subject": "110108A001/01/2014",
    "item_code": "01",
    "year": 2014,
    "evidence": {
        "as_of": "2014-08-31",
        "used": 301_200.0,
        "limit_value": 410_000.0,
        "forecast": {"p10": 421_000.0, "p50": 436_500.0, "p90": 452_000.0},
        "completeness": 0.987,
        "exhaustion_date": "2014-11-28",
        "quota": {"source": "示例 · example"},
    },
    "site_code": "110108A001",
    "site_name": "示例楼 · Example House",
    "district_code": "110108",
    "transition_no": 1,
    "at": datetime.fromisoformat("2014-09-01T00:00:00+08:00"),
    "from_state": None,
    "to_state": "confirmed",
    "actor": "nengliu",
    "note": None,
    "year_consumption": 301_200.0,
    "year_estimated": 3_400.0,
    "as_of": None,
    "used": None,
    "limit_value": None,
    "forecast_p10": None,
    "forecast_p50": None,
    "forecast_p90": None,
    "exhaustion_date": None,
    "completeness": None,
    "level": None,
}
