"""The page behind a notification's link: the alert, its chart, and a form to acknowledge it. Pure of sockets: a request
becomes an answer (page_server.py serves them).

Whoever has the link may see the alert and acknowledge it as the contact that it was sent to. Looking changes nothing,
however often programs that scan mail do it; acknowledging takes the form's POST, from the page itself.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import psycopg
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from psycopg.rows import dict_row

from alerts.alert_hand import ByPerson, acknowledge_alert
from alerts.alert_rows import FollowUp, UnknownAlertError
from alerts.lifecycle import TransitionError
from alerts.notify.content import quota_year
from alerts.notify.facts import (
    details,
    estimate_facts,
    figure_facts,
    item_of,
    local_time,
    naming,
    newest_figures,
    opening_figures,
)
from alerts.notify.tokens import (
    BadTokenError,
    ExpiredTokenError,
    Link,
    form_key,
    is_form_key,
    read_token,
)
from alerts.notify.words import named, note_in, to_do
from alerts.report_charts import pace_chart
from alerts.sql import query

Connection = psycopg.Connection[Any]

LONGEST_NOTE = 1000
LONGEST_FORM = 16_384
_FURTHEST_PROMISE = timedelta(days=3 * 366)
_HTML = "text/html; charset=utf-8"
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """What came: method, target with query, headers by lower-case name, body."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; outcome: a word for the metrics."""

    status: int
    body: bytes
    outcome: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PageOptions:
    """public_url: what links begin with; zone: of local times; follow_up: how alerts are; now_of: the time that
    a person's act is given, by the clock in use.
    """

    public_url: str
    zone: ZoneInfo
    follow_up: FollowUp
    now_of: Callable[[Connection], datetime]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class Pages:
    """Answers requests; for several threads at once."""

    def __init__(self, connect: Callable[[], Connection], secret: bytes, options: PageOptions) -> None:
        self._connect = connect
        self._secret = secret
        self._options = options
        self._css = _shipped("page.css")
        digest = base64.b64encode(hashlib.sha256(self._css.encode()).digest()).decode()
        self._headers = security_headers(f"'sha256-{digest}'", options.public_url.startswith("https://"))
        self._environment = Environment(
            loader=FunctionLoader(_shipped),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def answer(self, request: Request) -> Answer:
        """The answer to a request; it never raises for anything that a request may hold."""
        found = self._answer(request)
        body = b"" if request.method == "HEAD" else found.body
        return Answer(found.status, body, found.outcome, {**self._headers, **found.headers})

    def _answer(self, request: Request) -> Answer:
        parts = urlsplit("/" + request.target.lstrip("/"))
        asked = dict(parse_qsl(parts.query, max_num_fields=10)) if len(parts.query) < 200 else {}
        language = asked["lang"] if asked.get("lang") in ("zh", "en") else None
        if request.method not in ("GET", "HEAD", "POST"):
            return self._said(405, "method", language, {"Allow": "GET, HEAD, POST"})
        if not parts.path.startswith("/a/"):
            return self._said(404, "nothing", language)
        token = parts.path.removeprefix("/a/")
        try:
            link = read_token(self._secret, token, self._options.clock())
        except BadTokenError:
            return self._said(404, "forged", language)
        except ExpiredTokenError:
            return self._said(410, "expired", language)
        with self._connect() as conn:
            whom = _whom(conn, link)
            if whom is None:
                return self._said(410, "gone", language)
            shown = _Shown(token, link, whom, language or whom["language"])
            if request.method == "POST":
                return self._acknowledge(conn, shown, request)
            return self._page(conn, shown)

    def _acknowledge(self, conn: Connection, shown: _Shown, request: Request) -> Answer:
        if not self._from_here(request):
            return self._said(403, "elsewhere", shown.language)
        fields = _form(request)
        if fields is None or not is_form_key(self._secret, shown.token, fields.get("form", "")):
            return self._said(403, "form", shown.language)
        now = self._options.now_of(conn)
        note, promised, problem = _filled_in(
            fields, now.astimezone(self._options.zone).date(), shown.language
        )
        if problem is not None:
            return self._page(conn, shown, problem, fields)
        try:
            by = ByPerson(shown.whom["name"], now, note)
            acknowledge_alert(conn, shown.link.alert_id, by, self._options.follow_up, promised)
        except TransitionError:
            conn.rollback()
            return self._again(shown, "unchanged")
        except UnknownAlertError:
            conn.rollback()
            return self._said(410, "gone", shown.language)
        conn.commit()
        return self._again(shown, "acknowledged")

    def _from_here(self, request: Request) -> bool:
        """Whether a browser says that its form is our own page's; one that says nothing has the form's key to show."""
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if site is not None and site not in ("same-origin", "none"):
            return False
        if origin is None:
            return True
        ours = urlsplit(self._options.public_url)
        return origin.lower() == f"{ours.scheme}://{ours.netloc}".lower()

    def _again(self, shown: _Shown, outcome: str) -> Answer:
        """Back to the page, so that reloading it sends nothing again. Relative: a proxy may put a path before it."""
        where = f"{shown.token}?lang={shown.language}"
        return Answer(303, b"", outcome, {"Location": where})

    def _page(
        self,
        conn: Connection,
        shown: _Shown,
        problem: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Answer:
        row = _alert(conn, shown.link.alert_id)
        if row is None:
            return self._said(410, "gone", shown.language)
        q = quota_year(conn, self._options.zone, row) if row["year"] and row["site_code"] else None
        body = self._environment.get_template("page.html.j2").render(
            css=Markup(self._css),
            language=shown.language,
            other={"zh": "en", "en": "zh"}[shown.language],
            token=shown.token,
            form=form_key(self._secret, shown.token),
            contact=shown.whom["name"],
            expires=local_time(shown.link.expires, self._options.zone),
            chart=Markup(pace_chart(q)) if q is not None else "",
            problem=problem or "",
            note=(fields or {}).get("note", ""),
            promised=(fields or {}).get("promised", ""),
            longest_note=LONGEST_NOTE,
            today=self._options.now_of(conn).astimezone(self._options.zone).date().isoformat(),
            **page_facts(row, _transitions(conn, shown.link.alert_id), shown.language, self._options.zone),
        )
        return Answer(
            400 if problem else 200, body.encode(), "refused" if problem else "shown", {"Content-Type": _HTML}
        )

    def _said(
        self, status: int, what: str, language: str | None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A page that says why there is nothing to see, in both languages where none was asked for."""
        body = self._environment.get_template("nothing.html.j2").render(
            css=Markup(self._css), language=language or "", what=what
        )
        return Answer(status, body.encode(), what, {"Content-Type": _HTML, **(headers or {})})


@dataclass(frozen=True, slots=True)
class _Shown:
    """A page that is asked for with a link that is good."""

    token: str
    link: Link
    whom: dict[str, Any]
    language: str


def page_facts(
    row: Mapping[str, Any], transitions: list[dict[str, Any]], language: str, zone: ZoneInfo
) -> dict[str, Any]:
    """What the page says of an alert: how things stand now, what it opened on, and what happened since."""
    opening = figure_facts(opening_figures(row["evidence"]), item_of(row))
    return {
        "alert_id": row["alert_id"],
        "year": row["year"],
        **naming(row, language),
        "details": details(row["evidence"], language, zone),
        "promised_on": row["promised_on"].isoformat() if row["promised_on"] else "",
        "severity": row["severity"],
        "severity_name": named("severity", row["severity"], language),
        "state": row["state"],
        "state_name": named("state", row["state"], language),
        "opened_at": local_time(row["opened_at"], zone),
        "now": {**figure_facts(newest_figures(row), item_of(row)), **estimate_facts(row)},
        "opening": opening,
        "quota": {"source": "", "effective_from": "", **(row["evidence"].get("quota") or {})},
        "actions": to_do(row["rule"], language),
        "open": row["state"] in ("provisional", "confirmed"),
        "promise": row["state"] == "acknowledged",
        "history": [
            {
                "at": local_time(t["at"], zone),
                "state": named("action", t["action"], language),
                "actor": "" if t["actor"] == "nengliu" else t["actor"],
                "note": note_in(t["note"], language),
            }
            for t in transitions
        ],
    }


def security_headers(style: str, https: bool) -> dict[str, str]:
    """No script, nothing from elsewhere, in nobody's frame, kept nowhere; the link is told to no other site."""
    policy = (
        f"default-src 'none'; style-src {style}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex, nofollow, noarchive",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
    }
    return headers | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})


def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None where it is none, or none of ours."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    if len(request.body) > LONGEST_FORM:
        return None
    try:
        pairs = parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="strict"
        )
    except ValueError:
        return None
    return dict(pairs)


def _filled_in(
    fields: Mapping[str, str], today: date, language: str
) -> tuple[str | None, date | None, str | None]:
    """The note and the promised day of a form; else what is wrong with what was filled in."""
    zh = language == "zh"
    text = " ".join("".join(c if c.isprintable() else " " for c in fields.get("note", "")).split())
    if len(text) > LONGEST_NOTE:
        return (
            None,
            None,
            f"说明最多 {LONGEST_NOTE} 字" if zh else f"A note has {LONGEST_NOTE} characters at most",
        )
    promised = fields.get("promised", "").strip()
    if not promised:
        return text or None, None, None
    try:
        day = date.fromisoformat(promised) if len(promised) == 10 else None
    except ValueError:
        day = None
    if day is None:
        return None, None, "整改日期请写成 2026-12-31 的形式" if zh else "Want a date such as 2026-12-31"
    if not today <= day <= today + _FURTHEST_PROMISE:
        problem = "整改日期须在今天之后三年以内" if zh else "Want a date from today on, within three years"
        return None, None, problem
    return text or None, day, None


def _whom(conn: Connection, link: Link) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        keys = {"notification_id": link.notification_id, "alert_id": link.alert_id}
        return cursor.execute(query("notify_whom"), keys).fetchone()


def _alert(conn: Connection, alert_id: int) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("notify_page"), {"alert_id": alert_id}).fetchone()


def _transitions(conn: Connection, alert_id: int) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("transitions_of_alert"), {"alert_id": alert_id}).fetchall()


def _shipped(name: str) -> str:
    return files("alerts.notify").joinpath("templates", name).read_text(encoding="utf-8")
