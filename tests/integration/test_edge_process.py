"""`nengliu edge` as its users run it: simulated DL/T 645 meters on two buses, killed and started again, to rows."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from collectors.edge.outbox import OutboxState, outbox_state
from deploy.clients import connect_database
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from simulators.meters.counts import MeterClock
from simulators.meters.dlt645 import Dlt645Bus, Dlt645Meter
from simulators.meters.lines import HalfDuplexLine
from simulators.meters.ports import TcpPort
from storage.registry import import_registry

from .collectors_support import Running, endpoint_of, running, wait_until
from .delivery_support import rows
from .test_collectors_bridge import write_registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

_TOTAL = "1.8.0"
_DEAD = 1  # this meter of the first bus never answers
_CLOCK_OFF = timedelta(minutes=10)


def _local() -> datetime:
    return datetime.now(timezone(timedelta(hours=8)))


@dataclass
class Building:
    """Two buses of four meters; a total counts up by 0.01 kWh with each request that its bus hears."""

    first: int = field(default_factory=lambda: secrets.randbelow(10**9))
    buses: list[TcpPort] = field(default_factory=list)

    def __post_init__(self) -> None:
        for b in range(2):
            clock = MeterClock(_local, _CLOCK_OFF if b else timedelta())
            totals = [{_TOTAL: 100.0} for _ in range(4)]
            names = self.names[b * 4 : b * 4 + 4]
            meters = [Dlt645Meter(n, t.copy, clock) for n, t in zip(names, totals, strict=True)]
            meters[0].silent = b + 1 == _DEAD
            self.buses.append(TcpPort(HalfDuplexLine(self._counting(meters, totals))))

    @staticmethod
    def _counting(meters: list[Dlt645Meter], totals: list[dict[str, float]]) -> Any:
        bus = Dlt645Bus(meters)

        def answer(received: bytes) -> tuple[bytes, bytes]:
            for values in totals:
                values[_TOTAL] = round(values[_TOTAL] + 0.01, 2)
            return bus(received)

        return answer

    @property
    def names(self) -> list[str]:
        return [f"645{self.first + n:09}" for n in range(8)]

    def config(self) -> str:
        lines: list[str] = []
        for b, bus in enumerate(self.buses):
            lines += [
                "[[bus]]",
                f'name = "bus-{b + 1}"',
                'protocol = "dlt645"',
                f'tcp = "127.0.0.1:{bus.port}"',
            ]
            lines += ["interval_s = 1", "timeout_s = 0.2", "retries = 1"]
            for name in self.names[b * 4 : b * 4 + 4]:
                lines += ["[[bus.meter]]", f'meter = "{name}"']
        return "\n".join(lines) + "\n"


@dataclass
class Site:
    """A building, its edge's settings and what the platform knows of it."""

    settings: Settings
    gateway: str
    building: Building
    environment: dict[str, str]

    @property
    def outbox(self) -> Path:
        return Path(self.environment["NENGLIU_EDGE_OUTBOX"])

    def state(self) -> OutboxState:
        return outbox_state(self.outbox)

    def stored(self) -> list[tuple[str, float]]:
        """(meter, value) of every row of this building, oldest first."""
        return rows(
            self.settings,
            "select meter, value from api.reading where meter = any(%s) order by meter, ts",
            self.building.names,
        )

    @contextmanager
    def edge(self) -> Iterator[Running]:
        with running(self.settings, "edge", **self.environment) as process:
            yield process

    def command(self, *words: str) -> str:
        """What `nengliu edge WORDS` prints."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")} | self.environment
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli.app", "edge", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Iterator[Site]:
    building = Building()
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"edge-{secrets.token_hex(4)}"])
    name = credential.gateway
    (tmp_path / "registry").mkdir()
    write_registry(tmp_path / "registry", name, building.names)
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, tmp_path / "registry", "test")
    (tmp_path / "edge.toml").write_text(building.config(), encoding="utf-8")
    environment = {
        "NENGLIU_STATE_DIR": str(settings.state_dir.absolute()),
        "NENGLIU_EDGE_CONFIG": str(tmp_path / "edge.toml"),
        "NENGLIU_EDGE_OUTBOX": str(tmp_path / "outbox.sqlite"),
        "NENGLIU_EDGE_MQTT_URL": f"mqtt://{name}:{credential.password}@{endpoint.host}:{endpoint.port}",
        "NENGLIU_EDGE_RESERVE_MB": "1",
        "NENGLIU_EDGE_STATUS_EVERY": "1",
        "NENGLIU_LANGUAGE": "en",
    }
    with ExitStack() as stack:
        for bus in building.buses:
            bus.start()
            stack.callback(bus.stop)
        yield Site(settings, name, building, environment)
    remove_gateways(endpoint, [name])


def test_an_edge_that_is_killed_again_and_again_loses_and_doubles_nothing(
    settings: Settings, site: Site
) -> None:
    with running(settings, "collect"), running(settings, "write"):
        with site.edge() as edge:
            for _ in range(3):
                seen = len(site.stored())
                wait_until(lambda seen=seen: len(site.stored()) > seen + 10, "more rows")  # type: ignore[misc]
                edge.kill()
                edge.start()
            wait_until(lambda: site.state().waiting == 0, "the outbox to be empty once")
        for bus in site.building.buses:
            bus.stop()  # first, so that nothing new is put while the last edge empties the outbox
        with site.edge():
            wait_until(lambda: site.state().waiting == 0, "what was left to go")
    put = site.state().last_seq
    stored = site.stored()
    assert len(stored) == put > 30
    assert len({meter for meter, _ in stored}) == 7
    assert stored == sorted(set(stored)), "each value once, and every meter's in the order it counted"
    ledger = "select sum(stored)::int, sum(missing)::int from api.ingest_ledger where gateway = %s"
    assert rows(settings, ledger, site.gateway) == [(put, 0)]


def test_its_status_names_the_silent_meter_and_the_wrong_clocks(site: Site) -> None:
    dead, wrong = site.building.names[0], set(site.building.names[4:])
    with site.edge():
        health = wait_until(lambda: _health(site, wrong), "the health of every meter")
    assert [m["meter"] for m in health if m["failures_in_a_row"]] == [dead]
    assert all(abs(m["clock_offset_s"] - 600) < 10 for m in health if m["meter"] in wrong)
    shown = site.command("--status")
    assert dead in shown
    assert "silent" in shown
    assert str(site.outbox) in shown
    assert shown.count("answers") == 7


def _health(site: Site, clocks: set[str]) -> Any:
    """How the meters answer, once the clocks of `clocks` are known."""
    health = json.loads(site.command("--status", "--json"))["health"]
    known = {m["meter"] for m in health["meters"] if m["clock_offset_s"] is not None} if health else set()
    return health["meters"] if clocks <= known else None


def test_a_configuration_is_checked_without_starting_anything(site: Site) -> None:
    told = json.loads(site.command("--check", "--json"))
    assert told["gateway"] == site.gateway
    assert [len(bus["meters"]) for bus in told["buses"]] == [4, 4]
    assert not site.outbox.exists()
