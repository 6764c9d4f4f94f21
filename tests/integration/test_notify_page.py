"""The page behind a link: it shows, it acknowledges, and it cannot be forged, replayed from elsewhere or set off by a
program that looks through mail."""

from __future__ import annotations

import http.client
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import urlencode

import psycopg
import pytest

from alerts.lifecycle import Action, State
from alerts.notify.page import PageOptions, Pages
from alerts.notify.page_server import PageServer
from alerts.notify.tokens import Link, make_token
from tests.integration.notify_support import FOLLOW_UP, SECRET, ZONE, Place, emptied, seed

pytestmark = pytest.mark.integration

NOW = datetime(2014, 9, 3, 10, tzinfo=ZONE).astimezone(UTC)


@pytest.fixture(scope="module")
def seeded(database):
    return seed(database)


@pytest.fixture
def place(seeded) -> Place:
    return emptied(seeded)


class Browser:
    """Asks a page server, as a browser on the page's own site does."""

    def __init__(self, server: PageServer) -> None:
        self.port = server.port
        self.origin = f"http://127.0.0.1:{server.port}"

    def ask(self, method: str, path: str, body: str | None = None, **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()

    def send_form(self, path: str, fields: dict[str, str], **headers: str):
        sent = {"Content_Type": "application/x-www-form-urlencoded", "Origin": self.origin, **headers}
        return self.ask("POST", path, urlencode(fields), **sent)


@pytest.fixture
def browser(place):
    def pages(url: str) -> Pages:
        options = PageOptions(url, ZONE, FOLLOW_UP, now_of=lambda _: NOW, clock=lambda: datetime.now(UTC))
        return Pages(place.connect, SECRET, options)

    server = PageServer("127.0.0.1", 0, pages("http://unset"))
    server.pages = pages(f"http://127.0.0.1:{server.port}")
    server.start()
    yield Browser(server)
    server.stop()


@pytest.fixture
def told(place) -> tuple[int, int]:
    """An alert, and the notification that Li got of it."""
    place.contact("li@x.example", name="Li", language="en")
    alert = place.alert()
    ((notification,),) = place.rows("select notification_id from nengliu.notification")
    return alert, notification


def path(alert: int, notification: int, days: float = 1, secret: bytes = SECRET) -> str:
    return "/a/" + make_token(secret, Link(alert, notification, datetime.now(UTC) + timedelta(days=days)))


def form_of(page: str) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def history(place: Place, alert: int) -> list[tuple]:
    return place.rows(
        "select to_state, actor, note from api.alert_transition where alert_id = %s order by at", (alert,)
    )


def test_the_page_shows_the_alert_and_its_form_acknowledges_it(place, browser, told):
    where = path(*told)
    answer, page = browser.ask("GET", where)
    assert answer.status == 200
    for text in ("甲楼 · House A", "forecast over the limit", "30.0 MWh", "36.0 MWh", "<svg", "“Li”"):
        assert text in page
    answer, _ = browser.send_form(
        where, {"form": form_of(page), "note": "chiller\r\nwas on  at night", "promised": "2014-10-01"}
    )
    assert answer.status == 303
    assert history(place, told[0])[1:] == [("acknowledged", "Li", "chiller was on at night")]
    assert place.rows("select promised_on::text from api.alert") == [("2014-10-01",)]
    answer, page = browser.ask("GET", "/a/" + answer.headers["Location"])
    assert answer.status == 200
    assert "chiller was on at night" in page
    assert "Promised for" in page
    assert "It is acknowledged." in page
    assert "Acknowledge this alert" not in page


def test_who_acknowledged_can_promise_a_day_later_on(place, browser, told):
    where = path(*told)
    _, page = browser.ask("GET", where)
    browser.send_form(where, {"form": form_of(page)})
    _, page = browser.ask("GET", where)
    answer, _ = browser.send_form(where, {"form": form_of(page), "note": "chiller", "promised": "2014-10-01"})
    assert answer.status == 303
    assert place.rows("select promised_on::text from api.alert") == [("2014-10-01",)]
    assert [note for _, _, note in history(place, told[0])] == [None, None, "chiller"]
    place.step(told[0], Action.RESOLVED, State.RESOLVED)
    _, page = browser.ask("GET", where)
    assert "nothing is left to acknowledge" in page
    assert "<form" not in page


def test_sent_twice_it_acknowledges_once(place, browser, told):
    where = path(*told)
    _, page = browser.ask("GET", where)
    for _ in range(2):
        answer, _ = browser.send_form(where, {"form": form_of(page), "note": "x"})
        assert answer.status == 303
    assert [state for state, _, _ in history(place, told[0])] == ["confirmed", "acknowledged"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
def test_looking_changes_nothing(place, browser, told, method):
    for _ in range(3):
        answer, body = browser.ask(method, path(*told))
        assert answer.status == (200 if method in ("GET", "HEAD") else 405)
        assert (body == "") == (method == "HEAD")
    assert len(history(place, told[0])) == 1


def test_a_link_that_was_changed_forged_or_is_of_another_secret_shows_nothing(place, browser, told):
    good = path(*told)
    token = good.removeprefix("/a/")
    other = make_token(SECRET, Link(told[0] + 1, told[1], datetime.now(UTC) + timedelta(days=1)))
    mixed = f"{other.partition('.')[0]}.{token.partition('.')[2]}"
    for forged in (
        path(*told, secret=b"t" * 32),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good + "A",
        good + "=",
        "/a/" + mixed,
        "/a/",
        "/a/.",
        "/a/" + "A" * 5000,
        "/a/" + token.replace(".", ".."),
        "/a/" + token.partition(".")[0] + ".",
        "/a/%00",
        "/",
        "/metrics",
        "//evil.example/a/" + token,
    ):
        answer, page = browser.ask("GET", forged)
        assert answer.status == 404, forged
        assert "House A" not in page
        answer, _ = browser.send_form(forged, {"form": "x"})
        assert answer.status == 404


def test_a_link_that_expired_shows_nothing_and_acknowledges_nothing(place, browser, told):
    where = path(*told, days=1)
    _, page = browser.ask("GET", where)
    late = path(*told, days=-0.001)
    assert browser.ask("GET", late)[0].status == 410
    assert browser.send_form(late, {"form": form_of(page)})[0].status == 410
    assert len(history(place, told[0])) == 1


def test_a_link_opens_the_alert_that_its_contact_was_told_of_and_no_other(place, browser, told):
    other = place.alert(site="110105B002")
    assert browser.ask("GET", path(other, told[1]))[0].status == 410
    assert browser.ask("GET", path(told[0], told[1] + 1000))[0].status == 410


def test_the_links_of_a_contact_that_wants_nothing_any_more_hold_no_more(place, browser, told):
    place.contact("li@x.example", name="Li", severity="none")
    assert browser.ask("GET", path(*told))[0].status == 410


def test_a_digests_link_opens_each_alert_that_it_told_of(place, browser, told):
    digest = place.rows(
        "insert into nengliu.notification (key, kind, severity, name, language, channel, address, route) "
        "values ('d', 'digest', 'warning', 'Li', 'en', 'email', 'li@x.example', 'email') returning notification_id"
    )[0][0]
    assert browser.ask("GET", path(told[0], digest))[0].status == 410
    place.rows("update nengliu.notification set digest_id = %s where notification_id = %s", (digest, told[1]))
    assert browser.ask("GET", path(told[0], digest))[0].status == 200


def test_a_form_from_elsewhere_or_without_its_key_is_refused(place, browser, told):
    where = path(*told)
    _, page = browser.ask("GET", where)
    key = form_of(page)
    for fields, headers in (
        ({}, {}),
        ({"form": "A" * 43}, {}),
        ({"form": key}, {"Origin": "https://evil.example"}),
        ({"form": key}, {"Origin": "null"}),
        ({"form": key}, {"Sec_Fetch_Site": "cross-site"}),
        ({"form": key}, {"Sec_Fetch_Site": "same-site"}),
        ({"form": key}, {"Content_Type": "text/plain"}),
        ({"form": key}, {"Content_Type": "multipart/form-data; boundary=x"}),
    ):
        answer, _ = browser.send_form(where, fields, **headers)
        assert answer.status == 403, (fields, headers)
    other = place.alert(year=2013)
    ((notification,),) = place.rows(
        "select notification_id from nengliu.notification where alert_id = %s", (other,)
    )
    answer, _ = browser.send_form(path(other, notification), {"form": key})
    assert answer.status == 403
    assert len(history(place, told[0])) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"promised": "soon"}, "such as 2026-12-31"),
        ({"promised": "2014-02-30"}, "such as 2026-12-31"),
        ({"promised": "20141001"}, "such as 2026-12-31"),
        ({"promised": "2014-09-02"}, "from today on"),
        ({"promised": "2099-01-01"}, "within three years"),
        ({"note": "x" * 1001}, "1000 characters at most"),
    ],
)
def test_what_cannot_be_is_said_and_what_was_written_is_kept_in_the_form(place, browser, told, fields, says):
    where = path(*told)
    _, page = browser.ask("GET", where)
    answer, page = browser.send_form(where, {"note": "a <b> note", "form": form_of(page), **fields})
    assert answer.status == 400
    assert says in page
    if "note" not in fields:
        assert "a &lt;b&gt; note" in page
    assert len(history(place, told[0])) == 1


def test_what_is_too_large_is_refused_unread(browser, told):
    answer, _ = browser.send_form(path(*told), {"form": "x" * 20_000})
    assert answer.status == 413


def test_a_note_is_text_for_whoever_reads_it_later(place, browser, told):
    where = path(*told)
    _, page = browser.ask("GET", where)
    browser.send_form(where, {"form": form_of(page), "note": "<script>alert(1)</script>\x00\x1b[31m"})
    _, page = browser.ask("GET", where)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\x1b" not in page


def test_the_page_speaks_the_contacts_language_and_the_other_is_a_click_away(browser, told):
    where = path(*told)
    _, page = browser.ask("GET", where)
    assert '<html lang="en">' in page
    assert 'href="?lang=zh"' in page
    _, page = browser.ask("GET", where + "?lang=zh")
    assert '<html lang="zh-CN">' in page
    assert "受理此预警" in page
    _, page = browser.ask("GET", where + "?lang=<x>")
    assert '<html lang="en">' in page


class Asked(HTMLParser):
    """Whatever in a page would make a browser ask for something, run something, or break the policy."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [tag] if tag in ("script", "link", "iframe", "img", "object", "embed", "base") else []
        self.found += [
            f"{tag} {k}" for k, _ in attrs if k in ("src", "style", "srcset") or k.startswith("on")
        ]


def test_a_page_holds_no_script_asks_for_nothing_and_its_headers_forbid_it(browser, told):
    for where in (path(*told), "/nothing"):
        answer, page = browser.ask("GET", where)
        asked = Asked()
        asked.feed(page)
        assert asked.found == []
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert answer.headers["Server"].strip() == "nengliu"


def test_a_database_that_is_away_is_said(browser, told):
    def away():
        raise psycopg.OperationalError("refused")

    pages = Pages(away, SECRET, PageOptions("http://x.example", ZONE, FOLLOW_UP, lambda _: NOW))
    server = PageServer("127.0.0.1", 0, pages)
    server.start()
    try:
        answer, _ = Browser(server).ask("GET", path(*told))
        assert answer.status == 503
    finally:
        server.stop()


def test_who_dawdles_is_hung_up_on_and_keeps_no_other(browser, told, monkeypatch):
    """Forty connections that say nothing: the next one that asks is answered as soon as they are let go."""
    import socket

    from alerts.notify import page_server
    from tests.integration.test_worker import wait_for

    monkeypatch.setattr(page_server._Handler, "timeout", 0.3)
    idle = [socket.create_connection(("127.0.0.1", browser.port)) for _ in range(40)]
    try:

        def answered() -> bool:
            try:
                return browser.ask("GET", path(*told))[0].status == 200
            except (OSError, http.client.HTTPException):
                return False

        wait_for(answered, "an answer")
    finally:
        for wire in idle:
            wire.close()
