"""`nengliu collect`, `write`, `work`: the services. Each runs alone too, N times, on N machines."""

from __future__ import annotations

from deploy.settings import load_settings


def collect() -> None:
    """Run a bridge: MQTT to Kafka, and durable acknowledgements back. Stops at SIGTERM.

    Several bridges of one broker share its messages; each needs its own NENGLIU_BRIDGE_ID, and keeps it.
    """
    from deploy.services import collect as service

    service.main(load_settings())


def write() -> None:
    """Run a writer: Kafka to the database. Stops at SIGTERM."""
    from deploy.services import write as service  # type: ignore[attr-defined,unused-ignore]

    service.main(load_settings())


def work() -> None:
    """Run a worker: energy, assessments, alerts, from what arrived. Stops at SIGTERM."""
    from deploy.services import work as service  # type: ignore[attr-defined,unused-ignore]

    service.main(load_settings())
