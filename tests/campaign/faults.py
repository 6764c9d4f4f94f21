"""The faults: what each does to processes, links, disks and clocks, for how long, and when it is over.

A fault is a plan in time, made of its seed; two of them make a pair, which overlap.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from .child import Child, StuckError
from .clocks import Clock
from .fleet import Services
from .links import Slowness
from .rig import LINKS, Rig

_SERVERS = ("mosquitto", "kafka", "postgres")
_OURS = ("bridge", "writer", "gateway")


@dataclass(slots=True)
class Scene:
    """What faults act on in one run."""

    rig: Rig
    services: Services
    gateways: list[Child]
    gateway_clock: Clock

    def processes(self, kind: str) -> list[Child]:
        """The processes of one of _OURS."""
        return self.gateways if kind == "gateway" else self.services.all[kind]

    def clock(self, kind: str) -> Clock:
        """The clock of one of _OURS."""
        return self.gateway_clock if kind == "gateway" else self.services.clocks[kind]

    def pid(self, server: str) -> int | None:
        """Process id of a server, None while it does not run."""
        processes = self.rig.supervisor.processes() or {}
        return processes[server].pid


@dataclass(frozen=True, slots=True)
class Act:
    """Something done at a time, in seconds after the fault began. A deed may tell when it stopped doing harm, on the
    monotonic clock; else that is when it began.
    """

    at_s: float
    do: Callable[[Scene], float | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """kind: its name. acts: in order of time. over_s: when nothing is done to the system any more."""

    kind: str
    acts: tuple[Act, ...]
    over_s: float
    needs: frozenset[str] = field(default=frozenset())


Maker = Callable[[random.Random], tuple[list[Act], set[str]]]


def _victims(dice: random.Random) -> Callable[[list[Child]], list[Child]]:
    """All of a kind of process, or one of them."""
    which = dice.choice([None, 0, 1])
    return lambda children: children if which is None else [children[which]]


def _kill_ours(kind: str) -> Maker:
    def make(dice: random.Random) -> tuple[list[Act], set[str]]:
        of = _victims(dice)

        def kill(scene: Scene) -> None:
            victims = of(scene.processes(kind))
            for child in victims:
                child.kill()
            for child in victims:
                child.start()

        return [Act(at, kill) for at in _times(dice)], set()

    return make


def _times(dice: random.Random) -> list[float]:
    """One to three times, up to four seconds apart."""
    times, at = [], 0.0
    for _ in range(dice.randint(1, 3)):
        times.append(at)
        at += dice.uniform(0.5, 4.0)
    return times


def _kill_server(server: str) -> Maker:
    def kill(scene: Scene) -> None:
        if pid := scene.pid(server):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    return lambda dice: ([Act(at, kill) for at in _times(dice)], set())


def _stop_ours(kind: str) -> Maker:
    """Stopped for longer than the writers' session time-out, which is 6 s."""

    def make(dice: random.Random) -> tuple[list[Act], set[str]]:
        of, hold = _victims(dice), dice.uniform(7.0, 9.0)

        def send(number: signal.Signals) -> Callable[[Scene], None]:
            return lambda scene: [child.signal(number) for child in of(scene.processes(kind))] and None

        return [Act(0, send(signal.SIGSTOP)), Act(hold, send(signal.SIGCONT))], set()

    return make


def _stop_server(server: str) -> Maker:
    def make(dice: random.Random) -> tuple[list[Act], set[str]]:
        stopped: list[int] = []

        def stop(scene: Scene) -> None:
            if pid := scene.pid(server):
                stopped.extend([pid, *_descendants(pid)])
                for one in stopped:
                    _send(one, signal.SIGSTOP)

        def go_on(scene: Scene) -> None:
            for one in reversed(stopped):
                _send(one, signal.SIGCONT)

        return [Act(0, stop), Act(dice.uniform(4.0, 9.0), go_on)], set()

    return make


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _descendants(pid: int) -> Iterator[int]:
    """Children of a server's first process: each connection of PostgreSQL is served by one."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(OSError), open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
            for child in map(int, f.read().split()):
                yield child
                yield from _descendants(child)


def _restart_ours(kind: str) -> Maker:
    def make(dice: random.Random) -> tuple[list[Act], set[str]]:
        of = _victims(dice)

        def restart(scene: Scene) -> float:
            over = 0.0
            for child in of(scene.processes(kind)):
                code = child.stop()
                if code != 0:
                    raise StuckError(f"{child.name} ended with {code} when it was asked to stop")
                over = time.monotonic()
                child.start()
            return over

        return [Act(0, restart)], set()

    return make


def _restart_server(server: str) -> Maker:
    def restart(scene: Scene) -> float:
        scene.rig.supervisor.stop(server)
        over = time.monotonic()
        scene.rig.supervisor.start(server)
        return over

    return lambda dice: ([Act(0, restart)], set())


def _network(link: str, begin: Callable[[Scene, random.Random], None]) -> Maker:
    def make(dice: random.Random) -> tuple[list[Act], set[str]]:
        hold = dice.uniform(3.0, 9.0)
        return [
            Act(0, lambda scene: begin(scene, dice)),
            Act(hold, lambda scene: scene.rig.link(link).mend()),
        ], set()

    return make


def _cut(link: str) -> Maker:
    return _network(link, lambda scene, dice: scene.rig.link(link).cut())


def _black_out(link: str) -> Maker:
    return _network(link, lambda scene, dice: scene.rig.link(link).black_out())


def _half_open(link: str) -> Maker:
    return _network(link, lambda scene, dice: scene.rig.link(link).forget())


def _delay(link: str) -> Maker:
    def begin(scene: Scene, dice: random.Random) -> None:
        slowness = Slowness(dice.uniform(0.1, 0.3), dice.uniform(0.0, 0.2), dice.uniform(50_000, 200_000))
        scene.rig.link(link).slow_down(slowness)

    return _network(link, begin)


def _disk_full(name: str) -> Maker:
    def make(dice: random.Random) -> tuple[list[Act], set[str]]:
        def disk(scene: Scene) -> object:
            return scene.rig.database_disk if name == "database" else scene.rig.outbox_disk

        return [
            Act(0, lambda scene: disk(scene).fill()),  # type: ignore[attr-defined]
            Act(dice.uniform(3.0, 8.0), lambda scene: disk(scene).empty()),  # type: ignore[attr-defined]
        ], {"disks"}

    return make


def _clock(kind: str) -> Maker:
    """Two jumps, of seconds to months, either way; then the right time again."""

    def make(dice: random.Random) -> tuple[list[Act], set[str]]:
        jumps = [dice.choice([-1, 1]) * dice.choice([5, 400, 4000, 90_000, 8_000_000]) for _ in range(2)]
        acts = [
            Act(2.0 * n, lambda scene, offset=offset: scene.clock(kind).set(offset))
            for n, offset in enumerate([*jumps, 0])
        ]
        return acts, {"clocks"}

    return make


KINDS: Mapping[str, Maker] = {
    **{f"kill9_{kind}": _kill_ours(kind) for kind in _OURS},
    **{f"kill9_{server}": _kill_server(server) for server in _SERVERS},
    **{f"stop_{kind}": _stop_ours(kind) for kind in _OURS},
    **{f"stop_{server}": _stop_server(server) for server in _SERVERS},
    **{f"restart_{kind}": _restart_ours(kind) for kind in _OURS},
    **{f"restart_{server}": _restart_server(server) for server in _SERVERS},
    **{f"cut_{link}": _cut(link) for link in LINKS},
    **{f"delay_{link}": _delay(link) for link in LINKS},
    **{f"blackout_{link}": _black_out(link) for link in LINKS},
    **{f"half_open_{link}": _half_open(link) for link in LINKS},
    "disk_full_outbox": _disk_full("outbox"),
    "disk_full_database": _disk_full("database"),
    **{f"clock_{kind}": _clock(kind) for kind in _OURS},
}

#: Faults that overlap: the second begins while the first lasts.
PAIRS = (
    ("kill9_kafka", "kill9_writer"),
    ("kill9_kafka", "kill9_bridge"),
    ("kill9_postgres", "kill9_writer"),
    ("kill9_mosquitto", "kill9_bridge"),
    ("kill9_mosquitto", "kill9_gateway"),
    ("kill9_postgres", "kill9_kafka"),
    ("stop_writer", "kill9_postgres"),
    ("stop_kafka", "kill9_bridge"),
    ("stop_bridge", "kill9_mosquitto"),
    ("stop_writer", "restart_writer"),
    ("cut_bridge-mqtt", "kill9_kafka"),
    ("cut_bridge-kafka", "kill9_mosquitto"),
    ("half_open_bridge-kafka", "cut_bridge-mqtt"),
    ("half_open_writer-postgres", "kill9_writer"),
    ("blackout_writer-kafka", "stop_postgres"),
    ("delay_writer-postgres", "kill9_kafka"),
    ("delay_gateway-mqtt", "kill9_bridge"),
    ("disk_full_database", "kill9_writer"),
    ("disk_full_outbox", "cut_gateway-mqtt"),
    ("clock_bridge", "kill9_writer"),
)


def make_fault(name: str, seed: int) -> Fault:
    """The fault of a name in KINDS, or of a pair "first+second", for a seed: always the same."""
    parts, at, acts, needs = name.split("+"), 0.0, [], set()
    for part in parts:
        dice = random.Random(f"{part}/{seed}/{parts.index(part)}")
        if acts:
            at = dice.uniform(0.5, 2.0)
        own, wants = KINDS[part](dice)
        acts += [Act(at + act.at_s, act.do) for act in own]
        needs |= wants
    acts.sort(key=lambda act: act.at_s)
    return Fault(name, tuple(acts), acts[-1].at_s, frozenset(needs))


def carry_out(fault: Fault, scene: Scene) -> float:
    """Do all of it; when it was over, on the monotonic clock."""
    began = time.monotonic()
    over = began
    for act in fault.acts:
        while (left := began + act.at_s - time.monotonic()) > 0:
            time.sleep(left)
        over = time.monotonic()
        over = act.do(scene) or over
    return over
