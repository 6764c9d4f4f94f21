"""Carries runs out one after another on one rig; a run that fails gets its logs kept, and the next a new rig."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .faults import make_fault
from .fleet import Services
from .rig import Rig, rig
from .run import Result, Run, wait_for

Task = tuple[str, int]


def carry_out(tasks: Sequence[Task], folder: Path, readings: int, say: Callable[[Result], None]) -> None:
    """Carry out (kind, seed) after (kind, seed); `say` is told each result. readings: about how many a run."""
    left = list(tasks)
    while left:
        with rig(folder) as built:
            _until_one_fails(built, left, folder, readings, say)


def _until_one_fails(
    built: Rig, left: list[Task], folder: Path, readings: int, say: Callable[[Result], None]
) -> None:
    while left:
        faked = "clocks" in make_fault(*left[0]).needs
        with _services(built, folder, faked) as services:
            while left and ("clocks" in make_fault(*left[0]).needs) == faked:
                kind, seed = left.pop(0)
                result = Run(built, services, services_folder(folder), kind, seed, readings).carry_out()
                say(result)
                if not result.ok:
                    _keep_logs(built, folder, f"{kind}-{seed}")
                    return


def services_folder(folder: Path) -> Path:
    """Where logs of services and gateways are."""
    return folder / "processes"


@contextmanager
def _services(built: Rig, folder: Path, faked_clocks: bool) -> Iterator[Services]:
    """Services that are ready."""
    place = services_folder(folder)
    place.mkdir(parents=True, exist_ok=True)
    services = Services(built, place, faked_clocks)
    try:
        for child in services.children():
            child.start()
        for child in services.children():
            wait_for(child.ready, f"{child.name} to be ready", 60)
        yield services
    finally:
        for child in services.children():
            child.stop()


def _keep_logs(built: Rig, folder: Path, name: str) -> None:
    kept = folder / "failed" / name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(services_folder(folder), kept / "processes")
    shutil.copytree(built.site.state.logs, kept / "servers")
