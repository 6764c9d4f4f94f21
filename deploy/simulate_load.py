"""Wires `simulate load`: messages of simulated gateways through the running platform, and how long each takes.

Latency is from publish to the durable acknowledgement, which the platform sends after the commit: an upper bound of the
time to the committed row, and what a gateway's outbox sees of it. That the rows are there is read from `api` then.
The load's sites, meters and gateways are its own and named so; at its end the meters are taken back (void) and the
gateways lose their rights. Their readings and what the ledger says of them stay, as every reading does.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from deploy.clients import MqttEndpoint, connect_database, mqtt_connection
from deploy.gateways import Credential, add_gateways, gateways_named, lend_rights, remove_gateways
from deploy.interrupt import on_interrupt
from deploy.load.registry import Installed, write_registry
from deploy.load.rows import Load
from deploy.load.start import LoadError, LoadProcess, Publishing, load_process
from deploy.rate_bar import RateBar
from deploy.settings import Settings
from deploy.sql import query
from deploy.stack.status import read_status
from deploy.stack.steps import Steps
from metering.errors import DependencyAwayError, SettingError
from metering.instants import from_us
from metering.simulated import SIMULATED
from storage import locks
from storage.registry import import_registry

PREFIX = f"{SIMULATED}load-"
_TOPIC = "nl/v1/{gateway}/readings"
#: Messages that a gateway may have sent and the broker not acknowledged.
_WINDOW = 200
#: Between two readings of a meter: more of them fit into the time that passes than can be sent in it.
_INTERVAL_US = 100
#: Most messages a second that there is room for where as many as possible are sent for a time.
_MOST_PER_S = 100_000

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to send. rate: messages a second, 0: as fast as they are taken; messages in all, or else for how many
    seconds; connections: that the gateways share; per_message: readings of each; patience_s: without any answer.
    """

    rate: float = 0.0
    messages: int | None = None
    seconds: float | None = None
    gateways: int = 10
    connections: int = 10
    per_message: int = 1
    among_real: bool = False
    patience_s: float = 60.0

    @property
    def per_gateway(self) -> int:
        """Messages of each gateway, at most."""
        if self.messages is not None:
            return -(-self.messages // self.gateways)
        return int((self.rate or _MOST_PER_S) * (self.seconds or 0.0) / self.gateways) + 1


@dataclass(frozen=True, slots=True)
class _Books:
    """Values in the ledger."""

    received: int
    stored: int
    repeated: int
    conflicting: int
    rejected: int

    def since(self, before: _Books) -> dict[str, int]:
        return {
            name: getattr(self, name) - getattr(before, name)
            for name in ("received", "stored", "repeated", "conflicting", "rejected")
        }


def load_options(
    rate: str,
    messages: int | None,
    seconds: float | None,
    gateways: int,
    connections: int | None,
    per_message: int,
    among_real: bool,
) -> LoadOptions:
    """The options as they were given. Raises SettingError."""
    if messages is not None and seconds is not None:
        raise SettingError("--messages and --seconds: give one of them")
    if connections is not None and connections > gateways:
        raise SettingError(f"--connections {connections}: more than the {gateways} gateways")
    return LoadOptions(
        parse_rate(rate),
        messages,
        seconds if messages is not None or seconds is not None else 10.0,
        gateways,
        connections or gateways,
        per_message,
        among_real,
    )


def parse_rate(text: str) -> float:
    """Messages a second, 0 for max. Raises SettingError."""
    if text == "max":
        return 0.0
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise SettingError(f"--rate {text!r}: want messages a second, such as 500, or max")
    return rate


def run_load(settings: Settings, options: LoadOptions, steps: Steps) -> dict[str, Any]:
    """Send the load and return the report; Ctrl-C ends it early, with what was sent so far.

    Raises LoadError, SettingError where real readings are there and nobody said that this does not matter, and
    DependencyAwayError.
    """
    tag = f"load-{secrets.token_hex(3)}"
    names = [f"{PREFIX}{g:04d}" for g in range(options.gateways)]
    load = Load(
        tag,
        options.gateways,
        options.per_gateway,
        options.per_message,
        first_us=time.time_ns() // 1000,
        interval_us=_INTERVAL_US,
        meter_prefix=PREFIX,
    )
    with _alone(settings), connect_database(settings, "read", autocommit=True) as api, ExitStack() as made:
        _require_services(settings)
        _require_consent(api, options)
        with steps.step("登记模拟网关与仪表", "Add the simulated gateways and meters"):
            made.enter_context(_meters(settings, load, names))
            credentials = made.enter_context(_gateways(settings, names, options.connections))
        before = _books(api)
        told, stopped = _sent(settings, options, credentials, load, steps)
        books = _books(api).since(before)
        since = {"prefix": PREFIX, "from_ts": from_us(load.first_us)}
        rows = api.execute(query("load_rows"), since).fetchone()
        with steps.step("撤销模拟网关与仪表", "Take the simulated gateways and meters back"):
            made.close()
        return _report(options, told, books, rows[0] if rows else 0, stopped)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """The one load on this platform: all share the names of their gateways."""
    with connect_database(settings, "pipeline", autocommit=True) as own:
        row = own.execute("select pg_try_advisory_lock(%s)", (locks.SIMULATED_LOAD,)).fetchone()
        if row != (True,):
            raise LoadError("another `simulate load` is running on this platform: wait for its end")
        yield


def _require_services(settings: Settings) -> None:
    """Raises DependencyAwayError where the local stack's bridge or writer does not run."""
    if settings.mqtt_url is not None or settings.database_url is not None:
        return
    away = [
        line.name
        for line in read_status(settings).services
        if line.name in ("bridge", "writer") and line.state != "running"
    ]
    if away:
        raise DependencyAwayError(f"{' and '.join(away)} not running: run `nengliu up`")


def _require_consent(api: Connection, options: LoadOptions) -> None:
    row = api.execute(
        "select exists (select from api.ingest_ledger where not starts_with(gateway, %s))", (SIMULATED,)
    ).fetchone()
    if row == (True,) and not options.among_real:
        raise SettingError(
            "this platform holds real readings: the load's own would stay among them (their meters, sites and gateways "
            f"are named {PREFIX}…, and count nowhere once it is over); give --yes-simulated, or use a stack of its own "
            "(another NENGLIU_STATE_DIR and `nengliu up`)"
        )


@contextmanager
def _meters(settings: Settings, load: Load, names: Sequence[str]) -> Iterator[None]:
    """The load's meters in the registry while it runs; taken back afterwards, like those of a load that was killed."""
    begin = from_us(load.first_us).isoformat()
    _void(settings)
    _import(
        settings,
        [
            Installed(meter, name, "1.8.0", "json", since=begin, start_value="")
            for g, name in enumerate(names)
            for meter in load.all_meters(g)
        ],
    )
    try:
        yield
    finally:
        _void(settings)


def _void(settings: Settings) -> None:
    """Take back every meter of simulated loads: as if it had never been installed."""
    with connect_database(settings, "pipeline") as connection:
        rows = connection.execute(query("load_open"), {"prefix": PREFIX}).fetchall()
    if rows:
        _import(
            settings,
            [
                Installed(
                    meter,
                    gateway,
                    "1.8.0",
                    "json",
                    since=at.isoformat(),
                    start_value="",
                    removed=at.isoformat(),
                )
                for meter, gateway, at in rows
            ],
        )


def _import(settings: Settings, installed: Sequence[Installed]) -> None:
    with tempfile.TemporaryDirectory() as folder, connect_database(settings, "pipeline") as connection:
        write_registry(Path(folder), installed)
        import_registry(connection, Path(folder), "simulate load")


@contextmanager
def _gateways(settings: Settings, names: Sequence[str], connections: int) -> Iterator[list[Credential]]:
    """The load's gateways at the broker while it runs; where connections are few, the first ones speak for others."""
    admin = mqtt_connection(settings, "admin")
    _clear(admin)
    try:
        credentials = add_gateways(admin, names)
        lend_rights(admin, {names[c]: names[c + connections :: connections] for c in range(connections)})
        yield credentials
    finally:
        _clear(admin)


def _clear(admin: MqttEndpoint) -> None:
    """Remove the gateways of simulated loads: of this one, of one that was killed."""
    if there := gateways_named(admin, PREFIX):
        remove_gateways(admin, there)


def _sent(
    settings: Settings, options: LoadOptions, credentials: Sequence[Credential], load: Load, steps: Steps
) -> tuple[dict[str, Any], bool]:
    """The load process's report, and whether it was stopped."""
    publishing = Publishing(
        load,
        _WINDOW,
        options.rate,
        connections=options.connections,
        seconds=options.seconds,
        by_acks=True,
        patience_s=options.patience_s,
    )
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        process.say("stop")

    with (
        load_process(settings, credentials, _TOPIC, publishing) as process,
        on_interrupt(stop),
        RateBar(steps, "消息", "Messages") as bar,
    ):
        process.go()
        return _followed(process, bar, options), stopped


def _followed(process: LoadProcess, bar: RateBar, options: LoadOptions) -> dict[str, Any]:
    total = None if options.messages is None else options.per_gateway * options.gateways
    while "latency_s" not in (told := process.line()):
        waiting = told["sent"] - told["settled"]
        bar.draw(told["settled"], total, bar.steps.text(f"在途 {waiting:,}", f"{waiting:,} on their way"))
    return told


def _books(api: Connection) -> _Books:
    row = api.execute(query("load_books"), {"prefix": PREFIX}).fetchone()
    assert row is not None
    return _Books(*row)


def _report(
    options: LoadOptions, told: dict[str, Any], books: dict[str, int], rows: int, stopped: bool
) -> dict[str, Any]:
    seconds = told["durable"] - told["started"]
    readings = told["sent"] * options.per_message
    latency = told["latency_s"]
    return {
        "gateways": options.gateways,
        "connections": options.connections,
        "per_message": options.per_message,
        "rate": options.rate or "max",
        "stopped": stopped,
        "messages": told["sent"],
        "readings": readings,
        "publish_s": round(told["published"] - told["started"], 3),
        "seconds": round(seconds, 3),
        "messages_per_s": round(told["durable_messages"] / seconds, 1) if seconds else 0.0,
        "readings_per_s": round(told["durable_messages"] * options.per_message / seconds, 1)
        if seconds
        else 0.0,
        # Seconds from publish (from when it was due, at a rate) to the durable acknowledgement, sent after the commit.
        "publish_to_durable_ack_s": {
            name: latency[p] for name, p in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("max", "p100"))
        }
        if latency
        else {},
        "acknowledged": told["acknowledged"],
        "durable": told["durable_messages"],
        "rejected_messages": told["rejected"],
        "ledger": books,
        "rejected": books["rejected"],
        "rows": rows,
        "lost": readings - rows,
        "unanswered": told["sent"] - told["durable_messages"] - sum(told["rejected"].values()),
        "load_cpu_s": round(told["cpu_s"], 2),
    }
