"""Processes of a stack whose supervisor is gone: found by a mark in their environment, ended before a new start."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

#: Environment variable that the supervisor passes to all it starts; its value is the state directory.
MARK = "NENGLIU_STACK"
_PATIENCE_S = 30.0


def leftovers(folder: Path) -> list[int]:
    """Ids of the processes that belong to the stack in `folder`."""
    mark = f"{MARK}={folder}".encode()
    database = str(folder / "postgres/data")
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _belongs(entry, mark, database)
    ]


def _belongs(entry: Path, mark: bytes, database: str) -> bool:
    """PostgreSQL writes its title over its environment, so it is known by its folder instead."""
    try:
        if mark in (entry / "environ").read_bytes().split(b"\0"):
            return True
        return (entry / "comm").read_text().strip() == "postgres" and os.readlink(entry / "cwd") == database
    except OSError:
        return False


def end_leftovers(folder: Path) -> int:
    """Wait for the leftovers to end, which their supervisor's death has asked them to; then kill them. How many."""
    found = leftovers(folder)
    deadline = time.monotonic() + _PATIENCE_S
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT if _is_postmaster(pid) else signal.SIGTERM)
    while leftovers(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in leftovers(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while leftovers(folder):
        time.sleep(0.05)
    return len(found)


def _is_postmaster(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    return False
