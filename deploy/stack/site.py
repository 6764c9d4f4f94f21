"""What every server of a stack is given, and what it gives back to the supervisor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import jinja2

from deploy.clients import local_host
from deploy.settings import Settings
from deploy.stack.programs import Programs
from deploy.stack.state import StackState, write_private
from metering.errors import NengliuError


class NotReadyError(NengliuError):
    """A server does not answer yet; the message says what it was asked."""


@dataclass(frozen=True, slots=True)
class Site:
    """One local stack: its settings, where it keeps things, the ports in use."""

    settings: Settings
    state: StackState
    ports: Mapping[str, int]

    @property
    def address(self) -> str:
        """The address that this machine reaches the servers under."""
        return local_host(self.settings)


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the supervisor runs it. A changed `digest` (of its configuration) restarts it."""

    name: str
    command: Sequence[str]
    folder: Path
    priority: int
    stop_signal: str = "TERM"
    stop_wait_s: int = 30
    environment: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


class Server(Protocol):
    """A server of the stack."""

    name: str
    title: str
    port_name: str

    def prepare(self, site: Site, programs: Programs) -> Process:
        """Write its configuration, make its data folder the first time."""

    def probe(self, site: Site) -> None:
        """Pass a message through it; NotReadyError where it does not go."""


def render(template: str, target: Path, **values: Any) -> str:
    """Write deploy/`template` filled with `values` to `target`; returns a digest of the text."""
    source = files("deploy").joinpath(template).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    text = environment.from_string(source).render(**values)
    if not target.is_file() or target.read_text() != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_private(target, text)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
