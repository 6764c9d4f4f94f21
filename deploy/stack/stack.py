"""Brings the local stack up and down: programs, servers, database, migrations, topics, services; waits for each."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from collectors.tls_errors import explained
from deploy.clients import connect_database, mqtt_connection
from deploy.kafka_topics import prepare_topics
from deploy.routes import routes_of
from deploy.settings import Settings
from deploy.stack.certificates import decide_tls
from deploy.stack.errors import StackError
from deploy.stack.kafka import Kafka
from deploy.stack.leftovers import end_leftovers
from deploy.stack.mosquitto import Mosquitto
from deploy.stack.mqtt_probe import publish_once
from deploy.stack.ports import choose_ports
from deploy.stack.postgres import Postgres
from deploy.stack.programs import ensure_programs
from deploy.stack.prometheus import Prometheus
from deploy.stack.services import SERVICES, Service
from deploy.stack.site import NotReadyError, Server, Site
from deploy.stack.state import StackState
from deploy.stack.steps import Steps
from deploy.stack.supervisor import ProcessState, Supervisor
from metering.errors import DependencyAwayError
from storage.factors import load_factors
from storage.migrate import migrate

_READY_WITHIN_S = 120.0
_FAILING_FOR_S = 10.0
#: A server may die once while it starts (after a crash its predecessor's memory is still there for a moment).
_MOST_STARTS = 5
_NEEDED_BYTES = 500_000_000


def local_servers(settings: Settings) -> list[Server]:
    """The servers that run here: all but those that a setting says exist elsewhere."""
    servers: list[Server] = []
    if settings.database_url is None:
        servers.append(Postgres())
    if settings.mqtt_url is None:
        servers.append(Mosquitto())
    if settings.kafka_bootstrap is None:
        servers.append(Kafka())
    return [*servers, Prometheus()]


def up(settings: Settings, steps: Steps, *, servers_only: bool = False, tls: bool | None = None) -> Site:
    """Make servers and services run and be ready. Idempotent. Raises StackError saying what to do, and SettingError for
    formats and filters that no bridge could start with.

    tls: whether Mosquitto is to speak TLS from now on; None leaves that as it is.
    """
    if not servers_only:
        routes_of(settings)
    state = StackState.of(settings)
    programs = ensure_programs(settings, steps)
    _require_space(state)
    state.prepare()
    with stack_lock(state):
        supervisor = Supervisor(state)
        known = supervisor.processes()
        if known is None:
            end_leftovers(state.folder)
        running = [p.name for p in (known or {}).values() if p.pid]
        site = Site(settings, state, choose_ports(settings, state.ports(), running))
        state.keep_ports(dict(site.ports))
        servers = local_servers(settings)
        decide_tls(settings, state, tls)
        with steps.step("准备配置", "Prepare the configuration"):
            processes = [server.prepare(site, programs) for server in servers]
            supervisor.apply([*processes, *(Service(name).process(site) for name in SERVICES)])
        for server in servers:
            supervisor.start(server.name)
        _ready(site, supervisor, servers, steps)
        if not servers_only:
            _start_services(site, supervisor, steps)
    return site


def _ready(site: Site, supervisor: Supervisor, servers: Sequence[Server], steps: Steps) -> None:
    for server in servers:
        with steps.step(f"{server.title} 就绪", f"{server.title} ready"):
            wait_ready(site, supervisor, server)
        if isinstance(server, Postgres):
            server.ensure_database(site)
        if isinstance(server, Kafka):
            server.ensure_users(site)
    _check_existing(site.settings, steps)
    with steps.step("数据库迁移", "Migrations") as step:
        applied = migrate_database(site.settings)
        step.note(", ".join(applied))
    with steps.step("Kafka 主题", "Kafka topics"):
        prepare_topics(site.settings)


def migrate_database(settings: Settings) -> list[str]:
    """Bring the database to the newest schema; names of the migrations that were applied."""
    with connect_database(settings, "owner", autocommit=True) as connection:
        applied = migrate(connection, settings.node, settings.timezone)
        load_factors(connection)
        return applied


def _start_services(site: Site, supervisor: Supervisor, steps: Steps) -> None:
    for name in SERVICES:
        supervisor.start(name)
    for name in SERVICES:
        with steps.step(f"服务 {name} 就绪", f"Service {name} ready"):
            wait_ready(site, supervisor, Service(name))


def _check_existing(settings: Settings, steps: Steps) -> None:
    """Servers that exist elsewhere are not started but must answer."""
    if settings.database_url is not None:
        with steps.step("检查现有数据库", "Check the existing database"):
            connect_database(settings, "pipeline").close()
    if settings.mqtt_url is not None:
        endpoint = mqtt_connection(settings, "bridge")
        with steps.step("检查现有 MQTT 服务器", "Check the existing MQTT broker"):
            try:
                publish_once(endpoint, None)
            except (OSError, ValueError) as e:
                raise DependencyAwayError(
                    f"the broker at {endpoint.host}:{endpoint.port} (NENGLIU_MQTT_URL) does not let us in: "
                    f"{explained(e, 'NENGLIU_MQTT')}"
                ) from e


def wait_ready(
    site: Site, supervisor: Supervisor, server: Server | Service, within_s: float = _READY_WITHIN_S
) -> None:
    """Wait until the supervisor says RUNNING and a message goes through."""
    patience = _Patience(server.name, site.state, time.monotonic() + within_s)
    while True:
        process = (supervisor.processes() or {}).get(server.name)
        patience.judge(process)
        if process is not None and process.state in ("RUNNING", "STARTING"):
            try:
                server.probe(site)
            except NotReadyError as e:
                patience.last = str(e)
            else:
                if process.state == "RUNNING":
                    return
        time.sleep(0.05)


@dataclass(slots=True)
class _Patience:
    """When waiting for a process becomes pointless."""

    name: str
    state: StackState
    deadline: float
    last: str = ""
    failing_since: float | None = None
    pids: set[int] = field(default_factory=set)

    def judge(self, process: ProcessState | None) -> None:
        """Raise StackError where it is: too late, failing for long, or dying again and again after it started."""
        now = time.monotonic()
        if process is not None and process.pid:
            self.pids.add(process.pid)
        failing = process is None or process.state in ("BACKOFF", "EXITED", "FATAL")
        if not failing and process is not None and process.state == "RUNNING":
            self.failing_since = None
        elif failing and self.failing_since is None:
            self.failing_since = now
        if now > self.deadline or (
            self.failing_since is not None and now > self.failing_since + _FAILING_FOR_S
        ):
            said = log_tail(self.state.logs / f"{self.name}.log", 15)
            word = process.state if process else "unknown to the supervisor"
            raise StackError(
                f"{self.name} does not become ready ({word}). {self.last}\n"
                f"Its log (`nengliu logs {self.name}`) ends with:\n{said}"
            )


def log_tail(path: Path, lines: int) -> str:
    """The last lines of a log file."""
    try:
        with path.open("rb") as f:
            f.seek(max(0, path.stat().st_size - 32_768))
            return "\n".join(f.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(nothing)"


def down(settings: Settings, steps: Steps, *, purge: bool = False) -> None:
    """Stop everything; with `purge` remove the state directory too."""
    state = StackState.of(settings)
    if not state.folder.is_dir():
        steps.say(f"{state.folder} 中没有本地栈", f"there is no local stack in {state.folder}")
        return
    with stack_lock(state):
        with steps.step("停止", "Stop"):
            pid = Supervisor(state).shutdown()
            _wait_gone(pid)
            end_leftovers(state.folder)
            state.socket.unlink(missing_ok=True)
            shutil.rmtree(state.short_folder, ignore_errors=True)
        if purge:
            with steps.step(f"删除 {state.folder}", f"Remove {state.folder}"):
                _purge(state)


def _wait_gone(pid: int | None) -> None:
    while pid is not None and Path(f"/proc/{pid}").exists():
        time.sleep(0.05)


def _purge(state: StackState) -> None:
    if not _is_a_stacks(state):
        raise StackError(
            f"{state.folder} (NENGLIU_STATE_DIR) does not look like a local stack's: nothing was removed"
        )
    here = Path.cwd()
    if state.folder.resolve() in (here, *here.parents, Path.home()):
        raise StackError(
            f"{state.folder} (NENGLIU_STATE_DIR) holds the current or home folder: nothing was removed"
        )
    shutil.rmtree(state.folder)


def _is_a_stacks(state: StackState) -> bool:
    """Whether the folder is a stack's: it keeps ports, or holds no more than what a start makes before it has any."""
    if (state.folder / "ports.json").is_file():
        return True
    found = {p.name for p in state.folder.iterdir()} - {"lock"}
    return not found or found == {state.logs.name, state.run.name, "secrets"}


@contextmanager
def stack_lock(state: StackState) -> Iterator[None]:
    """One `up` or `down` at a time for a state directory; another waits."""
    path = state.folder / "lock"
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                    yield
                    return
        state.prepare()


def _require_space(state: StackState) -> None:
    place = next(p for p in [state.folder, *state.folder.parents] if p.exists())
    free = shutil.disk_usage(place).free
    if free < _NEEDED_BYTES:
        raise StackError(
            f"{place} has {free / 1e6:.0f} MB free, the local stack needs {_NEEDED_BYTES / 1e6:.0f} MB: free some, "
            "or set NENGLIU_STATE_DIR to a folder on another disk"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise StackError(f"{place} may not be written: set NENGLIU_STATE_DIR to a folder of your own")
