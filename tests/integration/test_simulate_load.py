"""`simulate load`: counts true on a running platform, and takes back what it added, also where it is interrupted."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import replace
from threading import Thread

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from deploy import simulate_load
from deploy.bench.rig import Rig, bench_rig
from deploy.cli.simulate_commands import simulate
from deploy.clients import database_url, mqtt_connection
from deploy.gateways import add_gateways, gateways_named
from deploy.load.registry import write_registry
from deploy.settings import Settings
from deploy.simulate_load import PREFIX, LoadOptions, run_load
from deploy.stack.steps import SilentSteps
from metering.errors import SettingError
from storage.derivation import Deriver

from .collectors_support import wait_until
from .conftest import Servers

pytestmark = pytest.mark.integration

SMALL = LoadOptions(messages=500, gateways=4, connections=2, patience_s=20)


@pytest.fixture(scope="module")
def rig(servers: Servers) -> Iterator[Rig]:
    """A bridge and a writer that take the native topics into a database of their own."""
    native = {"NENGLIU_MQTT_NATIVE": "true"}
    tag = f"load-{secrets.token_hex(3)}"
    with bench_rig(servers.settings, tag, [], {}, lambda folder: write_registry(folder, []), native) as made:
        made.start("bridge")
        made.start("writer")
        yield made


@pytest.fixture(scope="module")
def platform(rig: Rig, servers: Servers) -> Settings:
    return servers.settings.model_copy(
        update={
            f"{name}_url": SecretStr(database_url(servers.settings, role, rig.database))
            for name, role in (("database", "pipeline"), ("read", "read"))
        }
    )


def value(settings: Settings, query: str) -> object:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def left_behind(settings: Settings) -> tuple[object, ...]:
    """Gateways at the broker, meters that are installed, energy."""
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    deriver = Deriver(lambda: psycopg.connect(url))
    deriver.run_all()
    deriver.close()
    return (
        gateways_named(mqtt_connection(settings, "admin"), PREFIX),
        value(
            settings,
            "select count(*) from nengliu.installation where removed_at is distinct from installed_at",
        ),
        value(settings, "select count(*) from nengliu.site_hour"),
    )


def test_many_gateways_on_few_connections_are_all_stored_and_nothing_of_them_stays_in_force(platform):
    report = run_load(platform, SMALL, SilentSteps())
    assert (report["messages"], report["readings"], report["durable"], report["rows"]) == (500, 500, 500, 500)
    assert (report["lost"], report["rejected"], report["unanswered"], report["stopped"]) == (0, 0, 0, False)
    assert report["ledger"] == {
        "received": 500,
        "stored": 500,
        "repeated": 0,
        "conflicting": 0,
        "rejected": 0,
    }
    taken = report["publish_to_durable_ack_s"]
    assert 0 < taken["p50"] <= taken["p90"] <= taken["p99"] <= taken["max"]
    assert left_behind(platform) == ([], 0, 0)


def test_a_steady_rate_and_several_readings_a_message_are_kept(platform):
    options = LoadOptions(rate=200.0, seconds=1.0, gateways=3, connections=3, per_message=5)
    report = run_load(platform, options, SilentSteps())
    assert 150 <= report["messages"] <= 201
    assert report["rows"] == report["messages"] * 5
    assert (report["lost"], report["rejected"], report["unanswered"]) == (0, 0, 0)


def test_the_command_is_wrong_where_something_was_rejected(platform, monkeypatch):
    whole = simulate_load._import
    monkeypatch.setattr(simulate_load, "_import", lambda settings, found: whole(settings, found[:-1]))
    monkeypatch.setattr("deploy.settings.load_settings", lambda: platform)
    command = ["load", "--messages", "20", "--gateways", "2", "--json"]
    result = CliRunner().invoke(simulate, command)
    monkeypatch.undo()
    assert result.exit_code == 1, result.output
    report = json.loads(result.stdout)
    assert report["rejected_messages"] == {"unknown_meter": 10}
    assert (report["rejected"], report["rows"], report["unanswered"]) == (10, 10, 0)
    assert run_load(platform, SMALL, SilentSteps())["lost"] == 0
    assert left_behind(platform) == ([], 0, 0)


def test_ctrl_c_ends_it_with_the_result_so_far(platform):
    def interrupt() -> None:
        wait_until(
            lambda: value(platform, f"select sum(stored) > {before} from nengliu.ingest_ledger"),
            "readings to come",
        )
        os.kill(os.getpid(), signal.SIGINT)

    before = value(platform, "select coalesce(sum(stored), 0)::bigint from nengliu.ingest_ledger")
    thread = Thread(target=interrupt)
    thread.start()
    try:
        report = run_load(platform, replace(SMALL, messages=None, rate=300.0, seconds=120.0), SilentSteps())
    finally:
        thread.join()
    assert report["stopped"]
    assert 0 < report["messages"] == report["durable"] == report["rows"]
    assert (report["lost"], report["unanswered"]) == (0, 0)
    assert left_behind(platform) == ([], 0, 0)


def test_what_a_killed_load_left_is_taken_back_by_the_next(platform):
    add_gateways(mqtt_connection(platform, "admin"), [f"{PREFIX}0000", f"{PREFIX}0099"])
    simulate_load._import(
        platform,
        [simulate_load.Installed(f"{PREFIX}000000000000", f"{PREFIX}0000", "1.8.0", "json", start_value="")],
    )
    assert run_load(platform, SMALL, SilentSteps())["lost"] == 0
    assert left_behind(platform) == ([], 0, 0)


def test_a_platform_with_real_readings_is_loaded_only_where_somebody_says_so(platform):
    assert platform.database_url is not None
    with psycopg.connect(platform.database_url.get_secret_value()) as connection:
        connection.execute(
            "insert into nengliu.ingest_ledger (day, gateway, outbox, received, stored) values (now(), 'gw', 'k', 1, 1)"
        )
    with pytest.raises(SettingError, match=r"real readings.*--yes-simulated"):
        run_load(platform, SMALL, SilentSteps())
    assert run_load(platform, replace(SMALL, messages=4, among_real=True), SilentSteps())["rows"] == 4
