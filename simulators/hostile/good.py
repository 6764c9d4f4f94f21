"""Good messages of every format, to be sent among hostile ones."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from metering.instants import from_us
from simulators.hostile.cases import Leaf, Message, Reading, Spot, iso
from simulators.hostile.frames import CJT188, DLT645, Bus

_NEW_YORK = ZoneInfo("America/New_York")
_REGISTERS = ("1.8.0", "2.8.0", "16.7.0", "32.7.0")


def good(spot: Spot) -> Message:
    """One good message, of the format that is its turn."""
    makers = (_native, _native, _dlt645, _cjt188, _neuron, _vendor)
    return makers[spot.rng.randrange(len(makers))](spot)


def _native(spot: Spot) -> Message:
    stored = tuple(Reading(spot.names.meter, r, spot.ts_us, spot.n / 8 + i) for i, r in enumerate(_REGISTERS))
    values = ",".join(f'"{r.register}":{r.value!r}' for r in stored)
    text = (
        f'{{"v":1,"outbox":"hostile","seq":{spot.outbox.take()},"sent_at":"{iso(spot.now_us)}","readings":'
        f'[{{"meter":"{spot.names.meter}","ts":"{spot.ts}","values":{{{values}}}}}]}}'
    )
    return Message(spot.topic(Leaf.NATIVE), text.encode(), stored=stored)


def _frame(spot: Spot, bus: Bus) -> Message:
    frame, reading = bus.good(spot)
    properties = (("outbox", "hostile"), ("seq", str(spot.outbox.take())), ("ts", spot.ts))
    return Message(spot.topic(bus.leaf), b"\xfe" * 4 + frame, stored=(reading,), properties=properties)


def _dlt645(spot: Spot) -> Message:
    return _frame(spot, DLT645)


def _cjt188(spot: Spot) -> Message:
    return _frame(spot, CJT188)


def _neuron(spot: Spot) -> Message:
    names, hundredths = spot.names, spot.n % 1_000_000
    text = (
        f'{{"timestamp":{spot.ts_us // 1000},"node":"{names.gateway}","group":"g",'
        f'"values":{{"EPtp":{hundredths},"heartbeat":1}},"errors":{{}},"metas":{{}}}}'
    )
    reading = Reading(names.meter, "1.8.0", spot.ts_us, hundredths / 100)
    return Message(spot.topic(Leaf.NEURON), text.encode(), stored=(reading,))


def _vendor(spot: Spot) -> Message:
    local: datetime = from_us(spot.ts_us).astimezone(_NEW_YORK)
    at = local.strftime("%Y-%m-%d %H:%M:%S")
    text = f'{{"data":[{{"addr":"{spot.names.meter}","at":"{at}","v":{{"E":{spot.n},"P":{spot.n % 99}}}}}]}}'
    stored = (
        Reading(spot.names.meter, "1.8.0", spot.ts_us, spot.n / 10),
        Reading(spot.names.meter, "16.7.0", spot.ts_us, float(spot.n % 99)),
    )
    return Message(spot.topic(Leaf.VENDOR), text.encode(), stored=stored)
