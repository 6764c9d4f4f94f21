"""Webhooks against real HTTP servers: signed, repeated under the same key, and never inside the network."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter
from contextlib import nullcontext

import pytest
import trustme

from alerts.notify.errors import DeliveryError
from alerts.notify.sender import Sender
from alerts.notify.signing import target_secret, verify
from alerts.notify.targets import Gate
from alerts.notify.webhook import NamedTarget, WebhookOptions, Webhooks
from tests.integration.notify_support import (
    EAGER,
    QUICK,
    SECRET,
    MailServer,
    Place,
    WebServer,
    emptied,
    running,
    seed,
)
from tests.integration.test_worker import wait_for

pytestmark = pytest.mark.integration

KEY = "k" * 40


@pytest.fixture(scope="module")
def seeded(database):
    return seed(database)


@pytest.fixture
def place(seeded) -> Place:
    return emptied(seeded)


def hooks(*inside: str, resolve=None, ca_file=None, timeout_s: float = 1.0) -> Webhooks:
    return Webhooks(WebhookOptions(SECRET, Gate(inside, resolve), ca_file=ca_file, timeout_s=timeout_s))


def answers(*addresses: str):
    """A resolver that says the same of every name."""
    families = [socket.AF_INET6 if ":" in a else socket.AF_INET for a in addresses]
    return lambda host, port: list(zip(families, addresses, strict=True))


def test_a_call_is_signed_says_what_happened_and_carries_its_key(place):
    with WebServer() as server:
        address = f"http://127.0.0.1:{server.port}/hook?site=A"
        place.contact(address, name="Centre", channel="webhook", language="en")
        place.alert()
        place.sender().run_until_idle()
        (call,) = server.calls
    ((key, alert_id),) = place.rows("select key, alert_id from nengliu.notification")
    assert place.states() == {"sent": 1}
    assert call.path == "/hook?site=A"
    assert call.headers["webhook-id"] == call.headers["idempotency-key"] == key
    secret = target_secret(SECRET, address)
    genuine = (
        call.headers["webhook-timestamp"],
        call.headers["webhook-signature"],
        call.body,
        int(time.time()),
    )
    assert verify(secret, key, *genuine)
    assert not verify(b"x" * 32, key, *genuine)
    assert not verify(secret, key, genuine[0], genuine[1], call.body + b" ", genuine[3])
    assert not verify(secret, key, *genuine[:3], genuine[3] + 301)
    body = call.json
    assert (body["v"], body["kind"], body["key"], body["language"]) == (1, "alert", key, "en")
    (alert,) = body["alerts"]
    assert (alert["alert_id"], alert["site_code"]) == (alert_id, "110108A001")
    assert alert["evidence"]["used"] == 30_000.0
    columns = place.rows(
        "select column_name from information_schema.columns where table_schema = 'api' and table_name = 'alert'"
    )
    assert {name for (name,) in columns} <= alert.keys()
    assert alert["transition"]["to_state"] == "confirmed"
    assert alert["link"].startswith("https://nengliu.example/a/")
    assert "forecast over the limit" in body["title"]


def test_a_webhook_that_the_settings_name_is_signed_with_its_own_secret(place):
    with WebServer() as server:
        place.contact("centre", name="Centre", channel="webhook")
        place.alert()
        named = {"centre": NamedTarget(f"http://127.0.0.1:{server.port}/x", b"own secret of the centre")}
        place.sender(named=named).run_until_idle()
        (call,) = server.calls
    key, at, signature = (call.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    assert verify(b"own secret of the centre", key, at, signature, call.body, int(time.time()))


def test_a_name_that_the_settings_lack_waits_and_says_so(place):
    place.contact("centre", name="Centre", channel="webhook")
    place.alert()
    stop = threading.Event()
    with running(place.sender(stop=stop), stop):
        wait_for(lambda: place.rows("select reason from nengliu.notification")[0][0] is not None, "a reason")
    assert place.rows("select state, reason from nengliu.notification") == [
        ("waiting", "NENGLIU_WEBHOOKS has no 'centre'")
    ]


@pytest.mark.parametrize("fault", [500, 429, 302, 404, "drop"])
def test_a_target_that_fails_is_called_again_under_the_same_key(place, fault):
    seen: Counter[str] = Counter()

    def answer(call):
        seen[call.headers["webhook-id"]] += 1
        return fault if seen[call.headers["webhook-id"]] < 3 else 204

    with WebServer(answer) as server:
        place.contact(f"http://127.0.0.1:{server.port}/", name="Centre", channel="webhook")
        place.alert()
        stop = threading.Event()
        with running(place.sender(stop=stop), stop):
            wait_for(lambda: place.states() == {"sent": 1}, "the call")
        assert list(seen.values()) == [3]
        assert len({c.body for c in server.calls}) == 1


def test_a_target_that_is_gone_is_called_no_more(place):
    with WebServer(lambda _: 410) as server:
        place.contact(f"http://127.0.0.1:{server.port}/", name="Centre", channel="webhook")
        place.alert()
        place.sender().run_until_idle()
        assert len(server.calls) == 1
    assert place.states() == {"failed": 1}


def test_who_asks_to_be_left_alone_for_a_while_is(place):
    from dataclasses import replace
    from datetime import timedelta

    policy = replace(EAGER, most_delay=timedelta(hours=1))
    with WebServer(lambda _: (429, {"Retry-After": "600"})) as server:
        place.contact(f"http://127.0.0.1:{server.port}/", name="Centre", channel="webhook")
        place.alert()
        place.sender(policy=policy).run_until_idle()
        assert len(server.calls) == 1
    ((wait,),) = place.rows(
        "select extract(epoch from next_try - clock_timestamp()) from nengliu.notification"
    )
    assert 500 < wait < 700


def test_targets_that_hang_or_drip_keep_neither_mail_nor_other_targets(place):
    with (
        WebServer(lambda _: "hang") as deaf,
        WebServer(lambda _: "drip") as slow,
        WebServer() as good,
        MailServer() as mail,
    ):
        for n in range(3):
            place.contact(f"http://127.0.0.1:{deaf.port}/{n}", name="Deaf", channel="webhook")
            place.contact(f"http://127.0.0.1:{slow.port}/{n}", name="Slow", channel="webhook")
        place.contact(f"http://127.0.0.1:{good.port}/", name="Good", channel="webhook")
        place.contact("li@x.example", name="Li")
        place.alert()
        stop = threading.Event()
        with running(place.sender(mail, stop=stop), stop):
            wait_for(lambda: len(good.calls) == 1 and len(mail.taken) == 1, "the good ones")
            wait_for(lambda: place.states() == {"sent": 2, "waiting": 6}, "what came of them")
            wait_for(lambda: len(slow.calls) >= 1 and len(deaf.calls) >= 2, "another attempt")


INSIDE = [
    "https://localhost/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
]


@pytest.mark.parametrize("url", INSIDE)
def test_no_form_of_an_address_inside_is_called(url, monkeypatch):
    def never(*_, **__):
        raise AssertionError("connected")

    monkeypatch.setattr(socket, "create_connection", never)
    with pytest.raises(DeliveryError, match=r"inside the network|cannot be resolved|NENGLIU_WEBHOOKS"):
        hooks().send(url, KEY, b"{}")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.7", "169.254.169.254", "fe80::1%lo"]
)
def test_a_name_that_stands_for_an_address_inside_is_not_called(address):
    """Nor one that stands for a public address too: which of them would be taken is anybody's guess."""
    with WebServer() as server:
        for said in ([address], ["93.184.216.34", address]):
            with pytest.raises(DeliveryError, match=r"lies inside the network"):
                hooks(resolve=answers(*said)).send(f"https://evil.example:{server.port}/", KEY, b"{}")
        assert server.calls == []


def test_what_can_never_be_called_is_not_tried_again_and_what_names_no_address_now_is(monkeypatch):
    with pytest.raises(DeliveryError, match="inside the network") as literal:
        hooks().send("https://169.254.169.254/latest", KEY, b"{}")
    assert literal.value.for_good
    with pytest.raises(DeliveryError, match="inside the network") as named:
        hooks(resolve=answers("10.0.0.1")).send("https://hooks.example/", KEY, b"{}")
    assert not named.value.for_good

    def fails(host, port):
        raise OSError("no such name")

    with pytest.raises(DeliveryError, match="no such name") as unknown:
        hooks(resolve=fails).send("https://hooks.example/", KEY, b"{}")
    assert unknown.value.route_is_down


def test_of_a_name_with_many_addresses_only_some_are_tried():
    gate = Gate((), answers(*(f"93.184.216.{n}" for n in range(40))))
    assert len(gate.endpoints(gate.target("https://hooks.example/"))) == 4


def test_the_address_that_was_judged_is_the_one_that_is_called(monkeypatch):
    """A name that says something public when judged and 127.0.0.1 a moment later gains nothing: it is asked once."""
    asked = []

    def resolve(host, port):
        asked.append(host)
        return answers("93.184.216.34" if len(asked) == 1 else "127.0.0.1")(host, port)

    connected = []

    def connect(address, *_, **__):
        connected.append(address)
        raise OSError("not in this test")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(DeliveryError):
        hooks(resolve=resolve).send("https://rebinding.example/x", KEY, b"{}")
    assert asked == ["rebinding.example"]
    assert connected == [("93.184.216.34", 443)]


def test_a_redirect_into_the_network_is_not_followed():
    with (
        WebServer() as inside,
        WebServer(lambda _: (302, {"Location": f"http://127.0.0.1:{inside.port}/"})) as outside,
    ):
        with pytest.raises(DeliveryError, match="redirects are not followed"):
            hooks(f"hook.example:{outside.port}", resolve=answers("127.0.0.1")).send(
                f"http://hook.example:{outside.port}/", KEY, b"{}"
            )
        assert (len(outside.calls), inside.calls) == (1, [])


def test_a_setting_lets_a_named_host_inside_and_no_other():
    with WebServer() as server, WebServer() as other:
        allowed = hooks(f"hooks.corp.example:{server.port}", resolve=answers("127.0.0.1"))
        allowed.send(f"http://Hooks.Corp.example:{server.port}/", KEY, b"{}")
        assert server.calls[0].headers["host"] == f"hooks.corp.example:{server.port}"
        for url in (f"http://hooks.corp.example:{other.port}/", f"http://x.corp.example:{server.port}/"):
            with pytest.raises(DeliveryError, match="only https://"):
                allowed.send(url, KEY, b"{}")
        with pytest.raises(DeliveryError, match="inside the network"):
            allowed.send(f"https://hooks.corp.example.evil.example:{server.port}/", KEY, b"{}")
        assert other.calls == []


def test_https_is_checked_against_the_name_though_the_address_is_connected_to(tmp_path):
    ca = trustme.CA()
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("hook.example").configure_cert(context)
    with WebServer(tls=context) as server:
        inside = (f"hook.example:{server.port}", f"other.example:{server.port}")
        trusting = hooks(*inside, resolve=answers("127.0.0.1"), ca_file=str(file), timeout_s=5.0)
        trusting.send(f"https://hook.example:{server.port}/", KEY, b"{}")
        assert len(server.calls) == 1
        with pytest.raises(DeliveryError, match="certificate"):
            trusting.send(f"https://other.example:{server.port}/", KEY, b"{}")
        with pytest.raises(DeliveryError, match="certificate"):
            hooks(*inside, resolve=answers("127.0.0.1"), timeout_s=5.0).send(
                f"https://hook.example:{server.port}/", KEY, b"{}"
            )
        assert len(server.calls) == 1


def test_targets_that_dawdle_keep_no_mail_waiting(place):
    """Targets that were away once and now say nothing, as many as would take every thread."""
    tried: Counter[str] = Counter()
    go, told = threading.Event(), threading.Event()

    class Dawdling:
        def deliver(self, conn, row):
            tried[row.route] += 1
            if tried[row.route] > 1:
                go.wait(120)
            raise DeliveryError("away", route_is_down=True)

    class Prompt:
        def deliver(self, conn, row):
            told.set()

    channels = {"webhook": lambda: nullcontext(Dawdling()), "email": lambda: nullcontext(Prompt())}
    for n in range(8):
        place.contact(f"https://h{n}.example/", name=f"H{n}", channel="webhook")
    place.alert()
    stop = threading.Event()
    with running(Sender(place.connect, channels, EAGER, stop, QUICK), stop):
        wait_for(lambda: len(tried) == 8, "all of them to have been tried", 90)
        wait_for(lambda: sum(n > 1 for n in tried.values()) >= QUICK.threads // 2, "some that dawdle", 90)
        place.contact("li@x.example")
        place.alert(year=2015)
        assert told.wait(90)
        go.set()
