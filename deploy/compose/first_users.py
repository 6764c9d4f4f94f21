"""Writes Mosquitto's first users into a fresh volume: `python -m deploy.compose.first_users FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deploy.clients import mqtt_connection
from deploy.settings import load_settings
from deploy.stack.mosquitto import first_users
from deploy.stack.state import write_private
from metering.errors import SettingError


def main(target: Path) -> None:
    """Write `target` unless it is there: the plugin keeps it up to date afterwards."""
    if target.exists():
        return
    settings = load_settings()
    endpoints = {"admin": mqtt_connection(settings, "admin"), "bridge": mqtt_connection(settings, "bridge")}
    for role, endpoint in endpoints.items():
        if endpoint.username != role or not endpoint.password:
            raise SettingError(f"the {role}'s MQTT URL must name the user {role!r} and a password")
    write_private(
        target, json.dumps(first_users({r: e.password or "" for r, e in endpoints.items()}), indent=1)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
