"""Migrations and topics on servers that exist: `python -m deploy.compose.setup`."""

from __future__ import annotations

from deploy.clients import kafka_bootstrap
from deploy.settings import load_settings
from deploy.stack.stack import migrate_database
from stream.topics import ensure_topics


def main() -> None:
    """Bring schema and topics to what this version needs."""
    settings = load_settings()
    migrate_database(settings)
    ensure_topics(
        kafka_bootstrap(settings),
        settings.kafka_topic_prefix,
        settings.kafka_partitions,
        settings.kafka_replication,
    )


if __name__ == "__main__":
    main()
