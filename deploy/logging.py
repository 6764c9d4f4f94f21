"""Logs: structured, English, one event a line, to stderr; JSON lines where the setting log_json says so."""

from __future__ import annotations

import logging
import sys

import structlog

from deploy.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Set up structlog, and route the logs of libraries through the same line format."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    tail: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info] if settings.log_json else []
    )
    structlog.configure(
        processors=[*shared, *tail, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak of their own troubles at length; what matters of them we log ourselves.
    root.setLevel(max(level, logging.WARNING))
    # It warns at every connection that SCRAM goes without TLS; a password is never sent either way (RFC 5802).
    logging.getLogger("kafka.net.sasl.scram").setLevel(logging.ERROR)


def quiet_logging() -> None:
    """Only warnings, to stderr: of a command whose output is its report."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
