"""Our services and the gateways of a run, as processes that see the servers through the links."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.bench.rig import free_port
from deploy.clients import connect_database, mqtt_connection
from deploy.gateways import Credential, add_gateways
from storage.registry import import_registry

from .child import Child
from .clocks import Clock
from .rig import Rig
from .truth import Plan

_HEADERS = {
    "sites.csv": "site_code,name,kind,sector,building_type,district_code,floor_area_m2",
    "points.csv": "point_code,site_code,item_code,name,parent_point_code,rated_per_hour",
    "installations.csv": "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,"
    "installed_at,removed_at,start_value,end_value",
}
_KINDS = {
    "bridge": ("collect", "nengliu_bridge_mqtt_connected"),
    "writer": ("write", "nengliu_stream_ready"),
}


class Services:
    """Two bridges and two writers. `clocks`: the clock that each kind of them sees."""

    def __init__(self, rig: Rig, folder: Path, faked_clocks: bool) -> None:
        self.clocks = {kind: Clock(folder / f"{kind}.clock", rig, faked_clocks) for kind in _KINDS}
        self.all = {kind: [self._make(rig, folder, kind, n) for n in (1, 2)] for kind in _KINDS}

    def _make(self, rig: Rig, folder: Path, kind: str, number: int) -> Child:
        command, ready = _KINDS[kind]
        port = free_port("127.0.0.1")
        environment = {
            "NENGLIU_STATE_DIR": str(rig.facade(kind)),
            "NENGLIU_BRIDGE_ID": f"b{number}",
            f"NENGLIU_{kind.upper()}_METRICS_PORT": str(port),
            "NENGLIU_WRITER_SESSION_TIMEOUT": str(rig.settings.writer_session_timeout),
            **self.clocks[kind].environment(),
        }
        module = [*self.clocks[kind].module_prefix(), "deploy.cli.app", command]
        return Child(f"{kind}-{number}", module, environment, folder / f"{kind}-{number}.log", port, ready)

    def children(self) -> list[Child]:
        """All of them."""
        return [child for children in self.all.values() for child in children]


def register(rig: Rig, plans: Sequence[Plan]) -> dict[str, Credential]:
    """Make the gateways and their meters known; a credential a gateway."""
    with tempfile.TemporaryDirectory() as folder:
        _write_registry(Path(folder), plans)
        with connect_database(rig.settings, "pipeline") as connection:
            import_registry(connection, Path(folder), "campaign")
    made = add_gateways(mqtt_connection(rig.settings, "admin"), [plan.gateway for plan in plans])
    return {credential.gateway: credential for credential in made}


def _write_registry(folder: Path, plans: Sequence[Plan]) -> None:
    known = [(meter, plan.gateway) for plan in plans for meter in plan.meters]
    rows: dict[str, list[list[object]]] = {
        "sites.csv": [["campaign", "campaign", "building", "buildings", "A", "110108", 1000]],
        "points.csv": [[meter, "campaign", "01A", meter, "", ""] for meter, _ in known],
        "installations.csv": [
            [meter, meter, register, gateway, "json", unit, 9, 2, 1, "2010-01-01T00:00:00+08:00", "", "", ""]
            for meter, gateway in known
            for register, unit in (("1.8.0", "kWh"), ("16.7.0", "kW"))
        ],
    }
    for name, header in _HEADERS.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as f:
            f.write(header + "\n")
            csv.writer(f).writerows(rows[name])


def gateway_process(rig: Rig, plan: Plan, credential: Credential, folder: Path, clock: Clock) -> Child:
    """The process of one gateway, not started. Its outbox outlives it."""
    task = folder / f"{plan.gateway}.json"
    task.write_text(
        json.dumps(
            {
                "plan": [plan.gateway, plan.number, plan.per_message, plan.steps, plan.interval_s],
                "password": credential.password,
                "port": rig.link("gateway-mqtt").port,
                "outbox": str(outbox_file(rig, plan)),
            }
        )
    )
    module = [*clock.module_prefix(), "tests.campaign.gateway", str(task)]
    return Child(plan.gateway, module, clock.environment(), folder / f"{plan.gateway}.log")


def outbox_file(rig: Rig, plan: Plan) -> Path:
    """Where a gateway keeps what was not acknowledged yet."""
    return rig.folder / "outboxes" / f"{plan.gateway}.sqlite"
