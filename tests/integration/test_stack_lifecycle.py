"""The local stack: idempotent, brings back what dies, keeps its data, leaves nothing behind when purged.

It lives in a folder with a long path (a unix socket's may have 107 bytes) beside the session's stack.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import UserScramCredentialDeletion
from kafka.errors import KafkaError
from typer.testing import CliRunner

from deploy.cli import stack_commands
from deploy.clients import KafkaRole, connect_database, kafka_server
from deploy.settings import Settings
from deploy.stack import stack
from deploy.stack.errors import StackError
from deploy.stack.kafka import configured_admin
from deploy.stack.leftovers import leftovers
from deploy.stack.site import Site
from deploy.stack.state import StackState
from deploy.stack.status import read_status
from deploy.stack.steps import SilentSteps
from deploy.stack.supervisor import Supervisor
from stream.topics import topic_identity

from .conftest import ANY_PORT

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def own() -> Iterator[Settings]:
    """Settings of a stack of this module's own, with its servers up."""
    with tempfile.TemporaryDirectory(prefix="nengliu-test-") as folder:
        deep = Path(folder, "a folder with a long name " * 3, "50% of it")
        settings = Settings(state_dir=deep, **ANY_PORT)
        try:
            stack.up(settings, SilentSteps(), servers_only=True)
            yield settings
        finally:
            stack.down(settings, SilentSteps(), purge=True)


def pids(settings: Settings) -> dict[str, int | None]:
    return {line.name: line.pid for line in read_status(settings).servers}


def wait_for(settings: Settings, name: str) -> None:
    state = StackState.of(settings)
    server = next(s for s in stack.local_servers(settings) if s.name == name)
    stack.wait_ready(Site(settings, state, state.ports()), Supervisor(state), server)


def test_a_second_up_changes_nothing(own: Settings) -> None:
    before, ports = pids(own), StackState.of(own).ports()
    stack.up(own, SilentSteps(), servers_only=True)
    assert pids(own) == before
    assert None not in before.values()
    assert StackState.of(own).ports() == ports


@pytest.mark.parametrize("name", ["postgres", "mosquitto", "prometheus", "kafka"])
def test_what_is_killed_is_ready_again_by_itself(own: Settings, name: str) -> None:
    before = pids(own)[name]
    os.kill(before, signal.SIGKILL)
    supervisor = Supervisor(StackState.of(own))
    while supervisor.processes()[name].pid == before:
        pass
    wait_for(own, name)
    assert pids(own)[name] not in (None, before)


def test_a_killed_supervisor_leaves_nothing_that_answers_and_up_repairs(own: Settings) -> None:
    state = StackState.of(own)
    pid = int((state.run / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    stack.up(own, SilentSteps(), servers_only=True)
    assert all(line.state == "running" for line in read_status(own).servers)
    assert int((state.run / "supervisord.pid").read_text()) != pid


def test_data_is_kept_over_down_and_up(own: Settings) -> None:
    with connect_database(own, "owner") as connection:
        connection.execute("create table kept as select 42 as answer")
    producer = KafkaProducer(**kafka_server(own, "admin").options(), acks="all")
    producer.send("meter.status", b"kept", partition=0).get(timeout=10)
    producer.close()
    users = StackState.of(own).server("mosquitto") / "dynamic-security.json"
    known = json.loads(users.read_text())["clients"]

    stack.down(own, SilentSteps())
    assert all(line.state == "stopped" for line in read_status(own).servers)
    assert leftovers(StackState.of(own).folder) == []
    stack.up(own, SilentSteps(), servers_only=True)

    with connect_database(own, "owner") as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
        connection.execute("drop table kept")
    consumer = KafkaConsumer(
        "meter.status",
        **kafka_server(own, "admin").options(),
        auto_offset_reset="earliest",
        consumer_timeout_ms=10000,
    )
    assert next(iter(consumer)).value == b"kept"
    consumer.close()
    assert json.loads(users.read_text())["clients"] == known


def test_a_kafka_from_before_it_had_users_is_given_them_and_keeps_its_data(own: Settings) -> None:
    """As after an upgrade: its storage knows no user, so only the admin of its configuration can come in."""
    admin = KafkaAdminClient(**configured_admin(own).options())
    users = [UserScramCredentialDeletion(u, "SCRAM-SHA-512") for u in get_args(KafkaRole)]
    assert set(admin.alter_user_scram_credentials(users).values()) == {None}
    kept = admin.describe_topics(topics=["meter.readings"])[0]["topic_id"]
    admin.close()
    with pytest.raises(KafkaError):
        KafkaAdminClient(**kafka_server(own, "writer").options(), bootstrap_timeout_ms=600)

    stack.up(own, SilentSteps(), servers_only=True)

    found = topic_identity(kafka_server(own, "writer"), ["meter.readings"])
    assert found.topic_ids == {"meter.readings": str(kept)}


def test_nobody_else_may_read_what_a_stack_keeps(own: Settings) -> None:
    """Secrets, configurations, logs and data: the caller's only; PostgreSQL's files may belong to its own account."""
    folder = StackState.of(own).folder
    opened = {
        str(p.relative_to(folder)): oct(p.stat().st_mode)
        for p in [folder, *folder.rglob("*")]
        if p.stat().st_mode & 0o077 and not p.is_symlink() and not _for_passing_through(p, folder)
    }
    assert opened == {}
    secrets = {p.name for p in (folder / "secrets").iterdir()}
    assert {f"kafka_{role}" for role in get_args(KafkaRole)} <= secrets
    assert {(p.stat().st_mode & 0o777) for p in (folder / "secrets").iterdir()} == {0o600}


def _for_passing_through(path: Path, folder: Path) -> bool:
    """Where PostgreSQL runs as another account, it must get to its own folder."""
    return path == folder and path.stat().st_mode & 0o777 == 0o711


def test_two_stacks_live_side_by_side(own: Settings, servers) -> None:
    ours, theirs = read_status(own).servers, read_status(servers.settings).servers
    assert {line.state for line in [*ours, *theirs]} == {"running"}
    assert not {line.address for line in ours} & {line.address for line in theirs}


def test_a_port_set_anew_moves_that_server_only(own: Settings) -> None:
    before = pids(own)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    moved = own.model_copy(update={"prometheus_port": port})
    stack.up(moved, SilentSteps(), servers_only=True)
    after = read_status(moved).servers
    assert [line.address for line in after if line.name == "prometheus"] == [f"127.0.0.1:{port}"]
    assert {line.name for line in after if line.pid != before[line.name]} == {"prometheus"}
    stack.up(own, SilentSteps(), servers_only=True)


def test_a_taken_port_is_refused_by_the_name_of_its_setting_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = Settings(
            state_dir=tmp_path / "state", **{**ANY_PORT, "kafka_port": other.getsockname()[1]}
        )
        with pytest.raises(StackError, match="NENGLIU_KAFKA_PORT"):
            stack.up(settings, SilentSteps(), servers_only=True)
    assert leftovers(tmp_path / "state") == []
    assert not (tmp_path / "state/run/supervisor.sock").exists()


def test_status_has_the_contracted_shape(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NENGLIU_STATE_DIR", str(own.state_dir))
    result = CliRunner().invoke(_app(), ["--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1, "services do not run here, which is found wanting"
    assert list(found) == ["read_url", "servers", "services", "derivation", "notifications"]
    assert found["derivation"] == {"changes": 0, "readings": 0, "oldest_s": 0.0, "oldest_live_s": 0.0}
    assert {s["name"] for s in found["servers"]} == {"mosquitto", "kafka", "postgres", "prometheus"}
    assert [s["name"] for s in found["services"]] == ["bridge", "writer", "worker"]
    assert {s["state"] for s in found["servers"]} == {"running"}
    assert all(set(s) == {"name", "state", "address", "pid"} for s in found["servers"] + found["services"])
    with psycopg.connect(found["read_url"]) as reader:
        assert reader.execute("select current_user").fetchone() == ("nengliu_read",)


def _app():
    import typer

    app = typer.Typer()
    app.command()(stack_commands.status)
    return app


def test_purge_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / ("x" * 90) / "state", **ANY_PORT)
    stack.up(settings, SilentSteps(), servers_only=True)
    state = StackState.of(settings)
    assert state.short_folder.is_dir(), "the socket's path would be too long inside"
    stack.down(settings, SilentSteps(), purge=True)
    assert not state.folder.exists()
    assert not state.short_folder.exists()
    assert leftovers(state.folder) == []


def test_purge_refuses_a_folder_that_is_no_stack(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StackError, match="NENGLIU_STATE_DIR"):
        stack.down(Settings(state_dir=tmp_path, **ANY_PORT), SilentSteps(), purge=True)
    assert (tmp_path / "thesis.tex").exists()


def test_purge_takes_away_what_a_refused_start_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {**ANY_PORT, "mqtt_port": taken.getsockname()[1]}
        settings = Settings(state_dir=tmp_path / "state", **ports)
        with pytest.raises(StackError, match="NENGLIU_MQTT_PORT"):
            stack.up(settings, SilentSteps(), servers_only=True)
    stack.down(settings, SilentSteps(), purge=True)
    assert not (tmp_path / "state").exists()
