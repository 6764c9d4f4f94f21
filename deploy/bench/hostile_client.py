"""The gateways of `bench hostile`: one connection each, on bare sockets, that send what no client library would, and
hold what the broker answers against what each message says.

QoS 1 and 2 are finished as MQTT says. A message that breaks its connection goes alone: everything before it has been
answered, so nothing but it can be lost with the connection, which is then made anew.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from deploy import mqtt5
from deploy.bench.hostile_verdict import Example, Fault, Verdict
from deploy.clients import MqttEndpoint
from deploy.gateways import Credential
from deploy.load import wire
from metering.errors import NengliuError
from simulators.hostile.mix import Sent

#: Unanswered messages of a gateway, and bytes that wait for its socket.
_WINDOW = 400
_MOST_WAITING = 64 * 1024
_ANSWER_S = 30.0


class BrokerSilentError(NengliuError):
    """The broker did not answer, or did not let a gateway in."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that the broker has not answered yet. number: its place in the run, from 1; refused: the reason code
    with which the broker must refuse it, or 0; breaks: it must end the connection instead.
    """

    number: int
    kind: str
    refused: int = 0
    breaks: bool = False


@dataclass(slots=True)
class Answers:
    """What the broker said: how many it refused and broke off as it should; what it did otherwise goes to `verdict`."""

    verdict: Verdict
    refused: int = 0
    broken: int = 0

    def surprise(self, waiting: Waiting, fault: Fault, detail: str) -> None:
        """Note an answer that was not to be."""
        self.verdict.add(Example(fault, waiting.kind, waiting.number, detail))


class Line:
    """A gateway's connection. Raises BrokerSilentError."""

    def __init__(self, broker: MqttEndpoint, credential: Credential, answers: Answers) -> None:
        self._broker, self._credential, self._answers = broker, credential, answers
        self._waiting: dict[int, Waiting] = {}
        self._mid = 0
        self._connections = 0
        self.connect()

    def connect(self) -> None:
        """Make the connection, anew where there was one: topic aliases and what was under way are gone."""
        self._aliases: dict[int, str] = {}
        self._buffer, self._out = bytearray(), bytearray()
        self._waiting.clear()
        self._connections += 1
        self.sock = self._broker.open(_ANSWER_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name, password = self._credential.gateway, self._credential.password
        self.sock.sendall(mqtt5.connect(f"hostile-{name}-{self._connections}", name, password))
        answer = self.sock.recv(256)
        if len(answer) < 4 or answer[0] != mqtt5.CONNACK or answer[3]:
            raise BrokerSilentError(f"the broker does not let {name} in: {answer[:8].hex()}")
        self.sock.setblocking(False)

    @property
    def idle(self) -> bool:
        """Whether all is sent and answered."""
        return not self._waiting and not self._out

    @property
    def full(self) -> bool:
        """Whether it must not be given more now."""
        return len(self._waiting) >= _WINDOW or len(self._out) >= _MOST_WAITING

    @property
    def wants_write(self) -> bool:
        """Whether something waits for the socket."""
        return bool(self._out)

    def put(self, number: int, sent: Sent) -> None:
        """Give it a message to send."""
        m = sent.message
        if m.qos:
            self._mid = self._mid % 65535 + 1
            while self._mid in self._waiting:
                self._mid = self._mid % 65535 + 1
            self._waiting[self._mid] = Waiting(number, sent.kind, m.refused, m.breaks)
        topic, properties = m.topic, mqtt5.user_properties(m.properties) + m.extra
        if m.alias:
            properties += mqtt5.topic_alias(m.alias)
            if self._aliases.get(m.alias) == topic:
                topic = ""
            self._aliases[m.alias] = m.topic
        self._out += mqtt5.publish(topic, m.payload, self._mid, m.qos, m.dup, m.retain, properties)

    def write(self) -> None:
        """Send what the socket takes; raises OSError where the connection is gone."""
        while self._out:
            sent = wire.send(self.sock, self._out)
            if not sent:
                return
            del self._out[:sent]

    def read(self) -> None:
        """Take the broker's answers; raises OSError where the connection is gone."""
        self._buffer += wire.receive(self.sock)
        for first, body in mqtt5.take_packets(self._buffer):
            if first in (mqtt5.PUBACK, mqtt5.PUBREC, mqtt5.PUBCOMP):
                self._answered(first, *mqtt5.answer_of(body))

    def _answered(self, first: int, mid: int, reason: int) -> None:
        waiting = self._waiting.get(mid)
        if waiting is None:
            return
        if first == mqtt5.PUBREC and reason < mqtt5.FAILED_FROM:
            self._out += mqtt5.pubrel(mid)
            return
        del self._waiting[mid]
        refusal = reason if reason >= mqtt5.FAILED_FROM else 0
        if waiting.breaks:
            self._answers.surprise(waiting, Fault.BREAK, f"answered with reason {reason:#04x}")
        elif refusal != waiting.refused:
            detail = f"reason {reason:#04x} in place of {waiting.refused:#04x}"
            self._answers.surprise(waiting, Fault.REFUSAL, detail)
        elif refusal:
            self._answers.refused += 1

    def oldest(self) -> Waiting | None:
        """The message that is unanswered for longest."""
        return next(iter(self._waiting.values()), None)

    def close(self) -> None:
        """End the connection."""
        self.sock.close()


class Gateways:
    """The connections of all gateways, served by the thread that publishes."""

    def __init__(self, broker: MqttEndpoint, credentials: Sequence[Credential], verdict: Verdict) -> None:
        self.answers = Answers(verdict)
        self._selector = selectors.DefaultSelector()
        self._lines = [Line(broker, c, self.answers) for c in credentials]
        for line in self._lines:
            self._selector.register(line.sock, selectors.EVENT_READ, line)

    def publish(self, number: int, sent: Sent) -> None:
        """Send a message through its gateway's connection, when that has room. Raises BrokerSilentError."""
        line = self._lines[sent.gateway]
        if sent.message.breaks:
            self._until(lambda: line.idle, line)
            line.put(number, sent)
            self._until(lambda: line.idle, line)
        else:
            self._until(lambda: not line.full, line)
            line.put(number, sent)

    def finish(self) -> None:
        """Until everything is answered. Raises BrokerSilentError."""
        for line in self._lines:
            self._until(lambda line=line: line.idle, line)  # type: ignore[misc]

    def close(self) -> None:
        """End all connections."""
        for line in self._lines:
            line.close()
        self._selector.close()

    def turn(self, wait_s: float) -> None:
        """Send and receive once, waiting so long at most for something to do."""
        for line in self._lines:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.wants_write else 0)
            if self._selector.get_key(line.sock).events != wanted:
                self._selector.modify(line.sock, wanted, line)
        for key, events in self._selector.select(wait_s):
            line = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    line.write()
                if events & selectors.EVENT_READ:
                    line.read()
            except OSError as e:
                self._lost(line, e)

    def _until(self, done: Callable[[], bool], line: Line) -> None:
        deadline = time.monotonic() + _ANSWER_S
        oldest = line.oldest()
        while not done():
            self.turn(1.0)
            if line.oldest() is not oldest:
                oldest, deadline = line.oldest(), time.monotonic() + _ANSWER_S
            if time.monotonic() > deadline:
                raise BrokerSilentError(f"the broker does not answer {oldest} within {_ANSWER_S:.0f} s")

    def _lost(self, line: Line, error: OSError) -> None:
        """A connection has ended: as it should, or through the message that is unanswered for longest."""
        waiting = line.oldest() or Waiting(0, "none")
        if waiting.breaks:
            self.answers.broken += 1
        else:
            self.answers.surprise(waiting, Fault.BREAK, str(error))
        self._selector.unregister(line.sock)
        line.close()
        line.connect()
        self._selector.register(line.sock, selectors.EVENT_READ, line)


@contextmanager
def connected(
    broker: MqttEndpoint, credentials: Sequence[Credential], verdict: Verdict
) -> Iterator[Gateways]:
    """The gateways' connections, ended afterwards; what the broker does wrong is added to `verdict`."""
    gateways = Gateways(broker, credentials, verdict)
    try:
        yield gateways
    finally:
        gateways.close()
