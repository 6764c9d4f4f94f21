"""A local stack with TLS: readings end to end by password and by certificate, and everybody else refused.

The tests share one stack, and the last one takes it back to plain MQTT.
"""

from __future__ import annotations

import json
import secrets
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs
from typer.testing import CliRunner

from collectors.bridge import Bridge, BridgeOptions
from collectors.edge.outbox import Outbox as EdgeOutbox
from collectors.edge.outbox import outbox_state
from collectors.edge.publisher import Publisher, PublisherOptions
from collectors.routes import Routes
from deploy.cli.gateway_commands import gateway as gateway_app
from deploy.clients import MqttEndpoint, connect_database, kafka_server, mqtt_connection
from deploy.gateways import SecurityDesk
from deploy.replay import connections
from deploy.settings import Settings
from deploy.stack import stack
from deploy.stack.mqtt_probe import publish_once
from deploy.stack.state import StackState
from deploy.stack.status import read_status
from deploy.stack.steps import SilentSteps
from deploy.tls import TlsFiles
from metering.errors import DependencyAwayError
from simulators.mqtt import GatewayClient
from storage.registry import import_registry

from .collectors_support import Gateway, Outbox, endpoint_of, running, wait_until
from .conftest import ANY_PORT
from .delivery_support import rows
from .test_collectors_bridge import write_registry
from .test_edge_process import Building

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

#: Meters are installed a day before they are read: the worker derives hours for all of the time in between.
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=7)
GOOD = '{"v":1,"state":"online"}'
#: paho leaves a socket to the garbage collector when its handshake fails.
unclosed_by_paho = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def own() -> Iterator[Settings]:
    """Settings of a stack of this module's own, all of it up, with TLS."""
    with tempfile.TemporaryDirectory(prefix="nengliu-test-") as folder:
        settings = Settings(state_dir=Path(folder, "state"), **{**ANY_PORT, "mqtt_certificate_port": 0})
        try:
            stack.up(settings, SilentSteps(), tls=True)
            yield settings
        finally:
            stack.down(settings, SilentSteps(), purge=True)


@dataclass(frozen=True)
class Certified:
    """A gateway as `gateway add --certificates` made it."""

    settings: Settings
    name: str
    password: str
    certificate: Path
    key: Path
    ca: Path

    @property
    def by_certificate(self) -> MqttEndpoint:
        """Where it logs in by certificate alone."""
        tls = TlsFiles("NENGLIU_MQTT", self.ca, self.certificate, self.key).context()
        return certificate_endpoint(self.settings, tls)

    def connect(self, **options: Any) -> Gateway:
        return Gateway(self.by_certificate, self.name, "", **options)

    def meters(self, names: list[str], folder: Path) -> None:
        """Make them known behind this gateway."""
        folder.mkdir()
        write_registry(folder, self.name, names)
        table = folder / "installations.csv"
        installed = (START - timedelta(days=1)).isoformat()
        table.write_text(table.read_text().replace("2010-01-01T00:00:00+08:00", installed))
        with connect_database(self.settings, "pipeline") as connection:
            import_registry(connection, folder, "test")


def certificate_endpoint(settings: Settings, tls: ssl.SSLContext) -> MqttEndpoint:
    port = StackState.of(settings).ports()["mqtt_certificate"]
    return MqttEndpoint("localhost", port, None, None, tls)


@pytest.fixture
def command(own: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `nengliu gateway …` and gives what it prints."""
    monkeypatch.setenv("NENGLIU_STATE_DIR", str(own.state_dir))

    def run(*words: str) -> str:
        done = CliRunner().invoke(gateway_app, list(words), catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    return run


@pytest.fixture
def add(own: Settings, command: Any, tmp_path: Path) -> Any:
    """Adds a gateway with a certificate."""

    def added(name: str | None = None, *more: str) -> Certified:
        name = name or f"gw-{secrets.token_hex(4)}"
        told = command("add", name, "--certificates", str(tmp_path / "certificates"), "--json", *more)
        [made] = json.loads(told)
        paths = {kind: Path(made[kind]) for kind in ("certificate", "key", "ca")}
        return Certified(own, name, made["password"], **paths)

    return added


def large_messages(meter: str, count: int) -> dict[int, list[dict[str, Any]]]:
    """Messages of some 400 kB, 25 records of TLS each."""
    return {
        seq: [
            {"meter": meter, "ts": (START + timedelta(seconds=n)).isoformat(), "values": {"1.8.0": float(n)}}
            for n in range((seq - 1) * 5000, seq * 5000)
        ]
        for seq in range(1, count + 1)
    }


def stored(settings: Settings, meter: str) -> list[tuple[int, float]]:
    query = "select count(*)::int, max(value) from api.reading where meter = %s"
    return rows(settings, query, meter)


@pytest.mark.parametrize("how", ["password", "certificate"])
def test_large_messages_go_all_the_way(own: Settings, add: Any, tmp_path: Path, how: str) -> None:
    ours = add()
    meter = f"{ours.name}-m"
    ours.meters([meter], tmp_path / "registry")
    gateway = Gateway(endpoint_of(own), ours.name, ours.password) if how == "password" else ours.connect()
    Outbox(gateway, "o", large_messages(meter, 4)).finish(60)
    gateway.close()
    assert stored(own, meter) == [(20_000, 19_999.0)]
    ledger = "select sum(stored)::int, sum(missing)::int from api.ingest_ledger where gateway = %s"
    assert rows(own, ledger, ours.name) == [(20_000, 0)]


def test_an_edge_with_a_certificate_and_no_password_brings_its_meters_to_rows(
    own: Settings, add: Any, tmp_path: Path
) -> None:
    ours, building = add(), Building()
    ours.meters(building.names, tmp_path / "registry")
    (tmp_path / "edge.toml").write_text(building.config(), encoding="utf-8")
    endpoint = ours.by_certificate
    environment = {
        "NENGLIU_EDGE_CONFIG": str(tmp_path / "edge.toml"),
        "NENGLIU_EDGE_OUTBOX": str(tmp_path / "outbox.sqlite"),
        "NENGLIU_EDGE_MQTT_URL": f"mqtts://{ours.name}@{endpoint.host}:{endpoint.port}",
        "NENGLIU_EDGE_MQTT_CA_FILE": str(ours.ca),
        "NENGLIU_EDGE_MQTT_CERT_FILE": str(ours.certificate),
        "NENGLIU_EDGE_MQTT_KEY_FILE": str(ours.key),
        "NENGLIU_EDGE_RESERVE_MB": "1",
    }
    with ExitStack() as buses:
        for bus in building.buses:
            bus.start()
            buses.callback(bus.stop)
        with running(own, "edge", **environment):
            query = "select count(distinct meter)::int from api.reading where meter = any(%s)"
            wait_until(lambda: rows(own, query, building.names) == [(7,)], "every meter that answers")
            state = "select state from api.gateway_status where gateway = %s"
            wait_until(lambda: rows(own, state, ours.name) == [("online",)], "its status")
    assert outbox_state(tmp_path / "outbox.sqlite").last_seq


def test_a_simulated_gateway_connects_over_tls(own: Settings, add: Any) -> None:
    ours = add()
    client = GatewayClient(ours.name, connections(own, {ours.name: ours.password})[ours.name], print)
    client.connect()
    client.close(final=False)


def test_the_files_of_a_gateway_are_the_callers_only(add: Any) -> None:
    ours = add()
    assert {p.stat().st_mode & 0o777 for p in (ours.certificate, ours.key, ours.ca)} == {0o600}
    assert ours.key.parent.stat().st_mode & 0o777 == 0o700


def test_a_client_without_tls_is_refused(own: Settings) -> None:
    with pytest.raises(OSError, match=r"closed|reset"):
        publish_once(replace(endpoint_of(own), tls=None), None)


def test_a_certificate_of_another_authority_is_refused(own: Settings, add: Any) -> None:
    ours, stranger = add(), trustme.CA()
    context = TlsFiles("NENGLIU_MQTT", ours.ca).context()
    stranger.issue_cert("gateway.invalid", common_name=identity_of(own, ours.name)).configure_cert(context)
    with pytest.raises(OSError, match=r"(?i)alert|closed|reset|EOF|pipe"):
        publish_once(certificate_endpoint(own, context), None)
    with pytest.raises(OSError, match=r"(?i)alert|closed|reset|EOF|pipe"):
        publish_once(certificate_endpoint(own, TlsFiles("NENGLIU_MQTT", ours.ca).context()), None)


def identity_of(settings: Settings, name: str) -> str:
    """What a gateway's certificate logs in as."""
    with SecurityDesk(endpoint_of(settings)) as desk:
        [identity] = [known for known in desk.known() if known.startswith(f"{name}~")]
    return identity


def test_what_a_certificate_logs_in_as_is_nobody_without_the_certificate(own: Settings, add: Any) -> None:
    identity = identity_of(own, add().name)
    for password in (None, "", "x"):
        with pytest.raises(ValueError, match="refused"):
            publish_once(replace(endpoint_of(own), username=identity, password=password), None)


def test_a_certificate_gives_the_rights_of_its_gateway_and_no_others(add: Any) -> None:
    ours, other = add(), add()
    gateway = Gateway(ours.by_certificate, other.name, other.password)  # whatever user it says it is
    topics = [f"nl/v1/{name}/status" for name in (ours.name, other.name)]
    allowed, refused = gateway.answered([gateway.publish(t, GOOD) for t in topics])
    assert allowed in ("Success", "No matching subscribers")
    assert refused == "Not authorized"
    assert gateway.granted == ["Not authorized"], "the other's acknowledgements"
    gateway.close()


def test_a_gateway_that_is_removed_has_no_access_by_certificate_either(add: Any, command: Any) -> None:
    ours = add()
    live = ours.connect()
    wait_until(lambda: live.granted == ["Granted QoS 1"], "the subscription")
    command("remove", ours.name)
    wait_until(lambda: live.disconnects, "the live session to end")
    wait_until(lambda: len(live.granted) > 1, "the answer to the next one")
    assert live.granted[1:] == ["Not authorized"]
    assert live.answered([live.send("{}")]) == ["Not authorized"]
    live.close()


@contextmanager
def kept(ours: Certified) -> Iterator[Certified]:
    """A copy of a gateway's certificate, as somebody may have taken it."""
    with tempfile.TemporaryDirectory() as folder:
        copies = {}
        for kind in ("certificate", "key"):
            copies[kind] = Path(folder, kind)
            copies[kind].write_bytes(getattr(ours, kind).read_bytes())
        yield replace(ours, **copies)


@pytest.mark.parametrize("how", ["removed and added again", "given another"])
def test_an_old_certificate_stays_void(add: Any, command: Any, how: str) -> None:
    ours = add()
    with kept(ours) as old:
        if how == "given another":
            new = add(ours.name, "--new-password")
        else:
            command("remove", ours.name)
            new = add(ours.name)
        for who, answer in ((old, "Not authorized"), (new, "Granted QoS 1")):
            gateway = who.connect()
            wait_until(lambda g=gateway: g.granted, "the answer")
            assert gateway.granted == [answer]
            gateway.close()


def test_who_has_a_certificate_cannot_take_another_session_over(
    own: Settings, add: Any, command: Any
) -> None:
    """Mosquitto lets a removed one connect; the client id is then its user, whatever it says."""
    victim, thief = add(), add()
    session = Gateway(endpoint_of(own), victim.name, victim.password, client_id="a-session")
    command("remove", thief.name)
    stolen = thief.connect(client_id="a-session")
    wait_until(lambda: stolen.granted, "the answer to the thief")
    assert session.answered([session.publish(f"nl/v1/{victim.name}/status", GOOD)])
    assert session.disconnects == 0
    stolen.close()
    session.close()


def wrong_authority() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=trustme.CA().cert_pem.bytes().decode())
    assert context.check_hostname
    return context


@contextmanager
def in_thread(run: Any, stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


@unclosed_by_paho
def test_a_bridge_that_cannot_trust_the_broker_says_what_to_do_and_goes_on_trying(own: Settings) -> None:
    broker, stop = mqtt_connection(own, "bridge"), threading.Event()
    options = BridgeOptions(
        broker.host,
        broker.port,
        broker.username,
        broker.password,
        "not-trusting",
        kafka_server(own, "bridge"),
        tls=wrong_authority(),
    )
    bridge = Bridge(options, Routes({}, {}), stop)
    with capture_logs() as said, in_thread(bridge.run, stop):
        wait_until(lambda: len([e for e in said if e["event"] == "mqtt_away"]) > 1, "two attempts", 60)
    assert all("NENGLIU_MQTT_CA_FILE" in e["error"] for e in said if e["event"] == "mqtt_away")


@unclosed_by_paho
@pytest.mark.parametrize("fault", ["another authority", "no TLS", "no certificate"])
def test_an_edge_that_is_not_let_in_says_what_to_do_and_keeps_everything(
    own: Settings, add: Any, tmp_path: Path, fault: str
) -> None:
    ours = add()
    plain, certified = endpoint_of(own), ours.by_certificate
    port, tls, setting = {
        "another authority": (plain.port, wrong_authority(), "NENGLIU_EDGE_MQTT_CA_FILE"),
        "no TLS": (plain.port, None, "mqtts:// in NENGLIU_EDGE_MQTT_URL"),
        "no certificate": (certified.port, plain.tls, "NENGLIU_EDGE_MQTT_CERT_FILE"),
    }[fault]
    options = PublisherOptions(ours.name, "localhost", port, ours.name, ours.password, tls)
    outbox, stop = EdgeOutbox(tmp_path / "outbox.sqlite"), threading.Event()
    publisher = Publisher(outbox, options, stop)
    with capture_logs() as said, in_thread(publisher.run, stop):
        wait_until(
            lambda: any(setting in str(e.get("error", e.get("reason"))) for e in said),
            f"{setting} in the log",
        )
        assert not publisher.connected
    outbox.close()


@unclosed_by_paho
def test_an_administrator_who_cannot_trust_the_broker_is_told_what_to_do(own: Settings) -> None:
    with (
        pytest.raises(DependencyAwayError, match="NENGLIU_MQTT_CA_FILE"),
        SecurityDesk(replace(endpoint_of(own), tls=wrong_authority())),
    ):
        pass


def test_status_and_a_plain_up_keep_to_tls(own: Settings) -> None:
    before = {line.name: line.pid for line in read_status(own).servers}
    stack.up(own, SilentSteps())
    found = read_status(own)
    assert {line.name: line.pid for line in found.servers} == before
    assert found.is_ready
    state = StackState.of(own)
    assert found.as_json()["mqtt_tls"] == {
        "ca_file": str(state.tls / "ca.pem"),
        "certificate_address": f"127.0.0.1:{state.ports()['mqtt_certificate']}",
    }


def test_the_way_back_is_plain_mqtt_for_everybody_with_the_authority_kept(own: Settings, add: Any) -> None:
    ours = add()
    authority = ours.ca.read_bytes()
    stack.up(own, SilentSteps(), tls=False)
    found = read_status(own)
    assert found.is_ready
    assert "mqtt_tls" not in found.as_json()
    endpoint = mqtt_connection(own, "admin")
    assert endpoint.tls is None
    gateway = Gateway(endpoint, ours.name, ours.password)
    gateway.close()
    assert (StackState.of(own).tls / "ca.pem").read_bytes() == authority
