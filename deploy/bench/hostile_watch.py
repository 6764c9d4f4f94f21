"""Whether a process of a run was started again, or lost a connection that it should keep."""

from __future__ import annotations

from deploy.bench.rig import Rig, Service, metrics, peak_rss_mb
from deploy.settings import Settings
from deploy.stack.state import StackState
from deploy.stack.supervisor import Supervisor

_SERVERS = ("mosquitto", "kafka", "postgres")

#: What counts up when a service loses a server, or meets what it cannot read, without ending.
_TROUBLES = {
    "bridge": ("nengliu_bridge_mqtt_connects_total", "nengliu_bridge_dropped_total"),
    "writer": (
        "nengliu_stream_poison_records_total",
        "nengliu_stream_ownership_lost_total",
        "nengliu_stream_offsets_skipped_total",
    ),
}


class Watch:
    """Looks at a rig's services and the stack's servers when made, and again when asked."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._servers = server_pids(rig.settings)
        self._troubles = {s.name: _troubles(s) for s in rig.services}

    def differences(self) -> list[str]:
        """What was started again, ended, or lost a connection since; empty where all went on."""
        now = server_pids(self._rig.settings)
        changed = [
            f"{name}: process {pid} is {now.get(name)} now"
            for name, pid in self._servers.items()
            if now.get(name) != pid
        ]
        for service in self._rig.services:
            if (code := service.process.poll()) is not None:
                changed.append(f"{service.name} ended with {code}")
                continue
            after = _troubles(service)
            changed += [
                f"{service.name}: {name} went from {count:.0f} to {after[name]:.0f}"
                for name, count in self._troubles[service.name].items()
                if after[name] != count
            ]
        return changed

    def peak_rss_mb(self) -> dict[str, float]:
        """The most memory that each service, and each server that is one process, has had."""
        for service in self._rig.services:
            service.measure()
        servers = {n: peak_rss_mb(p) for n, p in self._servers.items() if p and n != "postgres"}
        return {s.name: s.peak_rss_mb for s in self._rig.services} | servers


def server_pids(settings: Settings) -> dict[str, int | None]:
    """The processes of the local stack's servers."""
    processes = Supervisor(StackState.of(settings)).processes() or {}
    return {name: processes[name].pid if name in processes else None for name in _SERVERS}


def _troubles(service: Service) -> dict[str, float]:
    kind = service.name.split("-", maxsplit=1)[0]
    return dict(zip(_TROUBLES[kind], metrics(service, *_TROUBLES[kind]), strict=True))
