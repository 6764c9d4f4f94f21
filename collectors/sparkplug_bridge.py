"""The bridge of Sparkplug B: exactly one at a time takes it, as only one can know the births.

Every bridge has one beside it, all with one client id and so one session at the broker, not shared. Kafka says whose
turn it is (stream/leadership.py); only that one connects, and takes the session over should its predecessor still be
connected. What that one had not acknowledged comes again. It knows no births at first and asks for them.
"""

from __future__ import annotations

import random
from dataclasses import replace
from threading import Event, Thread

import structlog

from collectors import metrics
from collectors.bridge import Bridge, BridgeOptions
from collectors.routes import Routes
from collectors.sparkplug_intake import SparkplugIntake
from stream.leadership import SESSION_S, Leadership
from stream.topics import ACKS

log = structlog.get_logger(__name__)


class SparkplugBridge(Bridge):
    """Stands by until it is its turn. Runs in a thread of its own."""

    _gauges = metrics.SPARKPLUG

    def __init__(self, options: BridgeOptions, routes: Routes, stop: Event) -> None:
        member = f"{options.client_id}-sparkplug"
        super().__init__(replace(options, client_id=f"{options.share_group}-sparkplug"), routes, stop)
        self._leadership = Leadership(
            options.kafka,
            options.topic_prefix + ACKS,
            f"{options.topic_prefix}nengliu-sparkplug-{options.share_group}",
            member,
        )

    def _make_intake(self, routes: Routes) -> SparkplugIntake:
        o = self._options
        self._births = SparkplugIntake(routes, self._inflight, o.topic_prefix, o.limits, session=o.client_id)
        return self._births

    def _subscriptions(self, routes: Routes) -> tuple[str, ...]:
        return tuple(routes.stateful_filters)

    def _await_turn(self) -> bool:
        if self._link.taken_over:
            log.warning("sparkplug_taken_over", action="standing by until Kafka has settled whose turn it is")
            self._births.forget()
            self._stop.wait(SESSION_S + 5.0 * random.random())
        waited = False
        while not self._leadership.held:
            if not waited:
                self._births.forget()
                waited = True
            self._check_threads()
            if self._stop.wait(0.2):
                return False
        return not self._stop.is_set()

    def _is_ours(self) -> bool:
        return self._leadership.held

    def _round(self) -> None:
        self._births.tick()
        metrics.SPARKPLUG_HELD.set(self._births.held)
        super()._round()

    def _publish_down(self) -> None:
        """What the edge nodes are told: requests for births. The shared bridges send the acknowledgements."""
        if self._link.ready and self._link.lost is None:
            for topic, payload in self._births.requests():
                self._link.publish(topic, payload, qos=0)

    def _listen(self) -> None:
        """Whose turn it is, until the stop."""
        self._leadership.run(self._stop)

    def _finish(self) -> None:
        """The session stays at the broker for the next one."""
        self._births.forget_waiting()
        self._flush()
        self._link.disconnect()


class SparkplugThread(Thread):
    """Runs a SparkplugBridge; should it fail, the service stops and `check` says why."""

    def __init__(self, bridge: SparkplugBridge, stop: Event) -> None:
        super().__init__(name="sparkplug")
        self._bridge, self._stop_asked = bridge, stop
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Until the stop."""
        try:
            self._bridge.run()
        except BaseException as e:
            self._failure = e
            self._stop_asked.set()
            log.exception("sparkplug_bridge_failed")

    def check(self) -> None:
        """Wait for its end; raise what ended it."""
        self.join()
        if self._failure is not None:
            raise RuntimeError("the bridge of Sparkplug B has failed") from self._failure
