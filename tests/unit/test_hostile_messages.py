"""What the decoders make of every class of hostile messages is what the class says must become of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from collectors.decoders.declared_formats import load_formats
from collectors.routes import Routes
from simulators.hostile.cases import Kind, Message, Reading, Reject, Sequence, Spot
from simulators.hostile.mix import GOOD, KINDS, Plan, Run
from simulators.hostile.topics import declared_files, filters
from storage.writer_rejects import reading_message

NOW_US = 1_792_000_000_000_000
PLAN = Plan("run", 500, 7, NOW_US, gateways=4)
METERS = {m for n in PLAN.names() for m in (n.meter, n.power_meter, n.water_meter)}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Routes:
    files = declared_files(PLAN.names(), tmp_path_factory.mktemp("formats"))
    return Routes(filters(PLAN.prefix), load_formats(files))


def decoded(routes: Routes, message: Message) -> tuple[Counter[Reading], Counter[Reject]]:
    """(readings, rejects) of a message, the registry's refusals among them; the first value of a reading counts."""
    route = routes.of(message.topic)
    assert route is not None
    assert route.decoder is not None
    out = route.decoder(route.gateway, message.payload, message.properties, NOW_US)
    if out.failure is not None:
        return Counter(), Counter([Reject(out.failure[0], message.payload)])
    rejects = Counter(Reject(r.reason, r.payload) for r in out.rejected)
    stored: dict[tuple[str, str, int], Reading] = {}
    own = {n.meter for n in PLAN.names() if n.gateway == route.gateway} | METERS - {
        n.meter for n in PLAN.names()
    }
    for meter, register, ts_us, value in zip(out.meters, out.registers, out.ts_us, out.values, strict=True):
        if meter in own:
            stored.setdefault((meter, register, ts_us), Reading(meter, register, ts_us, value))
        else:
            reason = "unauthorized" if meter in METERS else "unknown_meter"
            rejects[Reject(reason, reading_message(meter, register, ts_us, value, False))] += 1
    return Counter(stored.values()), rejects


def spot(n: int) -> Spot:
    return Spot(PLAN.names()[1], n, NOW_US, Random(n), Sequence())


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_each_class_is_decoded_as_it_says(routes: Routes, kind: Kind) -> None:
    for n in range(1, 30 if kind.share == 1 else 4):
        message = kind.make(spot(n))
        if message.refused or message.breaks:
            assert not (message.stored)
            assert not (message.rejects)
            continue
        assert decoded(routes, message) == (Counter(message.stored), Counter(message.rejects))


def test_a_run_is_the_same_for_a_seed_and_holds_every_class(routes: Routes) -> None:
    first, second = list(Run(PLAN).messages()), list(Run(PLAN).messages())
    assert first == second
    kinds = Counter(s.kind for s in first)
    assert kinds.keys() == {k.name for k in KINDS} | {GOOD}
    assert sum(kinds.values()) - kinds[GOOD] == PLAN.messages
    assert kinds[GOOD] > 80
    for s in first:
        if s.kind == GOOD and not s.message.topic.startswith("spBv1.0/"):  # these need what a birth told
            assert decoded(routes, s.message) == (Counter(s.message.stored), Counter())


def test_declared_formats_can_be_read(tmp_path: Path) -> None:
    assert set(load_formats(declared_files(PLAN.names(), tmp_path))) == {"hostile_neuron", "hostile_vendor"}
