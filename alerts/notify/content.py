"""From a notification to what is sent: a mail with its chart, or the body of a webhook."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from jinja2 import TemplateError
from psycopg.rows import dict_row

from alerts.notify.chart import pace_png
from alerts.notify.errors import DeliveryError
from alerts.notify.facts import SAMPLE, alert_facts, one_line
from alerts.notify.store import Leased
from alerts.notify.templates import Templates, Text
from alerts.notify.tokens import Link, make_token
from alerts.report_data import QuotaYear, load_report
from alerts.sql import query

Connection = psycopg.Connection[Any]

#: A digest lists so many; the rest is counted.
DIGEST_ENTRIES = 50
_CHARTS_KEPT = 128
_NEWEST = (
    "as_of", "used", "limit_value", "forecast_p10", "forecast_p50", "forecast_p90", "exhaustion_date", "completeness",
    "level",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContentOptions:
    """sender: the From address; public_url: what links begin with, None: mails carry no link; links_for: how long
    they hold; node: name of this node.
    """

    node: str
    zone: ZoneInfo
    sender: str
    public_url: str | None
    links_for: timedelta


class Contents:
    """Makes contents; keeps charts, since one alert's chart goes to many."""

    def __init__(self, options: ContentOptions, templates: Templates, secret: bytes) -> None:
        self._options = options
        self._templates = templates
        self._secret = secret
        self._charts: OrderedDict[tuple[int, str], bytes | None] = OrderedDict()
        self._lock = Lock()

    def mail(self, conn: Connection, row: Leased) -> EmailMessage:
        """The mail of a notification. Raises DeliveryError where it cannot be made."""
        facts = _facts(conn, row)
        if row.kind == "digest":
            text = self._render(row, facts)
            return mail_message(text, row, self._options, None)
        chart = self._chart(conn, facts[0]) if facts else None
        text = self._render(row, facts, chart="cid:chart" if chart else "")
        return mail_message(text, row, self._options, chart)

    def call(self, conn: Connection, row: Leased) -> bytes:
        """The body of a webhook: JSON, with the alert's own figures and the same words as a mail."""
        facts = _facts(conn, row)
        text = self._render(row, facts)
        body = {
            "v": 1,
            "key": row.key,
            "kind": row.kind,
            "node": self._options.node,
            "contact": row.name,
            "language": row.language,
            "title": text.subject,
            "text": text.plain,
            "alerts": [_told(f) | {"link": self._link(f["alert_id"], row)} for f in facts[:DIGEST_ENTRIES]],
            "more": max(0, len(facts) - DIGEST_ENTRIES),
        }
        return json.dumps(body, ensure_ascii=False, default=_plain).encode()

    def _render(self, row: Leased, facts: list[dict[str, Any]], chart: str = "") -> Text:
        try:
            if row.kind == "digest":
                return self._templates.digest(self._digest_context(row, facts))
            if not facts:
                raise DeliveryError(f"alert {row.alert_id} is not there any more", for_good=True)
            return self._templates.alert(self._alert_context(row, facts[0], chart))
        except TemplateError as e:
            raise DeliveryError(f"template: {e}") from e

    def _alert_context(self, row: Leased, facts: Mapping[str, Any], chart: str) -> dict[str, Any]:
        own = {"is_test": False, "chart": chart, "link": self._link(facts["alert_id"], row) or ""}
        return {**alert_facts(facts, row.language, self._options.zone), **self._common(row), **own}

    def _digest_context(self, row: Leased, facts: list[dict[str, Any]]) -> dict[str, Any]:
        entries = [
            {
                **alert_facts(f, row.language, self._options.zone),
                "link": self._link(f["alert_id"], row) or "",
            }
            for f in facts[:DIGEST_ENTRIES]
        ]
        day = row.created_at.astimezone(self._options.zone).date().isoformat()
        return {
            **self._common(row),
            "day": day,
            "entries": entries,
            "more": max(0, len(facts) - DIGEST_ENTRIES),
        }

    def _common(self, row: Leased) -> dict[str, Any]:
        return {
            "language": row.language,
            "name": one_line(row.name),
            "key": row.key,
            "node": self._options.node,
            "link_days": self._options.links_for.days,
        }

    def _link(self, alert_id: int, row: Leased) -> str | None:
        if self._options.public_url is None:
            return None
        expires = row.created_at + self._options.links_for
        token = make_token(self._secret, Link(alert_id, row.notification_id, expires))
        return f"{self._options.public_url}/a/{token}"

    def _chart(self, conn: Connection, facts: Mapping[str, Any]) -> bytes | None:
        if not facts["year"] or not facts["site_code"]:
            return None
        opening = facts["action"] in ("opened", "confirmed")
        as_of = facts["evidence"].get("as_of") if opening else None
        place = (facts["alert_id"], str(as_of or facts["as_of"]))
        with self._lock:
            if place in self._charts:
                return self._charts[place]
        q = quota_year(conn, self._options.zone, facts)
        chart = None if q is None else pace_png(q, date.fromisoformat(as_of) if as_of else None)
        with self._lock:
            self._charts[place] = chart
            while len(self._charts) > _CHARTS_KEPT:
                self._charts.popitem(last=False)
        return chart


def quota_year(conn: Connection, zone: ZoneInfo, facts: Mapping[str, Any]) -> QuotaYear | None:
    """What a chart of an alert shows; None where there is no energy to show."""
    data = load_report(conn, zone.key, [facts["site_code"]])
    place = (facts["item_code"], facts["year"])
    return next((q for q in data.quotas if (q.item_code, q.year) == place and q.days), None)


def mail_message(text: Text, row: Leased, options: ContentOptions, chart: bytes | None) -> EmailMessage:
    """A mail with text and HTML, the chart inside. Message-ID and X-Nengliu-Key are the same at every repeat."""
    domain = options.sender.rpartition("@")[2]
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("能流 nengliu", addr_spec=options.sender)
    message["To"] = Address(one_line(row.name), addr_spec=row.address)
    message["Subject"] = text.subject
    message["Date"] = format_datetime(row.created_at)
    message["Message-ID"] = f"<{row.key}@{domain}>"
    if row.alert_id is not None:  # what is about one alert stands together in a mail program
        message["References"] = f"<alert-{row.alert_id}.{_ascii(options.node)}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Nengliu-Key"] = row.key
    message.set_content(text.plain, cte="base64")
    message.add_alternative(text.html, subtype="html", cte="base64")
    if chart is not None:
        parts = message.get_payload()
        assert isinstance(parts, list)
        html = parts[1]
        assert isinstance(html, EmailMessage)
        html.add_related(chart, "image", "png", cid="<chart>", disposition="inline", filename="chart.png")
    return message


def sample_text(templates: Templates, options: ContentOptions, name: str, language: str, key: str) -> Text:
    """The words of a test."""
    facts = alert_facts(SAMPLE, language, options.zone)
    own = {"language": language, "name": name, "key": key, "node": options.node, "link_days": 0}
    return templates.alert({**facts, **own, "is_test": True, "chart": "", "link": ""})


def sample_call(text: Text, options: ContentOptions, name: str, language: str, key: str) -> bytes:
    """The body of a test by webhook."""
    body = {
        "v": 1,
        "key": key,
        "kind": "test",
        "node": options.node,
        "contact": name,
        "language": language,
        "title": text.subject,
        "text": text.plain,
        "alerts": [],
        "more": 0,
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _facts(conn: Connection, row: Leased) -> list[dict[str, Any]]:
    """What the notification tells of: of one alert several times held back, the newest only."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("notify_facts"), {"id": row.notification_id}).fetchall()
    newest = {r["alert_id"]: r for r in rows}
    ranks = {"critical": 0, "major": 1, "warning": 2}
    return sorted(newest.values(), key=lambda r: (ranks.get(r["severity"], 3), r["alert_id"]))


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """An alert as a machine reads it: api.alert's columns, the transition, and the key it would have had alone."""
    names = (
        "alert_id",
        "site_code",
        "site_name",
        "rule",
        "severity",
        "state",
        "subject",
        "opened_at",
        "confirmed_at",
        "acknowledged_at",
        "resolved_at",
        "promised_on",
        "snoozed_until",
        "escalated",
        "evidence",
    )
    transition = {
        name: facts[name]
        for name in ("transition_no", "at", "from_state", "to_state", "action", "actor", "note")
    }
    newest = {name: facts[name] for name in _NEWEST} if facts["as_of"] is not None else None
    told = {name: facts[name] for name in names}
    return {**told, "key": facts["key"], "transition": transition, "assessment": newest}


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _ascii(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in text)
