"""Bridges that leave: while others go on, none keeps messages back; the last one's session stays."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from stream import codec
from stream.topics import READINGS

from .collectors_support import Gateway, Running, endpoint_of, records, running, wait_until
from .test_collectors_bridge import reading

pytestmark = pytest.mark.integration


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Gateway]:
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"gw-{secrets.token_hex(4)}"])
    made = Gateway(endpoint, credential.gateway, credential.password)
    yield made
    made.close()
    remove_gateways(endpoint, [credential.gateway])


@pytest.fixture(scope="module")
def first(settings: Settings) -> Iterator[Running]:
    with running(settings, "collect", "a") as service:
        yield service


def values(settings: Settings, gateway: Gateway) -> list[float]:
    batches = records(settings, READINGS, codec.decode_readings, gateway.name)
    return sorted(v for b in batches for v in b.value.tolist())


def publish(gateway: Gateway, numbers: range) -> list[int]:
    """Messages without seq: nobody sends them again."""
    return [gateway.send({"v": 1, "readings": [reading("m", 1393603200 + n, n)]}) for n in numbers]


def test_a_bridge_that_stops_beside_another_takes_its_share_along_and_gets_no_new_one(
    settings: Settings, first: Running, gateway: Gateway
) -> None:
    with running(settings, "collect", "b") as second:
        publish(gateway, range(500))
        wait_until(
            lambda: second.metric("nengliu_bridge_messages_total"), "the second bridge to have a share"
        )
        publish(gateway, range(500, 3000))  # under way while it leaves
        assert second.stop() == 0
    gateway.answered(publish(gateway, range(3000, 3200)))
    wait_until(lambda: len(values(settings, gateway)) >= 3200, "everything, with the first bridge alone")
    assert values(settings, gateway) == [float(n) for n in range(3200)]


def test_of_bridges_that_stop_at_once_one_keeps_its_session(
    settings: Settings, first: Running, gateway: Gateway
) -> None:
    with running(settings, "collect", "b") as second:
        for bridge in (first, second):
            bridge.process.terminate()
        assert (first.process.wait(20), second.process.wait(20)) == (0, 0)
        gateway.answered(publish(gateway, range(50)))
        first.start()
        second.start()
        wait_until(lambda: len(values(settings, gateway)) >= 50, "the messages that waited at the broker")
    assert values(settings, gateway) == [float(n) for n in range(50)]


def test_a_bridge_that_was_killed_a_moment_ago_does_not_count_as_going_on(
    settings: Settings, first: Running, gateway: Gateway
) -> None:
    """Kafka holds the killed one for a member until its session is over; the last bridge keeps its session."""
    first.process.kill()
    first.process.wait()
    first.start()
    assert first.stop() == 0
    assert gateway.answered(publish(gateway, range(50))) == ["Success"] * 50
