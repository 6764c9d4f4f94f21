"""`nengliu edge`: the building-side collector, wired with the settings: buses -> outbox -> MQTT."""

from __future__ import annotations

import signal
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import msgspec
import structlog
from prometheus_client import start_http_server

from collectors.edge.config import EdgeConfig, load_config
from collectors.edge.dispatch import DispatchOptions
from collectors.edge.outbox import Outbox
from collectors.edge.poller import Poller
from collectors.edge.publisher import Publisher, PublisherOptions
from collectors.edge.report import summary
from deploy.clients import MqttEndpoint, parse_mqtt_url
from deploy.logging import configure_logging
from deploy.settings import Settings
from deploy.tls import TlsFiles
from metering.errors import SettingError

log = structlog.get_logger(__name__)

_HEALTH_EVERY_S = 5.0
_MB = 1024 * 1024


def edge_endpoint(settings: Settings) -> MqttEndpoint:
    """The broker as this edge's gateway. Raises SettingError."""
    if settings.edge_mqtt_url is None:
        raise SettingError(
            "NENGLIU_EDGE_MQTT_URL is missing: want mqtt://GATEWAY:password@host:port (mqtts:// for TLS), with what "
            "`nengliu gateway add GATEWAY` printed"
        )
    files = TlsFiles(
        "NENGLIU_EDGE_MQTT",
        settings.edge_mqtt_ca_file,
        settings.edge_mqtt_cert_file,
        settings.edge_mqtt_key_file,
    )
    endpoint = parse_mqtt_url(settings.edge_mqtt_url.get_secret_value(), "NENGLIU_EDGE_MQTT_URL", files)
    if not endpoint.username:
        raise SettingError("NENGLIU_EDGE_MQTT_URL: the user name is the gateway, and there is none")
    return endpoint


def edge_outbox(settings: Settings) -> Path:
    """Where the outbox is. Raises SettingError where neither it nor the gateway is known."""
    if settings.edge_outbox is not None:
        return settings.edge_outbox
    return settings.state_dir / "edge" / f"{edge_endpoint(settings).username}.sqlite"


def health_file(outbox: Path) -> Path:
    """Where a running edge writes how its meters answer."""
    return outbox.with_suffix(".health.json")


def publisher_options(settings: Settings) -> PublisherOptions:
    """How the publisher of these settings runs."""
    endpoint = edge_endpoint(settings)
    return PublisherOptions(
        gateway=str(endpoint.username),
        host=endpoint.host,
        port=endpoint.port,
        username=endpoint.username,
        password=endpoint.password,
        tls=endpoint.tls,
        status_every_s=settings.edge_status_every,
        dispatch=DispatchOptions(window=settings.edge_window, backlog_per_s=settings.edge_backlog_rate),
    )


def main(settings: Settings) -> None:
    """Poll and publish until SIGTERM or SIGINT."""
    configure_logging(settings)
    options, config = publisher_options(settings), load_config(settings.edge_config)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.edge_metrics_port:
        start_http_server(settings.edge_metrics_port, addr=settings.host)
    outbox = Outbox(edge_outbox(settings), settings.edge_reserve_mb * _MB, settings.edge_low_space_mb * _MB)
    log.info("edge_started", gateway=options.gateway, outbox=outbox.name, waiting=outbox.depth)
    try:
        _run(config, outbox, options, stop)
    finally:
        outbox.close()
    log.info("edge_stopped", waiting=outbox.depth)


def _run(config: EdgeConfig, outbox: Outbox, options: PublisherOptions, stop: Event) -> None:
    """Both sides as threads; what ends one ends the other, and is raised."""
    poller = Poller(config, outbox, stop)
    publisher: Publisher | None = None

    def meters() -> dict[str, object]:
        return summary(poller.health(), publisher.clock_offset_s if publisher else None)

    publisher = Publisher(outbox, options, stop, meters)
    with ThreadPoolExecutor(2, thread_name_prefix="edge") as pool:
        sides: list[Future[None]] = [pool.submit(poller.run), pool.submit(publisher.run)]
        try:
            while not wait(sides, _HEALTH_EVERY_S, FIRST_COMPLETED).done:
                _write_health(outbox, poller, publisher)
        finally:
            stop.set()
    for side in sides:
        side.result()


def _write_health(outbox: Outbox, poller: Poller, publisher: Publisher) -> None:
    """For `nengliu edge --status`; a full disk keeps the older one."""
    said = {
        "at": datetime.now(UTC),
        "connected": publisher.connected,
        "extras_allowed": outbox.extras_allowed,
        "clock_offset_s": publisher.clock_offset_s,
        "meters": [asdict(m) for m in poller.health()],
    }
    file = health_file(outbox.path)
    part = file.with_suffix(".part")
    try:
        part.write_bytes(msgspec.json.encode(said))
        part.replace(file)
    except OSError as e:
        log.warning("health_not_written", path=str(file), error=str(e))
