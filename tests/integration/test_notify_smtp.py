"""Mail against real SMTP servers that misbehave: nothing is lost, repeats carry the same key, others are not kept."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from datetime import timedelta

import pytest
import trustme
from aiosmtpd.smtp import AuthResult, LoginPassword

from alerts.notify.errors import DeliveryError
from alerts.notify.smtp import SmtpServer, SmtpSession
from tests.integration.notify_support import (
    EAGER,
    SENDER,
    MailServer,
    Place,
    _free_port,
    contents,
    emptied,
    running,
    seed,
)
from tests.integration.test_worker import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seeded(database):
    return seed(database)


@pytest.fixture
def place(seeded) -> Place:
    return emptied(seeded)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority's file, and a server's context by it for localhost."""
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    return file, context


def mail():
    from email.message import EmailMessage

    message = EmailMessage()
    message["To"] = "li@x.example"
    message["X-Nengliu-Key"] = "k"
    message.set_content("x")
    return message


def send(server: SmtpServer) -> None:
    with SmtpSession(server) as session:
        session.send(mail(), SENDER, "li@x.example")


def test_starttls_and_a_password_are_used(authority):
    file, context = authority
    seen = []

    def check(server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        seen.append((session.ssl is not None, data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)

    options = {"tls_context": context, "authenticator": check, "auth_required": True}
    with MailServer(require_starttls=True, **options) as server:
        good = {
            "host": "localhost",
            "port": server.port,
            "username": "li",
            "ca_file": str(file),
            "timeout_s": 5.0,
        }
        send(SmtpServer(password="p@ss", **good))
        assert seen == [(True, b"li", b"p@ss")]
        assert len(server.taken) == 1
        with pytest.raises(DeliveryError, match="535") as caught:
            send(SmtpServer(password="wrong", **good))
        assert caught.value.route_is_down
        assert not caught.value.for_good
        with pytest.raises(DeliveryError, match="certificate verify failed"):
            send(SmtpServer(password="p@ss", **{**good, "ca_file": None}))
        assert len(server.taken) == 1


def test_without_starttls_nothing_is_sent_unless_the_setting_says_so():
    with MailServer() as server:
        with pytest.raises(DeliveryError, match="NENGLIU_SMTP_STARTTLS"):
            send(SmtpServer("127.0.0.1", server.port, "li", "p", timeout_s=5.0))
        send(server.server())
        assert len(server.taken) == 1


def test_tls_from_the_first_byte(authority):
    file, context = authority
    with MailServer(ssl_context=context) as server:
        send(SmtpServer("localhost", server.port, implicit_tls=True, ca_file=str(file), timeout_s=5.0))
        assert len(server.taken) == 1


def test_an_address_that_is_refused_for_good_is_not_tried_again_and_keeps_no_other(place):
    place.contact("gone@x.example", name="Gone")
    place.contact("li@x.example", name="Li")
    place.alert()
    with MailServer() as server:
        server.refused["gone@x.example"] = "550 no such user here"
        place.sender(server).run_until_idle()
        assert len(server.taken) == 1
    assert place.states() == {"sent": 1, "failed": 1}
    ((reason,),) = place.rows("select reason from nengliu.notification where state = 'failed'")
    assert "550 no such user here" in reason


@pytest.mark.parametrize("answer", ["530 log in first", "554 5.7.1 <li@x.example>: Relay access denied"])
def test_a_server_that_does_not_know_us_costs_no_notification(place, answer):
    """A wrong setting is put right within the hours that are tried."""
    place.contact("li@x.example")
    place.alert()
    with MailServer() as server:
        server.refused["li@x.example"] = answer
        stop = threading.Event()
        with running(place.sender(server, stop=stop), stop):
            wait_for(
                lambda: place.rows("select attempts > 1 from nengliu.notification") == [(True,)], "tries"
            )
            assert place.states() == {"waiting": 1}
            server.refused.clear()
            wait_for(lambda: place.states() == {"sent": 1}, "the mail")


def test_an_address_that_is_refused_for_now_is_tried_again(place):
    place.contact("li@x.example")
    place.alert()
    with MailServer() as server:
        server.refused["li@x.example"] = "450 greylisted"
        stop = threading.Event()
        with running(place.sender(server, stop=stop), stop):
            wait_for(
                lambda: place.rows("select attempts from nengliu.notification")[0][0] >= 3, "three attempts"
            )
            server.refused.clear()
            wait_for(lambda: place.states() == {"sent": 1}, "the mail")
        assert len(server.taken) == 1


@pytest.mark.parametrize(
    "fault", ["dropped after it was taken", "drop in the middle of DATA", "451 later", "421 bye"]
)
def test_a_server_that_fails_half_of_the_time_gets_everything_in_the_end(place, fault):
    """Where it took the mail and could not say so, the repeat carries the same key."""
    for n in range(10):
        place.contact(f"c{n}@x.example", name=f"C{n}")
    place.alert()
    tries: Counter[str] = Counter()

    def answer(message):
        tries[message["X-Nengliu-Key"]] += 1
        return (
            fault
            if tries[message["X-Nengliu-Key"]] == 1 and message["To"].addresses[0].username[1] in "02468"
            else None
        )

    with MailServer(answer) as server:
        stop = threading.Event()
        with running(place.sender(server, stop=stop), stop):
            wait_for(lambda: place.states() == {"sent": 10}, "all mails")
        counts = Counter(server.keys)
    assert set(counts) == {key for (key,) in place.rows("select key from nengliu.notification")}
    assert sorted(counts.values()) == ([1] * 5 + [2] * 5 if fault.startswith("dropped") else [1] * 10)
    ids = {m["X-Nengliu-Key"]: m["Message-ID"] for m in server.taken}
    assert all(m["Message-ID"] == ids[m["X-Nengliu-Key"]] for m in server.taken)


def test_a_server_that_is_away_then_hangs_then_works_gets_everything(place):
    """Nobody listens; somebody listens and never speaks; then a server."""
    place.contact("li@x.example")
    place.alert()
    port = _free_port()
    server = SmtpServer("127.0.0.1", port, starttls=False, timeout_s=1.0)
    stop = threading.Event()
    with running(place.sender(server, stop=stop), stop):
        wait_for(lambda: place.rows("select attempts from nengliu.notification")[0][0] >= 2, "attempts")
        with socket.create_server(("127.0.0.1", port)) as deaf:
            before = place.rows("select attempts from nengliu.notification")[0][0]
            deaf.settimeout(10)
            held = deaf.accept()
            wait_for(
                lambda: place.rows("select attempts from nengliu.notification")[0][0] > before, "another"
            )
            held[0].close()
        taken = MailServer()
        taken._controller.port = port
        with taken:
            wait_for(lambda: place.states() == {"sent": 1}, "the mail")
        assert len(taken.taken) == 1


def test_a_server_that_drips_its_answer_is_left_in_time(place):
    """Each byte comes in time, the answer never: the whole has an end, too."""
    with socket.create_server(("127.0.0.1", 0)) as slow:
        stop = threading.Event()

        def drip():
            wire, _ = slow.accept()
            with wire:
                while not stop.wait(0.05):
                    try:
                        wire.sendall(b"220-hello\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(DeliveryError) as caught:
                send(SmtpServer("127.0.0.1", slow.getsockname()[1], starttls=False, timeout_s=0.3))
            assert caught.value.route_is_down
        finally:
            stop.set()
            thread.join()


def test_no_mail_server_in_the_settings_is_said_and_mail_waits(place):
    place.contact("li@x.example")
    place.alert()
    stop = threading.Event()
    with running(place.sender(None, stop=stop), stop):
        said = "select count(*) from nengliu.notification where strpos(reason, 'NENGLIU_SMTP_URL is not set') > 0"
        wait_for(lambda: place.rows(said) == [(1,)], "the reason")
    assert place.rows("select state from nengliu.notification") == [("waiting",)]


def test_a_sender_that_died_after_sending_is_followed_by_another_with_the_same_key(place):
    """It sent and could not say so: the lease runs out and the next one sends again, under the same key."""
    from alerts.notify.store import lease_batch

    place.contact("li@x.example")
    place.alert()
    with MailServer() as server, place.connect() as conn:
        conn.autocommit = True
        (row,) = lease_batch(conn, EAGER, lease="dead", lease_for=timedelta(seconds=0.2), limit=1)
        with SmtpSession(server.server()) as session:
            session.send(contents().mail(conn, row), SENDER, row.address)
        stop = threading.Event()
        with running(place.sender(server, stop=stop), stop):
            wait_for(lambda: place.states() == {"sent": 1}, "the repeat")
        assert server.keys == [row.key, row.key]
        assert server.taken[0].as_bytes().split(b"\r\n\r\n")[0:0] == []
        assert len({m["Message-ID"] for m in server.taken}) == 1


def test_what_a_fault_of_ours_breaks_is_an_attempt_that_failed_and_keeps_no_other(place):
    """A figure in the evidence that is no number: one notification cannot be made, the others go."""
    place.contact("li@x.example")
    place.alert(evidence={"used": "many"})
    place.alert(year=2013)
    with MailServer() as server:
        stop = threading.Event()
        with running(place.sender(server, stop=stop), stop):
            wait_for(lambda: place.states() == {"sent": 1, "waiting": 1}, "the other")
        assert len(server.taken) == 1
    ((reason,),) = place.rows("select reason from nengliu.notification where state = 'waiting'")
    assert "a fault of nengliu" in reason
