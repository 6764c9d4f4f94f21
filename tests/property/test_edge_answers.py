"""Whatever bytes a line gives back: nothing raises, and nothing is read that is not the answer to the request."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collectors.edge.cjt188_master import Cjt188Meter
from collectors.edge.dlt645_master import Dlt645Meter
from collectors.edge.modbus_master import ModbusMeter
from collectors.edge.register_maps import load_map
from collectors.edge.talk import AnswerError, Kind, Said, Talk

MAP = load_map("generic-water-uint32", Path())

DLT645 = bytes.fromhex("68 00 00 00 00 01 12 68 91 08 33 33 34 33 89 67 45 33 B1 16")
CJT188 = bytes.fromhex(
    "68 10 33 22 11 00 78 00 33 81 16 1F 90 01 78 56 34 12 2C 00 00 00 00 2C 05 59 23 28 02 14 20 00 00 1B 16"
)
RTU = bytes.fromhex("11 03 04 00 01 E2 40 F3 62")
TCP = bytes.fromhex("12 34 00 00 00 07 11 03 04 00 01 E2 40")


def talks() -> list[tuple[Talk, bytes, dict[str, float]]]:
    """New conversations, each with its answer, and what that says."""
    dlt645, cjt188 = Dlt645Meter("120100000000"), Cjt188Meter("33007800112233", 0x10)
    rtu, tcp = (ModbusMeter(17, MAP, ("8:1.0.0",), (), r, count(0x1234)) for r in (True, False))
    return [
        (dlt645.steps()[0].begin(), DLT645, {"1.8.0": 1234.56}),
        (next(s for s in dlt645.steps() if s.kind is Kind.CLOCK).begin(), b"", {}),
        (cjt188.steps()[0].begin(), CJT188, {"8:1.0.0": 123456.78}),
        (rtu.steps()[0].begin(), RTU, {"8:1.0.0": 123.456}),
        (tcp.steps()[0].begin(), TCP, {"8:1.0.0": 123.456}),
    ]


def hear(talk: Talk, received: bytes) -> Said | None:
    frame = next(talk).find(received)
    if frame is None:
        return None
    try:
        talk.send(frame)
    except StopIteration as e:
        said: Said = e.value
        return said
    except AnswerError:
        return None
    return None


@given(st.binary(max_size=80))
def test_no_bytes_raise_and_none_but_an_answer_is_read(received: bytes):
    for talk, answer, _ in talks():
        said = hear(talk, received)
        assert said is None or (answer and answer in received)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_an_answer_is_read_whatever_stands_around_it(before: bytes, after: bytes):
    if 0x68 in before:  # what looks like the head of a frame may swallow it: then it is asked again
        before = before.replace(b"\x68", b"")
    for talk, answer, values in talks():
        if answer:
            said = hear(talk, before + answer + after)
            assert said is not None
            assert said.values == values


@given(st.data())
def test_an_answer_with_a_byte_changed_is_never_read_as_another_value(data: st.DataObject):
    for talk, answer, values in talks():
        if answer in (b"", TCP):  # TCP frames have no checksum of their own: TCP's guards them
            continue
        at = data.draw(st.integers(0, len(answer) - 1))
        changed = bytes([data.draw(st.integers(1, 255)) ^ answer[at]])
        said = hear(talk, answer[:at] + changed + answer[at + 1 :])
        assert said is None or said.values == values


@given(st.data())
def test_an_answer_cut_anywhere_is_awaited(data: st.DataObject):
    for talk, answer, _ in talks():
        if answer:
            cut = data.draw(st.integers(0, len(answer) - 1))
            assert next(talk).find(answer[:cut]) is None
