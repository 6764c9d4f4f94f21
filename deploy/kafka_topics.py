"""The topics of one prefix and the services' rights to them: made by whoever brings the platform up, as the admin.

The services have no right to make a topic: one that is missing they wait for.
"""

from __future__ import annotations

from deploy.clients import kafka_server
from deploy.settings import Settings
from stream.rights import grant, revoke
from stream.topics import delete_topics, ensure_topics


def prepare_topics(settings: Settings) -> list[str]:
    """Make what is missing of the prefix's topics, and grant the local stack's services their rights to them.

    Returns the names of those made. Who may do what in an existing Kafka is for its operator to say.
    """
    server = kafka_server(settings, "admin")
    prefix = settings.kafka_topic_prefix
    made = ensure_topics(server, prefix, settings.kafka_partitions, settings.kafka_replication)
    if settings.kafka_bootstrap is None:
        grant(server, prefix)
    return made


def remove_topics(settings: Settings) -> None:
    """Delete the topics of a prefix and the rights to them (benchmarks, tests)."""
    server = kafka_server(settings, "admin")
    delete_topics(server, settings.kafka_topic_prefix)
    if settings.kafka_bootstrap is None:
        revoke(server, settings.kafka_topic_prefix)
