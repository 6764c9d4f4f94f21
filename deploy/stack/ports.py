"""Which ports the stack uses: the settings', or any free ones that are kept; a port of somebody else's is refused."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deploy.settings import Settings
from deploy.stack.errors import StackError

#: Below the range that the kernel gives to outgoing connections, so that a kept port is rarely lost to one.
_FREE_RANGE = (20000, 32000)


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port of the stack: its name in ports.json, the setting's field, the process that listens on it."""

    name: str
    field: str
    process: str

    @property
    def setting(self) -> str:
        """The setting as people write it."""
        return f"NENGLIU_{self.field.upper()}"


PORTS = (
    PortUse("mqtt", "mqtt_port", "mosquitto"),
    PortUse("mqtt_certificate", "mqtt_certificate_port", "mosquitto"),
    PortUse("kafka", "kafka_port", "kafka"),
    PortUse("kafka_controller", "kafka_controller_port", "kafka"),
    PortUse("postgres", "postgres_port", "postgres"),
    PortUse("prometheus", "prometheus_port", "prometheus"),
    PortUse("bridge", "bridge_metrics_port", "bridge"),
    PortUse("writer", "writer_metrics_port", "writer"),
    PortUse("worker", "worker_metrics_port", "worker"),
    PortUse("page", "page_port", "worker"),
)


def choose_ports(settings: Settings, kept: Mapping[str, int], running: Iterable[str]) -> dict[str, int]:
    """Ports by name. `running`: processes of this stack that run already and so hold their kept ports.

    Raises StackError naming each setting whose port somebody else holds.
    """
    live = set(running)
    chosen: dict[str, int] = {}
    taken: list[str] = []
    for use in PORTS:
        wanted = getattr(settings, use.field)
        port = wanted or kept.get(use.name, 0)
        ours = use.process in live and kept.get(use.name) == port
        if port and not ours and not is_free(settings.host, port):
            if wanted:
                taken.append(
                    f"port {port} is taken by another program: set {use.setting} to another port, "
                    "or to 0 for any free one"
                )
                continue
            port = 0
        chosen[use.name] = port or _any_free(settings.host, {*chosen.values(), *kept.values()})
    if taken:
        raise StackError("\n".join(taken))
    if doubled := [use.setting for use in PORTS if list(chosen.values()).count(chosen[use.name]) > 1]:
        raise StackError(f"{' and '.join(doubled)} name the same port")
    return chosen


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _any_free(host: str, not_these: set[int]) -> int:
    for port in random.sample(range(*_FREE_RANGE), k=_FREE_RANGE[1] - _FREE_RANGE[0]):
        if port not in not_these and is_free(host, port):
            return port
    raise StackError(f"no port between {_FREE_RANGE[0]} and {_FREE_RANGE[1]} is free")
