"""The local stack's decisions that need no server: where packages come from, ports, errors that say what to do."""

from __future__ import annotations

import io
import shlex
import shutil
import socket
import subprocess
from collections import namedtuple
from pathlib import Path
from typing import get_args

import pytest
from supervisor.options import ServerOptions

from deploy.clients import KafkaRole, kafka_server, mqtt_connection, parse_mqtt_url
from deploy.settings import Settings, load_settings
from deploy.stack import debian, java, programs, stack
from deploy.stack.errors import InstallError, StackError
from deploy.stack.figures import describe, read_samples
from deploy.stack.mirror import debootstrap_mirror, host_mirrors
from deploy.stack.ports import PORTS, choose_ports
from deploy.stack.services import settings_environment
from deploy.stack.site import Process, Site
from deploy.stack.state import StackState
from deploy.stack.steps import SilentSteps, Steps
from deploy.stack.supervisor import Supervisor
from metering.errors import DependencyAwayError, SettingError

ANY_PORT = {use.field: 0 for use in PORTS}


def etc_with(folder: Path, distribution: str, **files: str) -> Path:
    (folder / "apt/sources.list.d").mkdir(parents=True)
    (folder / "os-release").write_text(f"NAME=x\nID={distribution}\n")
    for name, text in files.items():
        path = folder / "apt" / ("sources.list" if name == "list" else "sources.list.d/host.sources")
        path.write_text(text)
    return folder


class TestMirror:
    """The mirror is the host's own, in either format of apt's sources."""

    def test_one_line_format(self, tmp_path: Path) -> None:
        text = (
            "# deb http://old.example/debian bookworm main\n"
            "deb http://m.example/security bookworm-security main\n"
            "deb [arch=amd64 signed-by=/x.gpg] http://m.example/debian bookworm main contrib\n"
        )
        assert list(host_mirrors(etc_with(tmp_path, "debian", list=text))) == ["http://m.example/debian"]

    def test_deb822_format(self, tmp_path: Path) -> None:
        text = (
            "Types: deb deb-src\n# http://no.example\nURIs: http://m.example/debian\n http://n.example/debian\n"
            "Suites: trixie trixie-updates\nComponents: main\n\n"
            "Types: deb\nURIs: http://s.example/debian-security\nSuites: trixie-security\nComponents: main\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://o.example/debian\nSuites: sid\nComponents: main\n"
        )
        found = list(host_mirrors(etc_with(tmp_path, "debian", sources=text)))
        assert found == ["http://m.example/debian", "http://n.example/debian"]

    def test_another_distribution_has_no_debian_mirror(self, tmp_path: Path) -> None:
        text = "deb http://u.example/ubuntu noble main\n"
        assert list(host_mirrors(etc_with(tmp_path, "ubuntu", list=text))) == []

    def test_else_debootstrap_names_one(self, tmp_path: Path) -> None:
        (tmp_path / "usr/sbin").mkdir(parents=True)
        (tmp_path / "usr/sbin/debootstrap").write_text('DEF_MIRROR="http://d.example/debian"\n')
        assert debootstrap_mirror(tmp_path) == "http://d.example/debian"

    def test_and_else_the_setting_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InstallError, match="NENGLIU_DEBIAN_MIRROR"):
            debootstrap_mirror(tmp_path)


class TestMissing:
    """What is missing is said, with what to do."""

    def test_no_apt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda _: None)
        with pytest.raises(InstallError, match="deploy/compose"):
            debian.host_architecture()

    def test_unknown_architecture(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer = subprocess.CompletedProcess([], 0, stdout="riscv64\n")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
        with pytest.raises(InstallError, match=r"riscv64.*amd64 and arm64"):
            debian.host_architecture()

    def test_no_java(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setattr(java, "bundled_java", lambda: None)
        with pytest.raises(InstallError, match="default-jre-headless"):
            java.find_java()

    def test_old_java_is_passed_by(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        old = tmp_path / "bin/java"
        old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
        old.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        assert java.java_version(str(old)) == 11
        assert java.find_java() != old

    @pytest.mark.parametrize("part", ["programs", "state"])
    def test_full_disk(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 10**6))
        settings = Settings(state_dir=tmp_path / "s", programs_dir=tmp_path / "p", **ANY_PORT)
        if part == "programs":
            with pytest.raises(InstallError, match="NENGLIU_PROGRAMS_DIR"):
                programs.ensure_programs(settings, SilentSteps())
        else:
            monkeypatch.setattr(stack, "ensure_programs", lambda *_: None)
            with pytest.raises(StackError, match="NENGLIU_STATE_DIR"):
                stack.up(settings, SilentSteps())
        assert not (tmp_path / "s").exists()

    def test_no_stack(self, tmp_path: Path) -> None:
        settings = Settings(state_dir=tmp_path)
        with pytest.raises(DependencyAwayError, match=r"nengliu up.*NENGLIU_KAFKA_BOOTSTRAP"):
            kafka_server(settings, "admin")


class TestPorts:
    """Ports are the settings', or kept; a taken one is named before anything starts."""

    def test_zero_means_any_and_is_kept(self) -> None:
        first = choose_ports(Settings(**ANY_PORT), {}, [])
        assert len(set(first.values())) == len(PORTS)
        assert choose_ports(Settings(**ANY_PORT), first, []) == first

    def test_taken_ports_are_all_named(self) -> None:
        with socket.socket() as one, socket.socket() as two:
            for s in (one, two):
                s.bind(("127.0.0.1", 0))
                s.listen()
            wanted = {"mqtt_port": one.getsockname()[1], "postgres_port": two.getsockname()[1]}
            settings = Settings(**{**ANY_PORT, **wanted})
            with pytest.raises(StackError, match=r"(?s)NENGLIU_MQTT_PORT.*NENGLIU_POSTGRES_PORT"):
                choose_ports(settings, {}, [])

    def test_our_own_running_server_does_not_count_as_another(self) -> None:
        with socket.socket() as ours:
            ours.bind(("127.0.0.1", 0))
            ours.listen()
            port = ours.getsockname()[1]
            kept = {"mqtt": port}
            settings = Settings(**{**ANY_PORT, "mqtt_port": port})
            assert choose_ports(settings, kept, ["mosquitto"])["mqtt"] == port
            assert choose_ports(Settings(**ANY_PORT), kept, [])["mqtt"] != port

    def test_one_port_for_two_is_refused(self) -> None:
        with pytest.raises(StackError, match="NENGLIU_MQTT_PORT and NENGLIU_KAFKA_PORT"):
            choose_ports(Settings(**{**ANY_PORT, "mqtt_port": 28123, "kafka_port": 28123}), {}, [])


class TestSettings:
    """A wrong setting is refused by its name."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [("KAFKA_PORT", "x"), ("TIMEZONE", "Mars/Olympus"), ("CLOCK", "sundial"), ("MQTT_PORT", "70000")],
    )
    def test_wrong_value(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        monkeypatch.setenv(f"NENGLIU_{name}", value)
        with pytest.raises(SettingError, match=f"NENGLIU_{name}"):
            load_settings()

    def test_wrong_mqtt_url(self) -> None:
        for url in ("http://x", "mqtt://", "mqtt://h:port"):
            with pytest.raises(SettingError, match="NENGLIU_MQTT_URL"):
                parse_mqtt_url(url)

    def test_an_existing_broker_is_not_managed_without_its_admin(self) -> None:
        with pytest.raises(SettingError, match="NENGLIU_MQTT_ADMIN_URL"):
            mqtt_connection(Settings(mqtt_url="mqtt://u:p@h"), "admin")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kafka_security": "sasl_ssl"},
            {"kafka_security": "sasl_plaintext", "kafka_username": "u"},
            {"kafka_username": "u", "kafka_password": "p"},
        ],
        ids=str,
    )
    def test_a_kafka_user_without_sasl_or_sasl_without_a_user(self, wrong: dict[str, str]) -> None:
        with pytest.raises(SettingError, match="NENGLIU_KAFKA_SECURITY"):
            kafka_server(Settings(kafka_bootstrap="h:1", **wrong), "bridge")

    def test_an_existing_kafka_is_used_as_the_user_that_is_set(self, tmp_path: Path) -> None:
        settings = Settings(
            kafka_bootstrap="h:1,i:2",
            kafka_security="sasl_ssl",
            kafka_username="u",
            kafka_password="secret-word",
            kafka_ca_file=tmp_path / "ca.pem",
        )
        server = kafka_server(settings, "writer")
        assert server.options() == {
            "bootstrap_servers": "h:1,i:2",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": "u",
            "sasl_plain_password": "secret-word",
            "ssl_cafile": str(tmp_path / "ca.pem"),
        }
        assert "secret-word" not in f"{server!r} {settings!r}"

    def test_each_service_of_the_local_stack_has_a_secret_of_its_own(self, tmp_path: Path) -> None:
        settings = Settings(state_dir=tmp_path)
        StackState.of(settings).prepare()
        StackState.of(settings).keep_ports({"kafka": 1})
        found = {kafka_server(settings, role).password for role in get_args(KafkaRole)}
        assert len(found) == len(get_args(KafkaRole))

    def test_a_service_gets_settings_that_read_back_the_same(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        settings = Settings(
            state_dir=tmp_path / '50% "of" it',
            more_kinds=("mine",),
            mqtt_url="mqtt://u:p%25@h",
            log_json=True,
        )
        ports = {use.name: 20000 + n for n, use in enumerate(PORTS)}
        for name, value in settings_environment(Site(settings, StackState.of(settings), ports)).items():
            monkeypatch.setenv(name, value)
        chosen: dict[str, object] = {use.field: ports[use.name] for use in PORTS}
        absolute = {"edge_config": settings.edge_config.absolute()}
        assert load_settings() == settings.model_copy(update=chosen | absolute)


def test_the_supervisor_reads_back_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces, quotes and percent signs in paths and settings survive supervisord's configuration."""
    folder = tmp_path / "50% of it"
    state = StackState(folder)
    state.prepare()
    monkeypatch.chdir(folder)
    command = ["/bin/x y", "--a=%s", 'say "hi"']
    environment = {"A": 'b "c" \\ 100%', "B": "1,'2'\n"}
    text = Supervisor(state)._text([Process("one", command, folder, 10, environment=environment)])
    (folder / "run/supervisord.conf").write_text(text)
    options = ServerOptions()
    options.realize(["-c", str(folder / "run/supervisord.conf"), "-n"])
    (group,) = options.process_group_configs
    (process,) = group.process_configs
    run = [*shlex.split(process.command)[:4], "sh", "-c", 'printf "%s|%s" "$A" "$B"']
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert printed == f"{environment['A']}|{environment['B']}"
    assert shlex.split(process.command)[4:] == command
    assert process.directory == str(folder)


def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="line break"):
        Supervisor(StackState(tmp_path))._text([Process("one", ["x\ny"], tmp_path, 1)])


def test_a_long_state_directory_has_a_short_socket() -> None:
    folder = Path("/srv/nengliu")
    assert StackState(folder).socket.parent == folder / "run"
    deep = StackState(folder / ("x" * 120))
    assert len(str(deep.socket)) < 100
    assert deep.socket != StackState(folder / ("y" * 120)).socket


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    state = StackState(tmp_path)
    assert state.secret("a") == state.secret("a") != state.secret("b")
    assert (tmp_path / "secrets/a").stat().st_mode & 0o777 == 0o600


def test_steps_are_plain_lines_without_a_terminal() -> None:
    for language, word in (("zh", "下载"), ("en", "Download")):
        out = io.StringIO()
        with Steps(language, out).step("下载", "Download", long=True) as step:
            step.note("3 packages")
        first, last = out.getvalue().splitlines()
        assert word in first
        assert word in last
        assert "(3 packages)" in last
        assert last.endswith(" s")


def test_a_service_that_is_away_has_no_figures() -> None:
    assert read_samples("127.0.0.1:1") == {}


def test_figures_are_read_in_both_languages() -> None:
    samples = {"nengliu_bridge_messages_total": {"readings": 3.0, "status": 2.0}}
    assert describe("bridge", samples, zh=False) == "messages 5"
    assert describe("bridge", samples, zh=True) == "消息 5"


def test_up_refuses_formats_that_cannot_be_read_before_anything_starts(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", decoder_files=(tmp_path / "none.toml",))
    with pytest.raises(SettingError, match="NENGLIU_DECODER_FILES"):
        stack.up(settings, SilentSteps())
    assert not settings.state_dir.exists()
