"""`bench hostile`: wrong, broken and ill-meant messages of every class among good ones, through the whole chain.

On the servers of the running local stack, with a database, topics, gateways, a bridge and a writer of its own. Every
good value must be stored once, every bad one must be a dead letter with the right reason and bytes, the broker must
refuse what is not allowed, and nothing may be started again.

The broker keeps 100,000 messages for a bridge (max_queued_messages) and drops in silence what comes beyond. So no more
than 20,000 are on their way at any time: what was published and must arrive, less what the bridge says it has taken
(nengliu_bridge_messages_total, asked whenever the bound is reached). Behind the bridge Kafka holds what the writer has
not stored yet.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from deploy.bench.hostile_books import Books, Expected, expected_of, found_in, received, reject_shown
from deploy.bench.hostile_client import Gateways, connected
from deploy.bench.hostile_verdict import Example, Verdict, compare
from deploy.bench.hostile_watch import Watch
from deploy.bench.rig import (
    BenchError,
    Rig,
    Service,
    await_metric,
    bench_rig,
    check_alive,
    metric,
    metrics,
    peak_rss_mb,
    require_local_stack,
    tail,
)
from deploy.clients import connect_database, mqtt_connection
from deploy.load.registry import Installed, write_registry
from deploy.settings import Settings
from deploy.stack.steps import Steps
from simulators.hostile.cases import Leaf, Message, Names
from simulators.hostile.mix import GOOD, KINDS, Plan, Run, Sent
from simulators.hostile.topics import declared_files, filters

_MOST_AHEAD = 20_000
_STALL_S = 60.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class HostileOptions:
    """messages: hostile ones; good_share: good ones to one of them."""

    messages: int = 1_000_000
    seed: int = 1
    gateways: int = 8
    good_share: float = 0.25


@dataclass(slots=True)
class Sums:
    """Of what was published: messages, those that must reach the bridge, values that must be in the ledger."""

    messages: int = 0
    good: int = 0
    arriving: int = 0
    values: int = 0

    def add(self, sent: Sent) -> None:
        """Count a message."""
        m = sent.message
        self.messages += 1
        self.good += sent.kind == GOOD
        self.arriving += not (m.refused or m.breaks)
        self.values += len(m.stored) + m.repeated + m.conflicting + len(m.rejects)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds since the first publish: when all was published, when all was in the books."""

    published_s: float
    stored_s: float
    complete: bool


def run_hostile(settings: Settings, options: HostileOptions, steps: Steps) -> dict[str, Any]:
    """Send, wait, compare; the report, whose `passed` says whether all was as it must be.

    Raises BenchError, BrokerSilentError, DependencyAwayError.
    """
    require_local_stack(settings, "hostile")
    tag = f"bench-{secrets.token_hex(3)}"
    plan = Plan(
        tag, options.messages, options.seed, time.time_ns() // 1000, options.gateways, options.good_share
    )
    names = plan.names()
    gateways = [n.gateway for n in names]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nengliu-hostile-")))
        formats = json.dumps([str(f) for f in declared_files(names, folder)])
        rig = stack.enter_context(
            bench_rig(
                settings,
                tag,
                gateways,
                filters(tag),
                lambda where: write_registry(where, _installations(names)),
                {"NENGLIU_DECODER_FILES": formats},
            )
        )
        (bridge,) = rig.start("bridge")
        rig.start("writer")
        await_metric(bridge, "nengliu_sparkplug_mqtt_connected")
        watch, verdict = Watch(rig), Verdict()
        connection = stack.enter_context(
            connect_database(settings, "owner", autocommit=True, database=rig.database)
        )
        broker = mqtt_connection(settings, "bridge")
        lines = stack.enter_context(connected(broker, rig.credentials, verdict))
        try:
            sums, times = _carry_out(plan, rig, lines, connection, steps)
            with steps.step("对账", "Compare the database with what must be there", long=True):
                expected = expected_of(Run(plan).messages(), gateways)
                found = found_in(connection, expected.words, gateways)
                compare(expected, found, verdict)
                examples = [
                    *_examples(plan, [e for e in verdict.examples if e.number or e.reject_id], connection),
                    *(e.detail for e in verdict.examples if not (e.number or e.reject_id)),
                ]
            changed = watch.differences()
            rss_mb = watch.peak_rss_mb() | {"bench": peak_rss_mb(os.getpid())}
        finally:
            _forget_retained(names, lines)
    return _report(options, sums, times, expected, found, lines, verdict, changed) | {
        "examples": examples,
        "peak_rss_mb": rss_mb,
    }


def _installations(names: Sequence[Names]) -> list[Installed]:
    return [
        installed
        for n in names
        for installed in (
            Installed(n.meter, n.gateway, "1.8.0", "json"),
            Installed(n.power_meter, n.gateway, "1.8.0", "dlt645"),
            Installed(n.water_meter, n.gateway, "8:1.0.0", "cjt188", "02", "m3"),
        )
    ]


# ---------------------------------------------------------------- sending


def _carry_out(
    plan: Plan, rig: Rig, lines: Gateways, connection: psycopg.Connection[Any], steps: Steps
) -> tuple[Sums, Times]:
    """Publish the run, and wait until the books hold it."""
    sums, (bridge, writer) = Sums(), rig.services
    gateways = [n.gateway for n in plan.names()]
    started = time.monotonic()
    with steps.step(
        f"发送 {plan.messages:,} 条恶意消息", f"Publish {plan.messages:,} hostile messages", long=True
    ) as step:
        total = plan.messages * (1 + plan.good_share)
        pace = _Pace(bridge, lines)
        for number, sent in enumerate(Run(plan).messages(), start=1):
            lines.publish(number, sent)
            sums.add(sent)
            pace.keep(sums.arriving)
            if number % 500 == 0:
                step.advance(number, total)
        lines.finish()
        published = time.monotonic()
        step.note(f"{sums.messages / (published - started):,.0f}/s")
    with steps.step("等待入库", "Wait until all is in the books", long=True) as step:
        complete = _await_books(connection, gateways, sums, (bridge, writer), step.advance)
    return sums, Times(published - started, time.monotonic() - started, complete)


class _Pace:
    """Holds the publishers back while too much is on its way to the bridge."""

    def __init__(self, bridge: Service, lines: Gateways) -> None:
        self._bridge, self._lines = bridge, lines
        self._taken = 0.0

    def keep(self, arriving: int) -> None:
        """Return when fewer than the bound are on their way. Raises BenchError where the bridge takes nothing more."""
        since = time.monotonic()
        while arriving - self._taken >= _MOST_AHEAD:
            self._rest()
            taken = metric(self._bridge, "nengliu_bridge_messages_total")
            if taken > self._taken:
                self._taken, since = taken, time.monotonic()
            check_alive(self._bridge)
            if time.monotonic() - since > _STALL_S:
                raise BenchError(
                    f"the bridge took {taken:.0f} of {arriving} messages and nothing more for {_STALL_S:.0f} s:\n"
                    + tail(self._bridge)
                )

    def _rest(self) -> None:
        """Serve the connections for a moment: asking costs the bridge some milliseconds."""
        until = time.monotonic() + _POLL_S
        while (left := until - time.monotonic()) > 0:
            self._lines.turn(left)


def _await_books(
    connection: psycopg.Connection[Any],
    gateways: Sequence[str],
    sums: Sums,
    services: Sequence[Service],
    show: Callable[[float, float], None],
) -> bool:
    """Until the ledger has every value and nothing is under way; False: nothing came any more."""
    bridge, writer = services
    last, since = -1, time.monotonic()
    while True:
        there = received(connection, gateways)
        show(there, sums.values)
        if there >= sums.values and _quiet(bridge, writer):
            return True
        if there != last:
            last, since = there, time.monotonic()
        if time.monotonic() - since > _STALL_S:
            return False
        for service in services:
            check_alive(service)
        time.sleep(_POLL_S)


def _quiet(bridge: Service, writer: Service) -> bool:
    under_way = metrics(bridge, "nengliu_bridge_in_flight_messages", "nengliu_sparkplug_in_flight_messages")
    return not any(under_way) and not metric(writer, "nengliu_stream_lag_records")


def _forget_retained(names: Sequence[Names], lines: Gateways) -> None:
    """Take back what the run retained: an empty message to each topic (MQTT 5.0, 3.3.1.3)."""
    for g, n in enumerate(names):
        topic = f"{n.prefix}/{n.gateway}/{Leaf.NATIVE.value}"
        lines.publish(0, Sent(g, "none", Message(topic, b"", retain=True)))
    lines.finish()


# ---------------------------------------------------------------- telling


def _examples(plan: Plan, examples: Sequence[Example], connection: psycopg.Connection[Any]) -> list[str]:
    """The differences in words, with the message and the dead letter that they are about."""
    wanted = {e.number for e in examples}
    sent = {n: s for n, s in enumerate(Run(plan).messages(), start=1) if n in wanted} if wanted - {0} else {}
    told = []
    for e in examples:
        text = f"{e.fault} ({e.kind}, message {e.number}): {e.detail}"
        if e.number in sent:
            m = sent[e.number].message
            text += f"; sent to {m.topic[:100]}: {m.payload[:200]!r}"
            text += f"; must be {m.rejects[0].reason}: {m.rejects[0].payload[:200]!r}" if m.rejects else ""
        if e.reject_id:
            text += f"; dead letter {reject_shown(connection, e.reject_id)}"
        told.append(text)
    return told


def _report(
    options: HostileOptions,
    sums: Sums,
    times: Times,
    expected: Expected,
    found: Books,
    lines: Gateways,
    verdict: Verdict,
    changed: Sequence[str],
) -> dict[str, Any]:
    reasons = list(expected.words.reasons)
    rejects = Counter(reasons[r] for r in found.rejects.reason.tolist())
    return {
        "classes": len(KINDS),
        "messages": sums.messages,
        "hostile": sums.messages - sums.good,
        "good": sums.good,
        "seed": options.seed,
        "gateways": options.gateways,
        "values": sums.values,
        "stored": len(found.readings.ts_us),
        "rejects": dict(rejects.most_common()),
        "refused_by_broker": lines.answers.refused,
        "connections_ended_by_broker": lines.answers.broken,
        "published_s": round(times.published_s, 1),
        "seconds": round(times.stored_s, 1),
        "messages_per_s": round(sums.messages / times.stored_s),
        "complete": times.complete,
        "verdict": verdict.by_fault,
        "failed_classes": verdict.by_class,
        "restarts": list(changed),
        "passed": times.complete and not verdict.counts and not changed,
    }
