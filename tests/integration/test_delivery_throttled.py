"""Over its hard limit a gateway loses nothing that carries a seq: it only waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.clients import connect_database
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from storage.registry import import_registry

from .collectors_support import Gateway, Outbox, endpoint_of, running, wait_until
from .test_collectors_bridge import reading, rows, write_registry

pytestmark = pytest.mark.integration


def test_with_seq_everything_arrives_in_the_end_without_it_what_is_over_is_rejected(
    settings: Settings, tmp_path: Path
) -> None:
    limited = settings.model_copy(update={"gateway_messages_per_s": 20.0})
    endpoint = endpoint_of(settings)
    [fast] = add_gateways(endpoint, ["gw-fast"])
    write_registry(tmp_path, "gw-fast", ["throttled"])
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, tmp_path, "test")
    gateway = Gateway(endpoint, fast.gateway, fast.password)
    rejected = "select reason from api.reject where gateway = 'gw-fast'"
    try:
        with running(limited, "collect") as bridge, running(limited, "write"):
            start = 1393603200
            outbox = Outbox(gateway, "o", {n: [reading("throttled", start + n, n)] for n in range(1, 61)})
            outbox.finish(40)
            assert gateway.acknowledged() == (set(range(1, 61)), {})
            assert outbox.sent_again
            assert bridge.metric("nengliu_bridge_throttled_total")
            assert rows(settings, rejected) == []
            for n in range(100, 160):
                gateway.send({"v": 1, "readings": [reading("throttled", start + n, n)]})
            wait_until(lambda: len(rows(settings, rejected)) >= 20, "what is over the limit to be rejected")
            ledger = (
                "select sum(received)::int, sum(stored)::int from api.ingest_ledger where gateway = 'gw-fast'"
            )
            wait_until(lambda: rows(settings, ledger)[0][0] == 120, "the books to be complete")
        assert {reason for (reason,) in rows(settings, rejected)} == {"rate_limited"}
        assert rows(settings, ledger)[0][1] == 120 - len(rows(settings, rejected))
    finally:
        gateway.close()
        remove_gateways(endpoint, ["gw-fast"])
