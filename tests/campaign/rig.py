"""What a campaign runs on: a stack of its own, proxies on every link, and small disks where they can be had."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.settings import Settings
from deploy.stack import stack
from deploy.stack.mirror import host_package
from deploy.stack.site import Site
from deploy.stack.state import StackState
from deploy.stack.steps import SilentSteps
from deploy.stack.supervisor import Supervisor

from ..integration.conftest import ANY_PORT
from .links import Link, Network

#: Set in the process that runs in a mount namespace of its own.
OWN_MOUNTS = "CAMPAIGN_OWN_MOUNTS"
#: Who speaks to which server.
LINKS = ("gateway-mqtt", "bridge-mqtt", "bridge-kafka", "writer-kafka", "writer-postgres")
_DATABASE_KB, _OUTBOX_KB = 3_000_000, 48_000


_MS_REMOUNT = 32
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of its own that can be made full at once, by making it as small as what it holds."""

    folder: Path
    size_kb: int

    def fill(self) -> None:
        """Leave no free block. Whoever writes meanwhile makes it a matter of a few attempts."""
        for _ in range(100):
            found = os.statvfs(self.folder)
            used_kb = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
            if self._resize(used_kb):
                return
        raise OSError(f"{self.folder} cannot be made full")

    def empty(self) -> None:
        """Give the space back."""
        if not self._resize(self.size_kb):
            raise OSError(f"{self.folder} cannot be made larger again")

    def _resize(self, size_kb: int) -> bool:
        """By mount(2): mount(8) repeats the owner's options, which a user namespace refuses."""
        options = f"size={size_kb}k".encode()
        return _libc.mount(None, os.fsencode(self.folder), None, _MS_REMOUNT, options) == 0


@dataclass(slots=True)
class Rig:
    """The stack's settings (direct addresses), its supervisor, its links and disks."""

    settings: Settings
    folder: Path
    network: Network
    site: Site
    database_disk: SmallDisk | None = None
    outbox_disk: SmallDisk | None = None
    _clock_library: Path | None = None

    @property
    def supervisor(self) -> Supervisor:
        """Of the servers."""
        return Supervisor(self.site.state)

    def link(self, name: str) -> Link:
        """A link by its name in LINKS."""
        return self.network.links[name]

    def facade(self, service: str) -> Path:
        """A state directory with the stack's secrets and, for ports, those of the service's links."""
        folder = self.folder / f"seen-by-{service}"
        folder.mkdir(exist_ok=True)
        secrets = folder / "secrets"
        if not secrets.is_symlink():
            secrets.symlink_to(self.site.state.folder / "secrets")
        ports = {
            server: self.network.links[f"{service}-{server}"].port
            for server in ("mqtt", "kafka", "postgres")
            if f"{service}-{server}" in self.network.links
        }
        (folder / "ports.json").write_text(json.dumps({**self.site.ports, **ports}))
        return folder

    def clock_library(self) -> Path:
        """libfaketime, from a package of the host's own distribution. Raises InstallError."""
        if self._clock_library is None:
            work = self.settings.programs_dir.absolute() / "campaign"
            work.mkdir(parents=True, exist_ok=True)
            tree = host_package("libfaketime", work)
            self._clock_library = next(tree.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
        return self._clock_library


def may_mount() -> bool:
    """Whether this process has a mount namespace of its own."""
    return OWN_MOUNTS in os.environ


def enter_own_mounts(command: list[str]) -> None:
    """Become `command` in a mount namespace of its own, where small disks can be mounted; returns where none may be
    made.
    """
    if may_mount():
        return
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
        os.execvpe("unshare", [*unshare, *command], {**os.environ, OWN_MOUNTS: "1"})


def _mounted(folder: Path, size_kb: int) -> SmallDisk | None:
    if not may_mount():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k,mode=0700", "campaign", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    return SmallDisk(folder, size_kb) if done.returncode == 0 else None


def _clear(settings: Settings) -> None:
    if settings.state_dir.exists():
        stack.down(settings, SilentSteps())
        shutil.rmtree(settings.state_dir)


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """Servers that answer, with a link to each for everybody who speaks to it; all gone afterwards.

    What an interrupted campaign left in `folder` goes first.
    """
    settings = Settings(state_dir=folder / "stack", writer_session_timeout=6, **ANY_PORT)
    _clear(settings)
    state = StackState.of(settings)
    state.prepare()
    database_disk = _mounted(state.server("postgres"), _DATABASE_KB)
    outbox_disk = _mounted(folder / "outboxes", _OUTBOX_KB)
    (folder / "outboxes").mkdir(exist_ok=True)
    network = Network()
    try:
        site = stack.up(settings, SilentSteps(), servers_only=True)
        for name in LINKS:
            server = name.split("-")[1]
            network.add(name, site.ports[server], kafka=server == "kafka")
        yield Rig(settings, folder, network, site, database_disk, outbox_disk)
    finally:
        network.close()
        stack.down(settings, SilentSteps())
        for disk in (database_disk, outbox_disk):
            if disk is not None:
                subprocess.run(["umount", "-l", str(disk.folder)], check=False)
        _clear(settings)
