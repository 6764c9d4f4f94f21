"""One run: data flows, a fault comes and goes, everything drains, and the books are checked."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psycopg

from collectors.edge.outbox import OutboxState, outbox_state
from deploy.clients import connect_database
from metering.errors import NengliuError

from .child import Child, StuckError
from .clocks import Clock
from .faults import Scene, carry_out, make_fault
from .fleet import Services, gateway_process, outbox_file, register
from .rig import Rig
from .truth import Plan
from .verdict import judge
from .watch import Watch

_GATEWAYS = 3
_INTERVAL_S = 0.12
#: Data flows for at least so long after a fault.
_AFTER_S = 3.0
_PATIENCE_S = 150.0
#: No service fills more, whatever it has been through.
_MOST_RSS_MB = 300.0


@dataclass(frozen=True, slots=True)
class Result:
    """A run as a line of the campaign's file. recovery_s: from the end of the fault to the first new committed row,
    every_recovery_s: to one of every gateway, drained_s: to the last outbox's being empty. rss_mb: resident memory of
    the services afterwards. problems: everything that was found wanting, empty if ok.
    """

    kind: str
    pair: bool
    seed: int
    readings: int
    messages: int
    lost: int
    doubled: int
    wrong: int
    missing: int
    rejected: int
    repeated: int
    recovery_s: float | None
    every_recovery_s: float | None
    drained_s: float
    duration_s: float
    rss_mb: dict[str, float]
    problems: tuple[str, ...]
    ok: bool


def wait_for(condition: Callable[[], object], what: str, within_s: float = _PATIENCE_S) -> None:
    """Wait for a condition. Raises StuckError."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise StuckError(f"still waiting for {what} after {within_s:.0f} s")
        time.sleep(0.1)


@dataclass(slots=True)
class Run:
    """What one run needs. readings: about how many values it has."""

    rig: Rig
    services: Services
    folder: Path
    kind: str
    seed: int
    readings: int

    def carry_out(self) -> Result:
        """The whole of it. A run that is stuck has a problem, and is not ok."""
        began = time.monotonic()
        fault = make_fault(self.kind, self.seed)
        before_s = random.Random(self.seed).uniform(0.5, 2.0)
        plans = self._plans(before_s + fault.over_s + _AFTER_S)
        credentials = register(self.rig, plans)
        clock = Clock(self.folder / "gateways.clock", self.rig, "clocks" in fault.needs)
        gateways = [gateway_process(self.rig, p, credentials[p.gateway], self.folder, clock) for p in plans]
        watch = Watch(self.rig.settings, [p.gateway for p in plans])
        scene = Scene(self.rig, self.services, gateways, clock)
        problems: list[str] = []
        over = drained = began
        try:
            for gateway in gateways:
                gateway.start()
            wait_for(watch.flowing, "the first rows of every gateway")
            time.sleep(before_s)
            over = carry_out(fault, scene)
            wait_for(lambda: self._drained(plans), "every outbox to be empty")
            drained = time.monotonic()
            wait_for(lambda: watch.recovery_s(over), "a row after the fault", 5)
        except (StuckError, NengliuError, psycopg.Error, OSError) as e:
            problems.append(f"{type(e).__name__}: {e}")
        finally:
            self._calm()
            watch.close()
            for gateway in gateways:
                problems += self._ended(gateway)
        rss_mb = {c.name: c.rss_mb() for c in self.services.children()}
        problems += [f"{name} does not run" for name, mb in rss_mb.items() if not mb]
        problems += [f"{name} fills {mb:.0f} MB" for name, mb in rss_mb.items() if mb > _MOST_RSS_MB]
        recoveries = (watch.recovery_s(over), watch.recovery_s(over, every=True))
        return self._result(plans, problems, recoveries, drained - over, began, rss_mb)

    def _plans(self, lasting_s: float) -> list[Plan]:
        steps = math.ceil((lasting_s + 2.0) / _INTERVAL_S)
        per_message = max(2, round(self.readings / (_GATEWAYS * steps * 0.8) / 2) * 2)
        name = f"c-{self.kind.replace('+', '.')}-{self.seed}"
        return [Plan(f"{name}-{n}", n, per_message, steps, _INTERVAL_S) for n in range(_GATEWAYS)]

    def _drained(self, plans: list[Plan]) -> bool:
        states = [(self._outbox(plan), plan) for plan in plans]
        return all(not state.waiting and state.last_seq == plan.steps for state, plan in states)

    def _outbox(self, plan: Plan) -> OutboxState:
        return outbox_state(outbox_file(self.rig, plan))

    def _calm(self) -> None:
        """Nothing may stay broken, also where the run was broken off."""
        for link in self.rig.network.links.values():
            link.mend()
            link.bury()
        for disk in (self.rig.database_disk, self.rig.outbox_disk):
            if disk is not None:
                disk.empty()

    def _ended(self, gateway: Child) -> list[str]:
        if not gateway.alive:
            return [f"gateway {gateway.name} had ended by itself"]
        code = gateway.stop()
        return [] if code == 0 else [f"gateway {gateway.name} ended with {code}"]

    def _result(
        self,
        plans: list[Plan],
        problems: list[str],
        recoveries: tuple[float | None, float | None],
        drained_s: float,
        began: float,
        rss_mb: dict[str, float],
    ) -> Result:
        taken = [replace(plan, steps=self._outbox(plan).last_seq) for plan in plans]
        with connect_database(self.rig.settings, "pipeline", autocommit=True) as connection:
            verdict = judge(connection, taken)
        with connect_database(self.rig.settings, "superuser", autocommit=True) as connection:
            connection.execute("checkpoint")  # so that the log does not outgrow the small disk
        for plan in plans:
            for file in outbox_file(self.rig, plan).parent.glob(f"{plan.gateway}.*"):
                file.unlink()
        found = asdict(verdict)
        problems += found.pop("problems")
        return Result(
            kind=self.kind,
            pair="+" in self.kind,
            seed=self.seed,
            messages=sum(plan.steps for plan in taken),
            **found,
            recovery_s=_rounded(recoveries[0]),
            every_recovery_s=_rounded(recoveries[1]),
            drained_s=round(drained_s, 2),
            duration_s=round(time.monotonic() - began, 1),
            rss_mb=rss_mb,
            problems=tuple(problems),
            ok=verdict.good and not problems,
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
