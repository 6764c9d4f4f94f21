"""What gateways with faults send: every message once to be kept, whatever happens on its way."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.emission import Emission
from simulators.scenario.draw import Fault
from simulators.scenario.gateway_run import GatewayRun, damaged

STEP_US = 900_000_000
ZONE = ZoneInfo("Asia/Shanghai")


def fault(kind: str, first: int = 10, last: int = 20, **values: object) -> Fault:
    return Fault(
        kind, kind, "gateway", "S", "gw", (0,), first * STEP_US, last * STEP_US, {"salt": 7, **values}
    )


def sent(faults: list[Fault], seed: str = "1", count: int = 40) -> list[Emission]:
    run = GatewayRun("gw", faults, seed, ZONE)
    return [e for n in range(1, count + 1) for e in run.send(n * STEP_US, f'{{"n":{n}}}', 1)]


def kept(emissions: list[Emission]) -> list[int]:
    """Which times of reading are in a message that an outbox keeps."""
    return [json.loads(e.payload)["readings"][0]["n"] for e in emissions if e.awaited]


def test_without_faults_every_time_is_one_message_with_the_next_number():
    found = sent([])
    assert [e.seq for e in found] == list(range(1, 41))
    assert kept(found) == list(range(1, 41))
    assert len({e.outbox for e in found}) == 1
    assert all(0 < e.due_us - (n + 1) * STEP_US < 10_000_000 for n, e in enumerate(found))
    assert json.loads(found[0].payload)["sent_at"].endswith("+08:00")


@given(st.text(min_size=1, max_size=5), st.floats(0, 1), st.floats(0, 20_000))
def test_repeats_and_disorder_change_no_byte_and_lose_nothing(seed, share, seconds):
    faults = [
        fault("repeats", share=share, after=seconds),
        fault("reorder", 15, 30, share=share, within=seconds),
    ]
    plain, found = sent([], seed), sent(faults, seed)
    numbered = {e.seq: json.loads(e.payload)["readings"] for e in plain}
    assert sorted(kept(found)) == list(range(1, 41))
    for e in found:
        assert json.loads(e.payload)["readings"] == numbered[e.seq]
    assert {e.seq for e in found if not e.awaited} <= set(range(10, 20))
    repeats = {e.seq: e.payload for e in found if not e.awaited}
    firsts = {e.seq: e.payload for e in found if e.awaited}
    assert all(firsts[seq] == payload for seq, payload in repeats.items())
    assert sent(faults, seed) == found


def test_a_late_batch_comes_after_its_time_and_what_is_read_meanwhile_before_it():
    found = {e.seq: e.due_us for e in sent([fault("late_batch", delay=3600.0)])}
    free = 20 * STEP_US + 3_600_000_000
    late = [found[n] for n in range(10, 20)]
    assert all(due > free for due in late)
    assert late == sorted(late)
    assert found[20] < late[0]
    assert found[9] < 10 * STEP_US


def test_a_wiped_gateway_loses_what_waited_and_begins_another_outbox_at_1():
    found = sent([fault("gateway_wiped", 10, 11, pending=2 * 900.0)])
    assert kept(found) == [*range(1, 8), *range(10, 41)]
    assert [e.seq for e in found[7:10]] == [1, 2, 3]
    assert found[0].outbox != found[7].outbox


def test_a_swapped_gateway_has_another_name_and_outbox():
    found = sent([fault("gateway_swapped", 10, 40, record="never")])
    assert {e.gateway for e in found[:9]} == {"gw"}
    assert {e.gateway for e in found[9:]} == {"gw-b"}
    assert found[9].seq == 1


def test_a_gateway_swapped_twice_has_a_third_name_and_all_its_names_are_told():
    faults = [fault("gateway_swapped", n, 40, record="never") for n in (10, 20)]
    found = sent(faults)
    assert list(dict.fromkeys(e.gateway for e in found)) == GatewayRun("gw", faults, "1", ZONE).names()
    assert len({e.gateway for e in found}) == len({e.outbox for e in found}) == 3


@given(st.text(min_size=1, max_size=5))
def test_a_damaged_message_is_sent_again_whole_or_lost_as_the_fault_says(seed):
    again = sent([fault("wrong_bytes", share=1.0, then="again")], seed)
    assert sorted(kept(again)) == list(range(1, 41))
    lost = sent([fault("wrong_bytes", share=1.0, then="lost")], seed)
    assert sorted(kept(lost)) == [n for n in range(1, 41) if not 10 <= n < 20]
    for e in (e for e in (*again, *lost) if not e.awaited):
        assert e.readings == 0
        with pytest.raises(ValueError):  # noqa: PT011  (both of JSON's and of UTF-8's)
            json.loads(e.payload)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 60))
def test_no_damaged_message_is_json(how, readings):
    body = ",".join(['{"meter":"1","ts":"x","values":{"1.8.0":1.0}}'] * readings)
    with pytest.raises(ValueError):  # noqa: PT011
        json.loads(damaged(f'{{"v":1,"outbox":"a","seq":1,"readings":[{body}]}}'.encode(), how))


def test_a_gateway_whose_clock_is_off_says_so_in_what_it_sends():
    found = sent([fault("clock_jump", offset=86400.0, direction="slow")])
    assert json.loads(found[9].payload)["sent_at"][:10] == "1969-12-31"
    assert json.loads(found[25].payload)["sent_at"][:10] == "1970-01-01"
