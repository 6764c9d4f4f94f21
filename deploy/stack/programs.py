"""Installs the servers' programs under settings.programs_dir, once; later runs only look at a stamp."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.settings import Settings
from deploy.stack import debian, java
from deploy.stack.errors import InstallError
from deploy.stack.steps import Step, Steps

_NEEDED_BYTES = 1_200_000_000
_STAMP = "installed.json"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the servers' programs are."""

    tree: Path
    kafka_lib: Path
    triplet: str

    def postgres(self, name: str) -> Path:
        """A program of PostgreSQL, such as "initdb"."""
        return self.tree / "usr/lib/postgresql/17/bin" / name

    @property
    def mosquitto(self) -> Path:
        """The MQTT broker."""
        return self.tree / "usr/sbin/mosquitto"

    @property
    def dynamic_security(self) -> Path:
        """Mosquitto's plugin for users that come and go at run time."""
        return self.tree / "usr/lib" / self.triplet / "mosquitto_dynamic_security.so"

    @property
    def prometheus(self) -> Path:
        """Prometheus."""
        return self.tree / "usr/bin/prometheus"

    @property
    def promtool(self) -> Path:
        """Prometheus's checker of configuration and rules."""
        return self.tree / "usr/bin/promtool"


def ensure_programs(settings: Settings, steps: Steps) -> Programs:
    """Install what is not there yet. Raises InstallError saying what to do."""
    home = settings.programs_dir.absolute()
    architecture = debian.host_architecture()
    programs = Programs(home / "debian", home / "kafka", architecture.triplet)
    missing = [part for part in _PARTS if not _is_current(home / part, home)]
    if missing:
        _require_space(home)
        with _locked(home), _disk_errors(home):
            _install(settings, steps, architecture, home)
    return programs


def _install(settings: Settings, steps: Steps, architecture: debian.Architecture, home: Path) -> None:
    work = home / "work"
    if not _is_current(home / "debian", home):
        with steps.step(
            "下载服务器程序 (Debian 软件包)", "Download the servers (Debian packages)", long=True
        ) as step:
            archives = _download(settings, architecture, work, step, debian.SERVERS)
        with steps.step("解开并安装服务器程序", "Unpack and relink the servers", long=True) as step:
            _install_part("debian", home, lambda new: _unpack(archives, new, home, architecture, step))
    if not _is_current(home / "kafka", home):
        with steps.step("下载 Kafka (Maven)", "Download Kafka (Maven)", long=True) as step:
            maven_home = None if shutil.which("mvn") else _maven(settings, architecture, work, step)
            _install_part("kafka", home, lambda new: java.fetch_kafka(new, java.find_java(), maven_home))
    shutil.rmtree(work, ignore_errors=True)


def _download(
    settings: Settings, architecture: debian.Architecture, work: Path, step: Step, packages: tuple[str, ...]
) -> list[Path]:
    apt = debian.Apt.prepare(work / "apt", settings.debian_mirror, architecture)
    archives = apt.download(packages)
    step.note(f"{len(archives)} packages, {sum(a.stat().st_size for a in archives) / 1e6:.0f} MB")
    return archives


def _unpack(
    archives: list[Path], new: Path, home: Path, architecture: debian.Architecture, step: Step
) -> None:
    debian.unpack(archives, new, step.advance)
    debian.relink(new, home / "debian", architecture, _patchelf())


def _maven(settings: Settings, architecture: debian.Architecture, work: Path, step: Step) -> Path:
    tree = work / "maven-tree"
    debian.unpack(_download(settings, architecture, work, step, debian.MAVEN), tree, step.advance)
    return tree / "usr/share/maven"


def _install_part(part: str, home: Path, build: Callable[[Path], None]) -> None:
    """Build into a fresh folder, stamp it, and put it in place by a rename: a half-made part is never used."""
    new = home / f"{part}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    build(new)
    (new / _STAMP).write_text(json.dumps(_stamp(part, home)))
    shutil.rmtree(home / part, ignore_errors=True)
    new.rename(home / part)


def _is_current(folder: Path, home: Path) -> bool:
    try:
        return bool(json.loads((folder / _STAMP).read_text()) == _stamp(folder.name, home))
    except (OSError, ValueError):
        return False


def _stamp(part: str, home: Path) -> dict[str, str]:
    """What a part was made from; the tree is linked to its place, so its place is part of it."""
    made_from = _PARTS[part]
    digest = hashlib.sha256(b"".join(made_from)).hexdigest()[:16]
    return {"made_from": digest, "home": str(home)}


_PARTS = {
    "debian": (str(debian.RECIPE).encode(), debian.RELEASE.encode(), repr(debian.SERVERS).encode()),
    "kafka": (java.POM.read_bytes(),),
}


def _patchelf() -> Path:
    beside = Path(sys.executable).parent / "patchelf"
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if not found:
        raise InstallError("`patchelf` is missing: install the PyPI package patchelf into this environment")
    return Path(found)


def _require_space(home: Path) -> None:
    place = next(p for p in [home, *home.parents] if p.exists())
    free = shutil.disk_usage(place).free
    if free < _NEEDED_BYTES:
        raise InstallError(
            f"{place} has {free / 1e9:.1f} GB free; the servers' programs need {_NEEDED_BYTES / 1e9:.1f} GB while they "
            "are installed: free some, or set NENGLIU_PROGRAMS_DIR to another disk"
        )
    if not os.access(place, os.W_OK):
        raise InstallError(f"{place} may not be written: set NENGLIU_PROGRAMS_DIR to a folder of your own")


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One installer at a time; another waits for it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _disk_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise InstallError(f"cannot install programs under {home}: {e}. Is the disk full?") from e
