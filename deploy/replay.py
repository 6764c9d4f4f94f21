"""Wires a replay: shipped or given data as the source of a run, and how gateways connect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from deploy.clients import mqtt_connection
from deploy.gateways import add_gateways as let_publish
from deploy.settings import Settings
from deploy.simulation import Simulation, prepare
from metering.errors import InputFileError, SettingError
from simulators.consumption import Consumption, read_folder
from simulators.mqtt import GatewayConnection
from simulators.registers import RegisterSeries, read_register
from simulators.registry_rows import RegistryRows
from simulators.replay_registry import ReplayMeter, plan_meters, registry_rows
from simulators.replay_source import ReplaySource
from simulators.run import SentAt
from simulators.scenario.files import NO_SCENARIO, Scenario


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What will be replayed: one meter a building, in step with its series of readings. bounds: of the readings taken,
    in microseconds since the epoch, both included, None: all.
    """

    buildings: Sequence[Consumption]
    meters: Sequence[ReplayMeter]
    series: Sequence[RegisterSeries]
    timezone: str
    bounds: tuple[int | None, int | None]

    @property
    def readings(self) -> int:
        """How many readings there are in all."""
        return sum(len(s) for s in self.series)

    @property
    def gateways(self) -> list[str]:
        """The gateways that send them."""
        return [m.gateway for m in self.meters]

    @property
    def registry(self) -> RegistryRows:
        """The registry that describes these meters."""
        return registry_rows(self.meters, self.buildings, self.timezone)


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
    bounds = _midnight_us(from_day, timezone), _midnight_us(to_day, timezone)
    series = [
        read_register(b, m.face, timezone).between(*bounds) for b, m in zip(buildings, meters, strict=True)
    ]
    if not any(len(s) for s in series):
        raise InputFileError([f"{data}: no hour from {from_day or 'the start'} to {to_day or 'the end'}"])
    return ReplayPlan(buildings, meters, series, timezone, bounds)


def prepare_replay(
    plan: ReplayPlan,
    zone: str,
    scenario: Scenario = NO_SCENARIO,
    seed: int = 1,
    per_message: int = 24,
) -> Simulation:
    """Make the run ready. zone: of the times that messages carry, and of the scenario's."""
    source = ReplaySource(plan.meters, plan.buildings, plan.timezone, zone, plan.bounds)

    def registry(points: Sequence[object]) -> RegistryRows:  # noqa: ARG001  (its registry holds no start values)
        return plan.registry

    digest = hashlib.blake2b(digest_size=8)
    for series in plan.series:
        digest.update(series.ts_us.tobytes() + series.value.tobytes())
    return prepare(
        source,
        scenario,
        seed,
        registry,
        readings=plan.readings,
        identity=[digest.hexdigest(), [asdict(m) for m in plan.meters], per_message, plan.timezone],
        facts={"data": "replay"},
        sent_at=SentAt.NOW,
        per_message=per_message,
    )


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
