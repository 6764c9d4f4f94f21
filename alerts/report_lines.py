"""The time line of a building's alerts, as SVG strips: a lane a rule, from when alerts opened to their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from alerts.rule_names import rule_names

_LANE, _AXIS = 16, 20


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """An alert's time: opened, acknowledged and ended (None: not, or not yet), in the report's zone."""

    rule: str
    severity: str
    state: str
    subject: str
    opened_at: datetime
    acknowledged_at: datetime | None
    ended_at: datetime | None


def spans_by_site(rows: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> dict[str, list[AlertSpan]]:
    """Alerts by site code from rows of api.alert."""
    found: dict[str, list[AlertSpan]] = {}
    for r in rows:
        times = [
            r[name] and r[name].astimezone(zone) for name in ("opened_at", "acknowledged_at", "resolved_at")
        ]
        found.setdefault(r["site_code"], []).append(
            AlertSpan(r["rule"], r["severity"], r["state"], r["subject"], *times)
        )
    return found


def lanes(spans: Sequence[AlertSpan], until: datetime) -> list[tuple[str, str]]:
    """(rule, strip as SVG) of the rules that ever opened an alert, in the order of their names; then ("", the axis)."""
    if not spans:
        return []
    begin, end = _years(spans, until)
    known = [rule for rule in rule_names() if any(s.rule == rule for s in spans)]
    known += sorted({s.rule for s in spans} - set(known))
    years = [datetime(y, 1, 1, tzinfo=begin.tzinfo) for y in range(begin.year, end.year + 1)]

    def x(moment: datetime) -> float:
        return 100 * (moment - begin).total_seconds() / (end - begin).total_seconds()

    grid = "".join(
        f'<line class="grid" x1="{x(y):.2f}%" y1="0" x2="{x(y):.2f}%" y2="{_LANE}"/>' for y in years[1:-1]
    )
    out = []
    for rule in known:
        bars = [_bar(s, x, until) for s in spans if s.rule == rule]
        out.append((rule, _svg(grid + "".join(bars), _LANE, rule)))
    labels = [
        f'<text class="tick mid" x="{x(y) + (x(z) - x(y)) / 2:.2f}%" y="13">{y.year}</text>'
        for y, z in pairwise(years)
    ]
    return [*out, ("", _svg("".join(labels), _AXIS, "years"))]


def _years(spans: Sequence[AlertSpan], until: datetime) -> tuple[datetime, datetime]:
    """From the first year's begin to the last year's end."""
    zone = spans[0].opened_at.tzinfo or UTC
    last = max([s.ended_at or s.opened_at for s in spans]).year
    last = max(last, until.year) if any(s.ended_at is None for s in spans) else last
    return datetime(min(s.opened_at for s in spans).year, 1, 1, tzinfo=zone), datetime(
        last + 1, 1, 1, tzinfo=zone
    )


def _bar(span: AlertSpan, x: Any, until: datetime) -> str:
    ended = span.ended_at or max(until, span.opened_at)
    x0, x1 = x(span.opened_at), x(ended)
    kind = f"{span.severity}{' gone' if span.state == 'retracted' else ''}{'' if span.ended_at else ' open'}"
    till = f"{span.ended_at:%Y-%m-%d}" if span.ended_at else "…"
    title = escape(f"{span.subject}: {span.opened_at:%Y-%m-%d} – {till}")
    bar = (
        f'<rect class="alert-bar {kind}" x="{x0:.2f}%" y="3" width="{max(x1 - x0, 0.4):.2f}%" height="10" rx="2">'
        f"<title>{title}</title></rect>"
    )
    if span.acknowledged_at is not None:
        at = x(span.acknowledged_at)
        bar += f'<line class="acknowledged" x1="{at:.2f}%" y1="1" x2="{at:.2f}%" y2="15"/>'
    return bar


def _svg(inside: str, height: int, label: str) -> str:
    return f'<svg width="100%" height="{height}" role="img" aria-label="{escape(label)}">{inside}</svg>'
