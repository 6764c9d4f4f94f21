"""`nengliu collect`: the bridge, wired with the settings."""

from __future__ import annotations

import gc
import signal
from threading import Event

import structlog
from prometheus_client import start_http_server

from collectors.bridge import Bridge, BridgeOptions
from collectors.sparkplug_bridge import SparkplugBridge, SparkplugThread
from collectors.throttle import Limits
from deploy.clients import kafka_server, mqtt_connection
from deploy.logging import configure_logging
from deploy.routes import routes_of
from deploy.settings import Settings

log = structlog.get_logger(__name__)

_GC_THRESHOLD = (20_000, 20, 20)


def bridge_options(settings: Settings) -> BridgeOptions:
    """How the bridge of these settings runs. Systems that share a broker are told apart by their topic
    prefix.
    """
    endpoint = mqtt_connection(settings, "bridge")
    scope = f"nengliu-{settings.kafka_topic_prefix}{settings.node}".replace("/", "-")
    return BridgeOptions(
        host=endpoint.host,
        port=endpoint.port,
        username=endpoint.username,
        password=endpoint.password,
        tls=endpoint.tls,
        client_id=f"{scope}-bridge-{settings.bridge_id}",
        kafka=kafka_server(settings, "bridge"),
        topic_prefix=settings.kafka_topic_prefix,
        share_group=scope,
        session_expiry_s=settings.bridge_session_expiry,
        limits=Limits(settings.gateway_messages_per_s, settings.gateway_readings_per_s),
    )


def main(settings: Settings) -> None:
    """Run a bridge until SIGTERM or SIGINT."""
    configure_logging(settings)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.bridge_metrics_port:
        start_http_server(settings.bridge_metrics_port, addr=settings.host)
    options = bridge_options(settings)
    routes = routes_of(settings)
    bridge = Bridge(options, routes, stop)
    beside = (
        SparkplugThread(SparkplugBridge(options, routes, stop), stop) if routes.stateful_filters else None
    )
    log.info("bridge_started", bridge_id=settings.bridge_id)
    # Thousands of messages in flight are no garbage: look for cycles seldom, and not among what stays.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)
    if beside is not None:
        beside.start()
    try:
        bridge.run()
    finally:
        stop.set()
        if beside is not None:
            beside.check()
    log.info("bridge_stopped")
