"""`nengliu write`: a writer, wired with the settings."""

from __future__ import annotations

import signal
from threading import Event
from typing import Any

import psycopg
import structlog
from prometheus_client import start_http_server

from deploy.clients import connect_database, kafka_bootstrap
from deploy.logging import configure_logging
from deploy.settings import Settings
from storage.writer import Writer
from stream.consumer import ConsumerOptions, run_writer_loop

log = structlog.get_logger(__name__)


def main(settings: Settings) -> None:
    """Run a writer until SIGTERM or SIGINT; Kafka and the database may be away, they are waited for."""
    configure_logging(settings)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.writer_metrics_port:
        start_http_server(settings.writer_metrics_port, addr=settings.host)

    def connect() -> psycopg.Connection[Any]:
        return connect_database(settings, "pipeline")

    writer = Writer(connect)
    options = ConsumerOptions(kafka_bootstrap(settings), settings.kafka_topic_prefix)
    log.info("writer_started", topic_prefix=settings.kafka_topic_prefix)
    try:
        run_writer_loop(options, writer, stop)
    finally:
        writer.close()
    log.info("writer_stopped")
