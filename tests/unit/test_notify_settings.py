"""Settings of notifications: what is wrong is refused at the start, by name, and no secret is shown."""

from __future__ import annotations

import json
from datetime import time

import pytest
from pydantic import SecretStr, ValidationError
from typer.testing import CliRunner

from alerts.notify.signing import secret_text
from deploy.cli.app import COMMANDS  # noqa: F401
from deploy.notifying import links_stay_here, named_webhooks, read_notify_settings, smtp_server
from deploy.settings import Settings
from deploy.stack.notices import notices
from deploy.stack.services import settings_environment
from deploy.stack.site import Site
from deploy.stack.state import StackState
from deploy.stack.steps import Steps
from metering.errors import SettingError


def settings(**more) -> Settings:
    return Settings(**more)


def test_without_any_setting_it_runs_and_mail_waits():
    found = read_notify_settings(settings())
    assert found.smtp is None
    assert found.public_url is None
    assert found.policy.quiet.begin == time(22)
    assert found.policy.digest_at == time(8)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("smtp://li:p%40ss@mail.example.org", ("mail.example.org", 587, "li", "p@ss", False)),
        ("smtps://li:p@mail.example.org", ("mail.example.org", 465, "li", "p", True)),
        ("smtp://mail.example.org:2525/", ("mail.example.org", 2525, None, None, False)),
        ("smtp://[::1]:25", ("::1", 25, None, None, False)),
    ],
)
def test_a_mail_server_is_read_from_its_url(url, wanted):
    found = smtp_server(settings(smtp_url=SecretStr(url)))
    assert found is not None
    assert (found.host, found.port, found.username, found.password, found.implicit_tls) == wanted
    assert found.starttls


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"smtp_url": "http://x.example"}, "NENGLIU_SMTP_URL"),
        ({"smtp_url": "smtp://"}, "NENGLIU_SMTP_URL"),
        ({"smtp_url": "smtp://x.example:99999"}, "NENGLIU_SMTP_URL"),
        ({"smtp_url": "smtp://x.example/y?tls=no"}, "NENGLIU_SMTP_URL"),
        ({"smtp_url": "smtp://x.example"}, "NENGLIU_SMTP_FROM"),
        ({"smtp_url": "smtp://li:p@x.example"}, "NENGLIU_SMTP_FROM"),
        ({"smtp_from": "nobody"}, "NENGLIU_SMTP_FROM"),
        ({"smtp_url": "smtp://x.example", "smtp_ca_file": "/nowhere.pem"}, "NENGLIU_SMTP_CA_FILE"),
        ({"webhooks": {"Centre": "https://x.example"}}, "NENGLIU_WEBHOOKS: 'Centre'"),
        ({"webhooks": {"centre": "x.example"}}, "NENGLIU_WEBHOOKS: 'centre'"),
        ({"webhooks": {"centre": "https://u:p@x.example"}}, "NENGLIU_WEBHOOKS: 'centre'"),
        ({"webhooks": {"centre": "https://x.example#short"}}, "NENGLIU_WEBHOOKS: 'centre': a secret wants"),
        ({"webhook_ca_file": "/nowhere.pem"}, "NENGLIU_WEBHOOK_CA_FILE"),
        ({"notify_quiet": "22-7"}, "NENGLIU_NOTIFY_QUIET"),
        ({"notify_digest": "noon"}, "NENGLIU_NOTIFY_DIGEST"),
        ({"notify_digest": "06:00"}, "NENGLIU_NOTIFY_DIGEST: 06:00 lies in the quiet hours"),
        ({"public_url": "nengliu.example"}, "NENGLIU_PUBLIC_URL"),
        ({"public_url": "https://x.example/?a=b"}, "NENGLIU_PUBLIC_URL"),
        ({"link_secret": "short"}, "NENGLIU_LINK_SECRET"),
        ({"notify_templates": "/nowhere"}, "NENGLIU_NOTIFY_TEMPLATES"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_shows_no_secret(wrong, setting):
    with pytest.raises(SettingError) as caught:
        read_notify_settings(settings(**wrong))
    assert str(caught.value).startswith(setting)
    assert "u:p@" not in str(caught.value)
    assert "#short" not in str(caught.value)


def test_a_time_zone_that_there_is_none_of_is_refused_by_name():
    with pytest.raises(ValidationError, match="unknown time zone 'Mars/Olympus'"):
        settings(timezone="Mars/Olympus")


def test_links_begin_with_the_pages_own_address_unless_a_setting_says_what_people_reach_it_by():
    assert read_notify_settings(settings(page_port=8080)).public_url == "http://127.0.0.1:8080"
    assert (
        read_notify_settings(settings(page_port=8080, host="0.0.0.0")).public_url == "http://127.0.0.1:8080"
    )
    assert read_notify_settings(settings(page_port=80, page_address="::1")).public_url == "http://[::1]:80"
    named = read_notify_settings(settings(page_port=8080, public_url="https://nl.example/city/"))
    assert named.public_url == "https://nl.example/city"


def test_a_webhooks_secret_reaches_the_worker_and_is_shown_to_nobody(tmp_path, monkeypatch):
    secret = secret_text(b"0123456789abcdef0123")
    monkeypatch.setenv("NENGLIU_WEBHOOKS", json.dumps({"centre": f"https://x.example/h#{secret}"}))
    found = settings()
    assert named_webhooks(found)["centre"].secret == b"0123456789abcdef0123"
    site = Site(found, StackState(tmp_path), {})
    assert json.loads(settings_environment(site)["NENGLIU_WEBHOOKS"]) == {
        "centre": f"https://x.example/h#{secret}"
    }
    import typer

    from deploy.cli.stack_commands import settings as show

    app = typer.Typer()
    app.command()(show)
    for arguments in ([], ["--json"]):
        shown = CliRunner().invoke(app, arguments)
        assert shown.exit_code == 0
        assert secret not in shown.output


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, True),
        ({"smtp_url": None}, False),
        ({"public_url": "https://nengliu.example"}, False),
        ({"page_port": 0}, False),
        ({"page_address": "192.0.2.7"}, False),
    ],
)
def test_links_that_only_this_machine_can_open_are_said(more, said):
    own = {"smtp_url": "smtp://mail.example", "smtp_from": "a@x.example", "page_port": 21887} | more
    made = settings(**own)
    assert links_stay_here(made, read_notify_settings(made)) == said
    told = notices("worker", {"nengliu_notification_links_stay_here": {"": float(said)}}, Steps("en"))
    assert bool(told) == said
