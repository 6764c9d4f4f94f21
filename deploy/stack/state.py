"""What a local stack keeps: everything lies under one state directory."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.settings import Settings

#: A unix socket's path may have 107 bytes (sockaddr_un); room is left for the name supervisord binds first.
_LONGEST_SOCKET_PATH = 90


@dataclass(frozen=True, slots=True)
class StackState:
    """Paths, kept ports and secrets of the local stack under `folder` (absolute)."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> StackState:
        """The state of the stack that `settings` describes."""
        return cls(settings.state_dir.absolute())

    @property
    def logs(self) -> Path:
        """Folder of the log files, one a process."""
        return self.folder / "log"

    @property
    def run(self) -> Path:
        """Folder of the supervisor's own files."""
        return self.folder / "run"

    @property
    def socket(self) -> Path:
        """The supervisor's socket: in `run`, or in a folder with a short path where that would be too long."""
        inside = self.run / "supervisor.sock"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        return self.short_folder / "supervisor.sock"

    @property
    def short_folder(self) -> Path:
        """A folder outside the state directory, used only for a socket whose path would be too long inside."""
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir(), f"nengliu-{os.geteuid()}-{name}")

    @property
    def tls(self) -> Path:
        """Folder of the stack's own certificate authority and of what it certified."""
        return self.folder / "tls"

    @property
    def tls_in_force(self) -> bool:
        """Whether the stack's Mosquitto speaks TLS and nothing else."""
        return (self.tls / "in-force").is_file()

    def set_tls(self, in_force: bool) -> None:
        """Remember that Mosquitto speaks TLS, or no longer; the authority and what it certified are kept."""
        mark = self.tls / "in-force"
        if in_force:
            self.tls.mkdir(mode=0o700, exist_ok=True)
            write_private(mark, "")
        else:
            mark.unlink(missing_ok=True)

    def server(self, name: str) -> Path:
        """Folder of one server's data and configuration."""
        return self.folder / name

    def make_server(self, name: str) -> Path:
        """Make the folder of a server, with `data` in it, for the caller only."""
        for folder in (self.server(name), self.server(name) / "data"):
            folder.mkdir(mode=0o700, exist_ok=True)
        return self.server(name)

    def prepare(self) -> None:
        """Make the folders, readable by the caller only."""
        for folder in (self.folder, self.logs, self.run, self.folder / "secrets"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.socket.parent != self.run:
            self.short_folder.mkdir(mode=0o700, exist_ok=True)

    def ports(self) -> dict[str, int]:
        """The kept ports by name; empty where no stack was ever started."""
        try:
            kept = json.loads((self.folder / "ports.json").read_text())
        except FileNotFoundError:
            return {}
        return {str(name): int(port) for name, port in kept.items()}

    def keep_ports(self, ports: dict[str, int]) -> None:
        """Keep the ports in use."""
        write_private(self.folder / "ports.json", json.dumps(ports, indent=1))

    def secret(self, name: str) -> str:
        """The secret `name`, made at random the first time."""
        path = self.folder / "secrets" / name
        try:
            return path.read_text()
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, secrets.token_urlsafe(24))
            return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    fresh.replace(path)
