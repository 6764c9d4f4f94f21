"""`nengliu work` sends and serves pages; another repeats under the same key what one that was killed had sent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from tests.integration.notify_support import MailServer, Place, WebServer, _free_port, emptied, seed
from tests.integration.test_worker import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seeded(database):
    return seed(database)


@pytest.fixture
def place(seeded) -> Place:
    return emptied(seeded)


def environment(place: Place, settings, **more: str) -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")},
        "NENGLIU_DATABASE_URL": place.worker_url,
        "NENGLIU_STATE_DIR": str(settings.state_dir),
        "NENGLIU_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "NENGLIU_SMTP_FROM": "alerts@nengliu.example",
        "NENGLIU_SMTP_STARTTLS": "false",
        "NENGLIU_NOTIFY_QUIET": "",
        "NENGLIU_NOTIFY_TIMEOUT": "1",
        "NENGLIU_NOTIFY_RETRY": "0.2",
        **more,
    }


def worker(env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.cli.app", "work"], env=env, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    process.send_signal(number)
    _, log = process.communicate(timeout=60)
    return log


def test_a_worker_that_is_killed_after_sending_is_followed_by_one_that_repeats_under_the_same_key(
    place, settings
):
    place.contact("li@x.example")
    place.alert(at=datetime.now(UTC))
    killed: list[subprocess.Popen[str]] = []
    dead = threading.Event()

    def answer(_):
        if not dead.is_set():  # the mail is here; who sent it will never know
            killed[0].kill()
            dead.set()
        return None

    with MailServer(answer) as server:
        env = environment(
            place, settings, NENGLIU_SMTP_URL=f"smtp://127.0.0.1:{server.port}", NENGLIU_NOTIFY_TIMEOUT="20"
        )
        killed.append(worker(env))
        wait_for(dead.is_set, "the mail", 90)
        killed[0].communicate(timeout=60)
        assert place.states() == {"waiting": 1}
        wait = "select lease_until - clock_timestamp() <= interval '30 s' from nengliu.notification"
        assert place.rows(wait) == [(True,)], "what a worker that is gone had in hand is soon another's"
        place.rows("update nengliu.notification set lease_until = clock_timestamp()")  # its time runs out
        second = worker(env)
        wait_for(lambda: place.states() == {"sent": 1}, "the repeat", 90)
        log = ended(second)
        assert second.returncode == 0, log
        assert len(server.keys) == 2
        assert len(set(server.keys)) == 1


def test_a_worker_sends_by_both_channels_and_serves_the_page_that_the_mail_links_to(place, settings):
    port = _free_port()
    with MailServer() as mail, WebServer() as web:
        place.contact("li@x.example", name="Li", language="en")
        place.contact("centre", name="Centre", channel="webhook", scope="city")
        alert = place.alert(at=datetime.now(UTC))  # of long ago it would be escalated at once
        env = environment(
            place,
            settings,
            NENGLIU_SMTP_URL=f"smtp://127.0.0.1:{mail.port}",
            NENGLIU_WEBHOOKS=json.dumps({"centre": f"http://127.0.0.1:{web.port}/#0123456789abcdef"}),
            NENGLIU_WEBHOOK_INSIDE='["127.0.0.1"]',
            NENGLIU_PAGE_PORT=str(port),
        )
        process = worker(env)
        try:
            wait_for(lambda: place.states() == {"sent": 2}, "both", 90)
            text = mail.taken[0].get_body(("plain",)).get_content()
            link = re.search(rf"http://127\.0\.0\.1:{port}/a/\S+", text)
            assert link is not None
            with urllib.request.urlopen(link[0], timeout=20) as answer:
                page = answer.read().decode()
            key = re.search(r'name="form" value="([^"]+)"', page)
            assert key is not None
            request = urllib.request.Request(link[0], f"form={key[1]}&note=on+it".encode())
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert "It is acknowledged." in answer.read().decode()
            wait_for(lambda: len(web.calls) == 2, "word of it to the centre", 60)
        finally:
            log = ended(process)
        assert process.returncode == 0, log
        assert link[0].rpartition("/")[2] not in log
    assert place.rows(
        "select to_state, actor from api.alert_transition where alert_id = %s order by at", (alert,)
    )[1:] == [("acknowledged", "Li")]
    assert web.calls[1].json["alerts"][0]["transition"]["note"] == "on it"


def test_a_worker_with_wrong_settings_is_refused_at_its_start(place, settings):
    process = worker(environment(place, settings, NENGLIU_NOTIFY_DIGEST="noon"))
    _, log = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "NENGLIU_NOTIFY_DIGEST" in log


def command(place: Place, tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")},
        "NENGLIU_DATABASE_URL": place.url,
        "NENGLIU_STATE_DIR": str(tmp_path),
        "NENGLIU_LANGUAGE": "en",
        "COLUMNS": "200",
        **more,
    }
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli.app", "alerts", *arguments],
        env=env, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_a_contact_is_tried_by_a_command(place, tmp_path):
    place.contact("li@x.example", name="Li", language="zh")
    with MailServer() as server:
        mail = {
            "NENGLIU_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
            "NENGLIU_SMTP_FROM": "alerts@nengliu.example",
            "NENGLIU_SMTP_STARTTLS": "false",
        }
        done = command(place, tmp_path, "test-notify", "Li", **mail)
        assert done.returncode == 0, done.stderr
        assert server.taken[0]["Subject"].startswith("【测试】")
        server.refused["li@x.example"] = "550 no such user"
        done = command(place, tmp_path, "test-notify", "li@x.example", "--json", **mail)
        assert done.returncode == 1
        assert "550 no such user" in json.loads(done.stdout)[0]["problem"]
    done = command(place, tmp_path, "test-notify", "nobody")
    assert done.returncode == 2
    assert place.states() == {}


def test_the_outbox_is_listed_and_what_failed_is_sent_again(place, tmp_path):
    place.contact("li@x.example", name="Li")
    place.contact("wang@x.example", name="Wang")
    alert = place.alert(at=datetime.now(UTC))
    place.rows(
        "update nengliu.notification set state = 'failed', reason = '550 no such user' where name = 'Li'"
    )
    listed = json.loads(command(place, tmp_path, "notifications", "--json").stdout)
    assert {(n["name"], n["state"], n["alert_id"], n["reason"]) for n in listed} == {
        ("Li", "failed", alert, "550 no such user"),
        ("Wang", "waiting", alert, None),
    }
    shown = command(place, tmp_path, "notifications", "--state", "failed").stdout
    assert "550 no such user" in shown
    assert "Wang" not in shown
    assert command(place, tmp_path, "notifications", "--state", "lost").returncode == 2
    key = place.rows("select key from nengliu.notification where name = 'Li'")
    assert command(place, tmp_path, "resend", "--failed").stdout.startswith("1 wait")
    assert place.states() == {"waiting": 2}
    assert place.rows("select key from nengliu.notification where name = 'Li'") == key
    assert command(place, tmp_path, "resend", "12345678").returncode == 1


def test_a_webhooks_secret_is_told_to_whoever_runs_the_platform(place, tmp_path):
    from alerts.notify.signing import read_secret, target_secret
    from alerts.notify.store import read_secret_of

    address = "https://hooks.example/x"
    told = command(place, tmp_path, "webhook-secret", address)
    with psycopg.connect(place.url, autocommit=True) as conn:
        assert read_secret(told.stdout.strip()) == target_secret(read_secret_of(conn), address)
    assert command(place, tmp_path, "webhook-secret", "http://x.example").returncode == 2
    assert command(place, tmp_path, "webhook-secret", "unnamed").returncode == 2
