"""Migrations and topics on servers that exist: `python -m deploy.compose.setup`."""

from __future__ import annotations

from deploy.kafka_topics import prepare_topics
from deploy.settings import load_settings
from deploy.stack.stack import migrate_database


def main() -> None:
    """Bring schema and topics to what this version needs."""
    settings = load_settings()
    migrate_database(settings)
    prepare_topics(settings)


if __name__ == "__main__":
    main()
