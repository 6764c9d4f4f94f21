"""The services of nengliu itself as processes of the stack: bridge, writer, worker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import to_json

from deploy.settings import Settings
from deploy.stack.prometheus import http_ok
from deploy.stack.site import NotReadyError, Process, Site

#: Service name -> command of `nengliu`.
SERVICES = {"bridge": "collect", "writer": "write", "worker": "work"}

#: Service name -> metric that is 1 while a message can go through it. A bridge without its subscription would miss what
#: is published meanwhile.
_READY = {"bridge": "nengliu_bridge_mqtt_connected", "writer": "nengliu_stream_ready"}


class Service:
    """One service; its metrics port is the address it is known by."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.title = name
        self.port_name = name

    def process(self, site: Site) -> Process:
        """The service with every setting in force handed over in its environment."""
        command = ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "deploy.cli.app"]
        return Process(
            self.name,
            [*command, SERVICES[self.name]],
            site.state.folder,
            50,
            environment={"PYTHONPATH": _import_path(), "PYTHONUNBUFFERED": "1", **settings_environment(site)},
            digest="tls" if self.name == "bridge" and site.state.tls_in_force else "",
        )

    def probe(self, site: Site) -> None:
        """Ask for its metrics; NotReadyError where they say that no message goes through it yet."""
        text = http_ok(f"http://{site.address}:{site.ports[self.port_name]}/metrics").decode()
        wanted = _READY.get(self.name)
        if wanted is not None and f"\n{wanted} 1.0\n" not in text:
            raise NotReadyError(f"{self.name}: {wanted} is not 1")


def settings_environment(site: Site) -> dict[str, str]:
    """The settings as NENGLIU_* variables, paths absolute, ports as chosen."""
    ports = {
        "mqtt_port": "mqtt",
        "mqtt_certificate_port": "mqtt_certificate",
        "kafka_port": "kafka",
        "kafka_controller_port": "kafka_controller",
        "postgres_port": "postgres",
        "prometheus_port": "prometheus",
        "page_port": "page",
        **{f"{name}_metrics_port": name for name in SERVICES},
    }
    variables: dict[str, str] = {}
    for name in Settings.model_fields:
        value = site.ports.get(ports[name]) if name in ports else getattr(site.settings, name)
        if value is not None:
            variables[f"NENGLIU_{name.upper()}"] = _as_text(value)
    return variables


def _as_text(value: Any) -> str:
    """A setting's value as it is written in the environment: lists and mappings as JSON."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return to_json({name: _as_text(one) for name, one in value.items()}).decode()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, str | int | float):
        return str(value)
    return to_json(value).decode()


def _import_path() -> str:
    """The folder that the rooms are imported from, in case they are not installed."""
    return str(Path(__file__).resolve().parents[2])
