"""What a notification says, as text for templates: one flat set of fields, the same for every channel."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from alerts.notify.words import item_name, named, note_in, to_do, unit_of
from alerts.report_charts import display_unit, number
from alerts.rule_names import rule_name

Row = Mapping[str, Any]
_OPENING = ("opened", "confirmed")
#: Actions after which it is said what is good to do.
_URGES = (*_OPENING, "reopened", "escalated", "reminded")
#: So many members of a finding's alert are named.
_MEMBERS = 8
#: Of a name so many characters are told, and of a document's.
_LONGEST_NAME, _LONGEST_SOURCE = 80, 200


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


def one_line(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name from the registry as it may stand in a subject and a sentence: on one line, without characters that cannot
    be seen (controls, marks that turn the direction of what follows), of a length that leaves room for the rest.
    """
    seen = "".join(c if c.isprintable() else " " for c in text if unicodedata.category(c) != "Cf")
    line = " ".join(seen.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


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
    opening = row["action"] in _OPENING
    figures = opening_figures(row["evidence"]) if opening else newest_figures(row)
    item = item_of(row)
    return {
        "alert_id": row["alert_id"],
        "subject": row["subject"],
        "site_code": row["site_code"] or "",
        "site_name": one_line(row["site_name"] or ""),
        "district_code": row["district_code"] or "",
        "item_code": item,
        "year": row["year"] or "",
        "rule": row["rule"],
        **naming(row, language),
        "severity": row["severity"],
        "severity_name": named("severity", row["severity"], language),
        "state": row["to_state"],
        "state_name": named("state", row["to_state"], language),
        "action": row["action"],
        "happened": happened(row, language),
        "promised_on": _iso(row["promised_on"]) or "",
        "details": details(row["evidence"], language, zone),
        "at": local_time(row["at"], zone),
        "actor": row["actor"] if row["actor"] != "nengliu" else "",
        "note": note_in(row["note"], language),
        "actions": to_do(row["rule"], language) if row["action"] in _URGES else [],
        **figure_facts(figures, item),
        **estimate_facts(row),
        "quota_source": one_line((row["evidence"].get("quota") or {}).get("source") or "", _LONGEST_SOURCE),
    }


def naming(row: Row, language: str) -> dict[str, str]:
    """What an alert is about, in words: place (site, gateway, meter), item_name, rule_name, and all of it as `what`."""
    item, rule = item_of(row), rule_name(row["rule"], language)
    place = one_line(row["site_name"] or row["subject"])
    item_words = item_name(item, language) if item else ""
    about = f"{row['subject']} " if row["site_name"] and not row["year"] and not item else ""
    year = f"{row['year']} 年" if row["year"] else ""
    zh = f"{place}：{about}{year}{item_words}{' ' if item_words and not year else ''}{rule}"
    en = (
        f"{place}, {about}{' '.join(str(w) for w in (item_words, row['year'] or '') if w)}".strip(", ")
        + f": {rule}"
    )
    return {
        "place": place,
        "item_name": item_words,
        "rule_name": rule,
        "what": zh if language == "zh" else en,
    }


def item_of(row: Row) -> str:
    """The item that an alert is about; empty where it is about none."""
    return row["item_code"] or row["evidence"].get("item_code") or ""


def happened(row: Row, language: str) -> str:
    """What the alert went through."""
    return named("happened", "provisional" if row["to_state"] == "provisional" else row["action"], language)


def details(evidence: Row, language: str, zone: ZoneInfo) -> list[dict[str, str]]:
    """What the evidence of an alert of a finding or a load says, labelled; of quotas only what is in doubt."""
    found: list[tuple[str, str]] = []
    if "starts" in evidence:
        found.append(("starts", local_time(datetime.fromisoformat(evidence["starts"]), zone)))
    if "findings" in evidence:
        subjects = list(dict.fromkeys(m["subject"] for m in evidence.get("members", [])))
        found.append(("findings", str(evidence["findings"])))
        found.append(
            ("members", ", ".join(map(str, subjects[:_MEMBERS])) + (" …" if len(subjects) > _MEMBERS else ""))
        )
    if "habit" in evidence:
        unit = str(evidence.get("unit", "")).replace("kWh/h", "kW")
        found += [(name, f"{number(evidence[name])} {unit}") for name in ("actual", "habit")]
        found += [(name, str(evidence[name])) for name in ("days_on_end", "since") if name in evidence]
    if "plan_value" in evidence:
        energy = energy_text(evidence["item_code"], [evidence["used"], evidence["plan_value"]])
        found.append(("month", str(evidence["month"])))
        found += [("month_used", energy(evidence["used"])), ("plan_value", energy(evidence["plan_value"]))]
    if "doubts" in evidence:
        at = ", ".join(f"{d['point_code']} {d['day']}" for d in evidence["doubts"])
        doubtful = energy_text(evidence["item_code"], [evidence["doubtful"]])(evidence["doubtful"])
        found += [("doubts", at), ("doubtful", doubtful)]
    return [{"label": named("label", name, language), "value": value} for name, value in found if value]


def figure_facts(f: Figures, item_code: str) -> dict[str, Any]:
    """Figures as text, energies in one unit that suits them; empty: not known."""
    energy = energy_text(item_code, [f.used, f.limit, f.p50])
    passed = f.used is not None and f.limit is not None and f.used > f.limit
    days = None
    if f.exhaustion and f.as_of and not passed:
        days = (date.fromisoformat(f.exhaustion) - date.fromisoformat(f.as_of)).days
    return {
        "as_of": f.as_of or "",
        "used": energy(f.used),
        "limit": energy(f.limit),
        "ratio": percent(f.ratio),
        "over_by": energy(f.used - f.limit) if passed and f.used is not None and f.limit else "",
        "passed": passed,
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
        "estimated": energy_text(item_of(row), [whole])(part),
        "estimated_share": percent(part / whole if part is not None and whole else None),
    }


def energy_text(item_code: str, values: Sequence[float | None]) -> Callable[[float | None], str]:
    """How energies of an item are written where the largest of them is of the size of `values`."""
    top = max((v for v in values if v is not None), default=0.0)
    unit, scale = display_unit(unit_of(item_code) if item_code else "", top)
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
    "action": "opened",
    "promised_on": None,
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
