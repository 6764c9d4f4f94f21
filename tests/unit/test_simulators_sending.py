"""Sending: nothing is skipped where a run is stopped, nothing is sent or entered before its time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from metering.errors import DependencyAwayError
from simulators.emission import Emission, RegistryChange
from simulators.mqtt import DurableAck, GatewayConnection, Incoming, Rejected
from simulators.sending import Sender, SendOptions

SECOND = 1_000_000


class Platform:
    """Stands in for the gateways' connections: keeps what was published and acknowledges it, or not yet."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.published: list[int] = []
        self.closed: list[bool] = []
        self.acknowledges = acknowledges
        self.rejects: dict[int, str] = {}

    def client(self, name: str, _: GatewayConnection, on_event: Callable[[Incoming], None]) -> Platform:
        self.name, self.on_event = name, on_event
        return self

    def connect(self) -> None: ...

    def publish_readings(self, payload: bytes) -> None:
        message = json.loads(payload)
        self.published.append(message["seq"])
        if self.acknowledges:
            self.acknowledge(message["seq"])

    def acknowledge(self, seq: int) -> None:
        reason = self.rejects.get(seq)
        ack = DurableAck(1, "k", None, () if reason else (seq,), (Rejected(seq, reason),) if reason else ())
        self.on_event(Incoming(self.name, ack=ack))

    def close(self, *, final: bool) -> None:
        self.closed.append(final)


def message(seq: int, due_s: float = 0.0, *, awaited: bool = True) -> Emission:
    payload = json.dumps({"seq": seq}).encode()
    return Emission(round(due_s * SECOND), "gw", "k", seq, payload, 1, awaited)


def sender(platform: Platform, **more: object) -> Sender:
    options = more.pop("options", SendOptions())
    connections = {"gw": GatewayConnection("127.0.0.1", 1, "gw", "")}
    return Sender(connections, options, make_client=platform.client, **more)


def stopped_at(items: list[Emission | RegistryChange], n: int) -> Iterator[Emission | RegistryChange]:
    yield from items[:n]
    raise KeyboardInterrupt


@pytest.mark.parametrize("n", range(6))
def test_a_run_that_is_stopped_anywhere_goes_on_with_what_was_not_safe(n):
    items = [message(seq) for seq in range(1, 6)]
    platform = Platform(acknowledges=False)
    first = sender(platform)
    with pytest.raises(KeyboardInterrupt):
        first.send_all(stopped_at(items, n))
    assert platform.closed == [False]
    again = Platform()
    result = sender(again, skip=first.done).send_all(iter(items))
    assert (first.done, again.published, again.closed) == (0, [1, 2, 3, 4, 5], [True])
    assert result.readings == 5


def test_a_run_that_is_stopped_while_it_waits_for_the_next_message_does_not_skip_it():
    def stop(_progress: object) -> None:
        if platform.published == [1, 2]:
            raise KeyboardInterrupt

    items = [message(1), message(2), message(3, 3600.0)]
    platform = Platform()
    first = sender(platform, options=SendOptions(speed=1.0), on_progress=stop)
    with pytest.raises(KeyboardInterrupt):
        first.send_all(iter(items))
    assert first.done == 2
    again = Platform()
    sender(again, skip=first.done).send_all(iter(items))
    assert again.published == [3]


def test_an_entry_into_the_registry_that_fails_is_made_when_the_run_goes_on():
    entered: list[int] = []

    def away(_: RegistryChange) -> None:
        raise DependencyAwayError("the database is away")

    items = [message(1), RegistryChange(0, ()), message(2)]
    first = sender(Platform(), on_registry=away)
    with pytest.raises(DependencyAwayError):
        first.send_all(iter(items))
    assert first.done == 1
    sender(Platform(), skip=first.done, on_registry=lambda c: entered.append(c.due_us)).send_all(iter(items))
    assert entered == [0]


def test_an_entry_is_made_at_its_time_when_all_before_is_safe_and_before_what_comes_after():
    said: list[tuple[str, float]] = []
    platform = Platform()

    def enter(_: RegistryChange) -> None:
        said.append((f"entered after {platform.published}", time.monotonic()))

    begun = time.monotonic()
    items = [message(1), RegistryChange(round(0.4 * SECOND), ()), message(2, 0.5)]
    sender(platform, options=SendOptions(speed=1.0), on_registry=enter).send_all(iter(items))
    assert [text for text, _ in said] == ["entered after [1]"]
    assert said[0][1] - begun >= 0.4
    assert platform.published == [1, 2]


def test_patience_is_for_a_message_that_waits_and_not_for_quiet_between_messages():
    options = SendOptions(speed=1.0, patience_s=0.3)
    platform = Platform()
    sender(platform, options=options).send_all(iter([message(1), message(2, 0.8), message(3, 1.6)]))
    assert platform.published == [1, 2, 3]
    with pytest.raises(DependencyAwayError, match="1 messages wait"):
        sender(Platform(acknowledges=False), options=options).send_all(iter([message(1)]))


def test_nothing_is_sent_before_it_has_happened_by_the_wall_clock():
    platform = Platform()
    soon = time.time() + 0.6
    sender(platform).send_all(iter([message(1), message(2, soon)]))
    assert platform.published == [1, 2]
    assert time.time() >= soon


def test_repeats_are_sent_and_not_waited_for_and_rejects_are_counted_by_reason():
    platform = Platform()
    platform.rejects = {2: "unknown_meter"}
    result = sender(platform).send_all(iter([message(1), message(1, awaited=False), message(2)]))
    assert platform.published == [1, 1, 2]
    assert (result.messages, result.readings, result.rejected) == (3, 2, {"unknown_meter": 1})
