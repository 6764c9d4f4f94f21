"""A gateway of the campaign as a process: the edge collector's own outbox and publisher, and a plan instead of meters.

Run as ``python -m tests.campaign.gateway TASK.json``. SIGTERM ends it. A step that the outbox does not take, its disk
being full, is tried again; a step that it took is never taken again, also not by a successor of a killed process.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path

import structlog

from collectors.edge.outbox import Outbox
from collectors.edge.publisher import Publisher, PublisherOptions
from collectors.edge.readings import MeterReading, SinkFullError

from .truth import Plan

_RESERVE_BYTES, _LOW_SPACE_BYTES = 2_000_000, 4_000_000
_AGAIN_S = 0.3
log = structlog.get_logger(__name__)


def take_steps(plan: Plan, outbox: Outbox, stop: threading.Event) -> None:
    """Put the plan's steps in, one after another, each a message whose number is the step's."""
    while not stop.is_set() and (step := outbox.last_seq + 1) <= plan.steps:
        due = time.monotonic() + plan.interval_s
        try:
            outbox.put([MeterReading(*reading) for reading in plan.readings(step)])
        except SinkFullError as e:
            log.warning("step_not_taken", step=step, error=str(e))
            due += _AGAIN_S
        stop.wait(max(0.0, due - time.monotonic()))


def main() -> None:
    """Run the gateway of a task."""
    task = json.loads(Path(sys.argv[1]).read_text())
    plan = Plan(*task["plan"])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    outbox = Outbox(Path(task["outbox"]), _RESERVE_BYTES, _LOW_SPACE_BYTES)
    options = PublisherOptions(plan.gateway, "127.0.0.1", task["port"], plan.gateway, task["password"])
    publisher = Publisher(outbox, options, stop)
    steps = threading.Thread(target=take_steps, args=(plan, outbox, stop), name="steps")
    steps.start()
    publisher.run()
    steps.join()
    outbox.close()


if __name__ == "__main__":
    main()
