"""The durable acknowledgement: comes again when a repeat comes, so a lost one heals; from several bridges, once."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.clients import connect_database, kafka_server
from deploy.gateways import add_gateways, remove_gateways
from deploy.services.collect import bridge_options
from deploy.settings import Settings
from metering.records import AckRecord
from storage.registry import import_registry
from storage.writer import Writer
from stream import codec
from stream.acks import AckPublisher
from stream.consumer import ConsumerOptions, run_writer_loop
from stream.topics import READINGS, settled_group_members

from .collectors_support import Gateway, Outbox, endpoint_of, records, running, wait_until
from .test_collectors_bridge import reading, rows, write_registry

pytestmark = pytest.mark.integration

START = 1393603200
LEDGER = "select sum(stored)::int, sum(repeated)::int from api.ingest_ledger where gateway = %s"


@pytest.fixture
def gateway(settings: Settings, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose one meter, of its own name, the registry knows."""
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"gw-{secrets.token_hex(4)}"])
    write_registry(tmp_path, credential.gateway, [credential.gateway])
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, tmp_path, "test")
    made = Gateway(endpoint, credential.gateway, credential.password)
    yield made
    made.close()
    remove_gateways(endpoint, [credential.gateway])


@contextmanager
def writing(settings: Settings) -> Iterator[None]:
    """A writer in this process."""
    stop = threading.Event()
    writer = Writer(lambda: connect_database(settings, "pipeline"))
    options = ConsumerOptions(kafka_server(settings, "writer"), settings.kafka_topic_prefix)
    thread = threading.Thread(target=run_writer_loop, args=(options, writer, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        writer.close()
        assert not thread.is_alive()


def test_acknowledgements_lost_between_commit_and_kafka_are_healed_by_the_outbox(
    settings: Settings, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[AckRecord] = []
    publish = AckPublisher.publish

    def forgetful(self: AckPublisher, acks: Sequence[AckRecord]) -> None:
        if lost:
            publish(self, acks)
        else:
            lost.extend(acks)

    monkeypatch.setattr(AckPublisher, "publish", forgetful)
    before = datetime.now(UTC)
    with running(settings, "collect", "a"), writing(settings):
        messages = {n: [reading(gateway.name, START + n, n)] for n in range(1, 41)}
        outbox = Outbox(gateway, "o", messages)
        outbox.finish(30)
        forgotten = {seq for ack in lost for seq in ack.stored}
        assert forgotten
        assert outbox.sent_again >= len(forgotten)
        [(stored, repeated)] = rows(settings, LEDGER, gateway.name)
        assert (stored, repeated >= len(forgotten)) == (40, True)
        assert len(gateway.received) < 40, "several sequence numbers share a message"
        for _, ack in gateway.received:
            at = datetime.fromisoformat(ack["at"])
            assert before - timedelta(seconds=1) <= at <= datetime.now(UTC) + timedelta(seconds=1)

        heard = len(gateway.received)
        gateway.send({"v": 1, "outbox": "o", "seq": 7, "readings": messages[7]})
        wait_until(lambda: len(gateway.received) > heard, "the repeat to be acknowledged again")
        assert gateway.received[-1][1]["stored"] == [7]


def test_two_bridges_share_messages_and_acknowledgements_and_do_none_twice(
    settings: Settings, gateway: Gateway
) -> None:
    group = f"{settings.kafka_topic_prefix}nengliu-bridge-{bridge_options(settings).share_group}"
    with running(settings, "collect", "a") as a, running(settings, "collect", "b") as b, writing(settings):
        wait_until(
            lambda: settled_group_members(kafka_server(settings, "admin"), group, 5.0) == 2,
            "both to read acknowledgements",
        )
        for n in range(1, 401):
            gateway.send({"v": 1, "outbox": "p", "seq": n, "readings": [reading(gateway.name, START + n, n)]})
        wait_until(lambda: gateway.acknowledged()[0] == set(range(1, 401)), "all acknowledgements")
        assert a.metric("nengliu_bridge_messages_total")
        assert b.metric("nengliu_bridge_messages_total")
        assert sum(len(ack["stored"]) for _, ack in gateway.received) == 400
    batches = records(settings, READINGS, codec.decode_readings, gateway.name)
    assert sorted(m.seq for batch in batches for m in batch.messages if m.outbox == "p") == list(
        range(1, 401)
    )
    assert rows(settings, LEDGER, gateway.name) == [(400, 0)]
