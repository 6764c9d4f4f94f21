"""`nengliu write`: a writer, wired with the settings."""

from __future__ import annotations

import signal
from threading import Event
from typing import Any

import psycopg
import structlog
from prometheus_client import start_http_server

from deploy.clients import connect_database, kafka_server
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

    writer = Writer(lambda: _connect(settings))
    options = ConsumerOptions(
        kafka_server(settings, "writer"),
        settings.kafka_topic_prefix,
        session_timeout_ms=settings.writer_session_timeout * 1000,
    )
    log.info("writer_started", topic_prefix=settings.kafka_topic_prefix)
    try:
        run_writer_loop(options, writer, stop)
    finally:
        writer.close()
    log.info("writer_stopped")


def _connect(settings: Settings) -> psycopg.Connection[Any]:
    """A connection whose open transaction ends about when Kafka gives our partitions away: a writer that is paused
    in one would else hold up its successor by the rows that it has locked.

    The server calls a paused COPY a running statement, so those end too, though later: a slow database is no pause.
    """
    connection = connect_database(settings, "writer", autocommit=True)
    connection.execute(
        "select set_config('idle_in_transaction_session_timeout', %s, false),"
        " set_config('statement_timeout', %s, false)",
        [f"{settings.writer_session_timeout}s", f"{3 * settings.writer_session_timeout}s"],
    )
    return connection
