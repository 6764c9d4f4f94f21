"""Wires a replay: shipped or given data, the gateways' credentials, the registry that describes the meters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from deploy.clients import connect_database, mqtt_connection
from deploy.gateways import add_gateways as let_publish
from deploy.settings import Settings
from metering.errors import InputFileError, SettingError
from simulators.consumption import Consumption, read_folder
from simulators.mqtt import GatewayConnection
from simulators.registers import RegisterSeries, read_register
from simulators.replay import ReplayOptions, ReplaySource, replay
from simulators.replay_registry import ReplayMeter, plan_meters, write_registry
from simulators.sending import SendProgress, SendResult
from storage.registry import ImportResult
from storage.registry import import_registry as storage_import


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What will be replayed: one meter a building, in step with its series of readings."""

    buildings: Sequence[Consumption]
    meters: Sequence[ReplayMeter]
    series: Sequence[RegisterSeries]
    timezone: str

    @property
    def readings(self) -> int:
        """How many readings there are in all."""
        return sum(len(s) for s in self.series)

    @property
    def gateways(self) -> list[str]:
        """The gateways that send them."""
        return [m.gateway for m in self.meters]

    def write_registry(self, folder: Path) -> None:
        """Write the registry's CSV files that describe these meters."""
        write_registry(folder, self.meters, self.buildings, self.timezone)


def shipped_data() -> Path:
    """The four real buildings that the project ships."""
    return Path(str(files("simulators"))) / "data" / "cambridge-estates"


def load_plan(
    data: Path, timezone: str, from_day: date | None = None, to_day: date | None = None
) -> ReplayPlan:
    """Read the consumption under `data`; readings from the start of `from_day` up to the start of `to_day`, local.

    Raises InputFileError for a row that does not parse, or where no reading is left.
    """
    buildings = read_folder(data)
    meters = plan_meters(data, buildings)
    bounds = [_midnight_us(day, timezone) for day in (from_day, to_day)]
    series = [
        read_register(b, m.face, timezone).between(*bounds) for b, m in zip(buildings, meters, strict=True)
    ]
    if not any(len(s) for s in series):
        raise InputFileError([f"{data}: no hour from {from_day or 'the start'} to {to_day or 'the end'}"])
    return ReplayPlan(buildings, meters, series, timezone)


def import_registry(settings: Settings, plan: ReplayPlan) -> ImportResult:
    """Make the meters of `plan` known to the platform."""
    with TemporaryDirectory() as folder, connect_database(settings, "pipeline") as connection:
        plan.write_registry(Path(folder))
        return storage_import(connection, Path(folder), "simulate replay")


def add_gateways(settings: Settings, gateways: Sequence[str]) -> dict[str, GatewayConnection]:
    """Make the gateways known to the broker, each with a fresh password, and return how they connect."""
    made = let_publish(mqtt_connection(settings, "admin"), gateways, settings.mqtt_filters, new_password=True)
    return connections(settings, {c.gateway: c.password for c in made})


def connections(settings: Settings, passwords: Mapping[str, str]) -> dict[str, GatewayConnection]:
    """How each gateway connects, by its password."""
    broker = mqtt_connection(settings, "bridge")
    return {
        g: GatewayConnection(broker.host, broker.port, g, password, tls=broker.tls)
        for g, password in passwords.items()
    }


def read_credentials(path: Path, gateways: Sequence[str]) -> dict[str, str]:
    """Passwords of `gateways` from a file as `gateway add --json` prints it."""
    try:
        found = {row["gateway"]: row["password"] for row in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputFileError(
            [f'{path}: wants [{{"gateway": …, "password": …}}], as `gateway add --json` prints it: {e}']
        ) from e
    if missing := [g for g in gateways if g not in found]:
        raise InputFileError([f"{path}: no password of {', '.join(missing)}"])
    return {g: found[g] for g in gateways}


def run_replay(
    plan: ReplayPlan,
    connected: Mapping[str, GatewayConnection],
    options: ReplayOptions,
    on_progress: Callable[[SendProgress], None],
) -> SendResult:
    """Replay `plan`; returns when everything is acknowledged for good."""
    sources = [
        ReplaySource(m.gateway, m.meter, s, connected[m.gateway])
        for m, s in zip(plan.meters, plan.series, strict=True)
        if len(s)
    ]
    return replay(sources, options, on_progress)


def parse_day(text: str | None, option: str) -> date | None:
    """A local day given on the command line, as 2014-03-01. Raises SettingError naming the option."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise SettingError(f"{option} {text!r}: want a day like 2014-03-01") from e


def parse_speed(text: str) -> float | None:
    """Simulated seconds a second, or None for max."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise SettingError(f"--speed {text!r}: want simulated seconds a second, such as 3600, or max")
    return speed


def check_timezone(name: str) -> str:
    """`name` if it is a time zone. Raises SettingError."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as e:
        raise SettingError(f"--csv-timezone {name!r}: want an IANA name such as Asia/Shanghai") from e
    return name


def _midnight_us(day: date | None, timezone: str) -> int | None:
    if day is None:
        return None
    return int(datetime.combine(day, time(), ZoneInfo(timezone)).timestamp()) * 1_000_000
