"""The decoders of frames: no bytes make them raise, every byte is accounted for once, and a broken frame does not
cost its neighbours.

Frames are built here from the standards' words, not by anything of the decoders.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.decoders import cjt188, dlt645
from collectors.decoders.base import Decoded, Decoder
from collectors.decoders.frames import Shape, stretches
from collectors.routes import DECODERS

NOW_US = 1_700_000_000_000_000
GOLDEN = Path(__file__).parent.parent / "golden"
SHAPES: dict[str, Shape] = {"cjt188": cjt188.SHAPE, "dlt645": dlt645.SHAPE}
FORMATS = sorted(SHAPES)


def golden_payloads(name: str) -> list[bytes]:
    """Every golden payload of a format."""
    texts = [p.read_text() for p in sorted((GOLDEN / name).glob("*/input.hex"))]
    return [bytes.fromhex(" ".join(x.partition("#")[0] for x in t.splitlines())) for t in texts]


def closed(body: bytes) -> bytes:
    """A frame: its bytes, their sum, and the end."""
    return body + bytes([sum(body) % 256, 0x16])


def bcd(number: int, size: int) -> bytes:
    """Two digits a byte, the last two first."""
    return bytes(int(f"{number // 100**n % 100:02}", 16) for n in range(size))


@st.composite
def dlt645_frames(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, float]]:
    """An answer and what it says."""
    meter = draw(st.integers(0, 10**12 - 1))
    data_id, register, size, decimals = draw(
        st.sampled_from(
            [
                ((0x00, 0x01, 0x00, 0x00), "1.8.0", 4, 2),
                ((0x00, 0x01, 0x03, 0x00), "1.8.3", 4, 2),
                ((0x00, 0x02, 0x00, 0x00), "2.8.0", 4, 2),
                ((0x02, 0x01, 0x02, 0x00), "52.7.0", 2, 1),
                ((0x02, 0x02, 0x01, 0x00), "31.7.0", 3, 3),
                ((0x02, 0x03, 0x00, 0x00), "16.7.0", 3, 4),
            ]
        )
    )
    signed = size == 3
    number = draw(st.integers(0, (8 if signed else 10) * 10 ** (2 * size - 1) - 1))
    value = bytearray(bcd(number, size))
    negative = signed and draw(st.booleans())
    if negative:
        value[-1] |= 0x80
    data = bytes((b + 0x33) % 256 for b in bytes(reversed(data_id)) + bytes(value))
    frame = closed(b"\x68" + bcd(meter, 6) + b"\x68\x91" + bytes([len(data)]) + data)
    shown = float(f"{'-' if negative and number else ''}{number}e-{decimals}")
    return frame, (f"{meter:012}", register, shown)


@st.composite
def cjt188_frames(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, float]]:
    """An answer to 901F and what it says."""
    meter, total, other = (draw(st.integers(0, 10**n - 1)) for n in (14, 8, 8))
    clock, status = bytes.fromhex("00 15 00 01 03 14 20"), draw(st.binary(min_size=2, max_size=2))
    kind = draw(st.sampled_from([0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x30]))
    data = draw(st.sampled_from([b"\x1f\x90", b"\x90\x1f"])) + draw(st.binary(min_size=1, max_size=1))
    if kind in (0x20, 0x21):
        register = "6:1.0.0" if kind == 0x20 else "5:1.0.0"
        unit = draw(st.sampled_from([b"\x05", b"\x08", b"\x0e", b"\x11"]))
        data += bcd(other, 4) + unit + bcd(total, 4) + unit + bcd(0, 4) + b"\x17" + bcd(0, 4) + b"\x35"
        data += bcd(other, 4) + b"\x2c" + bcd(4512, 3) + bcd(3801, 3) + bcd(9, 3) + clock + status
    else:
        register = "7:3.0.0" if kind == 0x30 else "8:1.0.0"
        data += bcd(total, 4) + b"\x2c" + bcd(other, 4) + b"\x2c" + clock + status
    frame = closed(bytes([0x68, kind]) + bcd(meter, 7) + b"\x81" + bytes([len(data)]) + data)
    return frame, (f"{meter:014}", register, float(f"{total}e-2"))


FRAMES = {"cjt188": cjt188_frames(), "dlt645": dlt645_frames()}
wake_ups = st.integers(0, 4).map(lambda n: b"\xfe" * n)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """Golden payloads and arbitrary bytes put together, some of them changed, doubled or left out."""
    pieces = st.one_of(
        st.sampled_from(golden_payloads(name)),
        st.binary(max_size=20),
        wake_ups,
        FRAMES[name].map(lambda f: f[0]),
    )
    data = b"".join(draw(st.lists(pieces, max_size=5)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 20)) :]
    return data


def decoded(name: str, payload: bytes) -> Decoded:
    """What the decoder of a format makes of a payload without user properties."""
    decoder: Decoder = DECODERS[name]
    return decoder("g", payload, (), NOW_US)


def said(d: Decoded) -> list[tuple[str, str, float]]:
    return list(zip(d.meters, d.registers, d.values, strict=True))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_bytes_make_a_decoder_raise_and_every_byte_is_in_one_stretch(
    name: str, data: st.DataObject
) -> None:
    payload = data.draw(st.one_of(mutated(name), st.binary(max_size=120)))
    got = decoded(name, payload)
    cut = list(stretches(payload, SHAPES[name]))
    assert b"".join(payload[s.start : s.end] for s in cut) == payload
    assert all(s.start <= s.at < s.end for s in cut)
    assert all(set(payload[s.start : s.at]) <= {0xFE} for s in cut)
    assert (got.failure is not None) == (not payload)
    if payload:
        assert len(got) + len(got.rejected) >= len(cut)
    for meter, ts_us in zip(got.meters, got.ts_us, strict=True):
        assert meter.isdecimal()
        assert ts_us == NOW_US
    for r in got.rejected:
        assert r.payload in payload
        assert r.detail


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_byte_is_in_one_accepted_frame_or_one_reject(name: str, data: st.DataObject) -> None:
    """What is not rejected is the frames that were read; all comes in the order of the bytes."""
    payload = data.draw(mutated(name))
    got = decoded(name, payload)
    readings, rejects = [], []
    for s in stretches(payload, SHAPES[name]):
        bytes_of_it = payload[s.start : s.end]
        alone = decoded(name, bytes_of_it) if s.reason is None else Decoded()
        readings += said(alone)
        rejects += [r.payload for r in alone.rejected] if len(alone) else [bytes_of_it]
    assert said(got) == readings
    assert [r.payload for r in got.rejected] == rejects


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_frames_say_what_was_put_in(name: str, data: st.DataObject) -> None:
    frames = data.draw(st.lists(st.tuples(wake_ups, FRAMES[name]), min_size=1, max_size=6))
    got = decoded(name, b"".join(w + f for w, (f, _) in frames))
    assert said(got) == [s for _, (_, s) in frames]
    assert not got.rejected


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_broken_frame_costs_only_itself(name: str, data: st.DataObject) -> None:
    (first, a), (broken, _), (last, b) = (data.draw(FRAMES[name]) for _ in range(3))
    at = data.draw(st.integers(0, len(broken) - 1))
    if data.draw(st.booleans()):
        broken = broken[:at] + bytes([broken[at] ^ data.draw(st.integers(1, 255))]) + broken[at + 1 :]
    else:
        broken = broken[:at]
    got = decoded(name, first + broken + last)
    assert said(got) == [a, b]
    assert b"".join(r.payload for r in got.rejected).strip(b"\xfe") == broken.strip(b"\xfe")


@pytest.mark.parametrize("name", FORMATS)
def test_a_large_hostile_payload_takes_time_in_proportion(name: str) -> None:
    """Every byte may begin a frame; each still is looked at a bounded number of times."""
    for piece in (b"\x68", b"\x68\x10\x16", b"\xfe", b"\x68\xfe", golden_payloads(name)[0][:9]):
        payload = (piece * (512 * 1024))[: 512 * 1024]
        got = decoded(name, payload)
        assert not len(got)
        assert sum(len(r.payload) for r in got.rejected) == len(payload)


@pytest.mark.parametrize("name", FORMATS)
def test_over_the_limit_is_too_large_and_its_outbox_is_told(name: str) -> None:
    payload = bytes(512 * 1024 + 1)
    got = DECODERS[name]("g", payload, (("outbox", "o"), ("seq", "5")), NOW_US)
    assert got.failure is not None
    assert (got.failure[0], got.outbox, got.seq) == ("too_large", "o", 5)
