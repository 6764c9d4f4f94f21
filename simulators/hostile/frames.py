"""Hostile DL/T 645-2007 and CJ/T 188-2004 answers: frames that are cut, damaged, not answers, or hold no value.

Written from the standards: DL/T 645-2007, 5.2 and annex A; CJ/T 188-2004, chapters 6 and 7. Bytes of a broken frame are
kept as they came; a good frame beside it must be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulators.hostile.cases import Kind, Leaf, Message, Reading, Reject, Spot, iso

_TOTAL = 0x00010000  # DL/T 645: active import, 4 bytes, 2 decimals
_WATER, _M3 = 0x10, 0x2C


def bcd(digits: str) -> bytes:
    """Digits as BCD bytes, low byte first."""
    return bytes.fromhex(digits)[::-1]


def dlt645(address: bytes, control: int, data: bytes) -> bytes:
    """A DL/T 645 frame; 33 is added to the data here."""
    body = b"\x68" + address + b"\x68" + bytes([control, len(data)]) + bytes((b + 0x33) & 0xFF for b in data)
    return body + bytes([sum(body) & 0xFF, 0x16])


def cjt188(kind: int, address: bytes, control: int, data: bytes) -> bytes:
    """A CJ/T 188 frame."""
    body = bytes([0x68, kind]) + address + bytes([control, len(data)]) + data
    return body + bytes([sum(body) & 0xFF, 0x16])


@dataclass(frozen=True, slots=True)
class Bus:
    """A protocol: its topic, its register, and a frame of a meter with a value in hundredths."""

    leaf: Leaf
    register: str
    meter: Callable[[Spot], str]
    data: Callable[[int], bytes]
    frame: Callable[[bytes, int, bytes], bytes]
    answer: int
    header: int

    def good(self, spot: Spot) -> tuple[bytes, Reading]:
        """A right answer of the gateway's own meter."""
        hundredths = spot.n % 90_000_000
        frame = self.frame(bcd(self.meter(spot)), self.answer, self.data(hundredths))
        return frame, Reading(self.meter(spot), self.register, spot.ts_us, hundredths / 100)


DLT645 = Bus(
    leaf=Leaf.DLT645,
    register="1.8.0",
    meter=lambda s: s.names.power_meter,
    data=lambda v: _TOTAL.to_bytes(4, "little") + bcd(f"{v:08d}"),
    frame=dlt645,
    answer=0x91,
    header=10,
)
CJT188 = Bus(
    leaf=Leaf.CJT188,
    register="8:1.0.0",
    meter=lambda s: s.names.water_meter,
    data=lambda v: b"\x1f\x90\x00" + bcd(f"{v:08d}") + bytes([_M3]),
    frame=lambda address, control, data: cjt188(_WATER, address, control, data),
    answer=0x81,
    header=11,
)
Frame = Callable[[Spot], bytes]


def _alone(bus: Bus, reason: str, bad: Frame) -> Callable[[Spot], Message]:
    """Nothing but a broken frame: the payload is kept, for a stretch is the whole of it."""

    def make(spot: Spot) -> Message:
        data = bad(spot)
        return Message(spot.topic(bus.leaf), data, rejects=(Reject(reason, data),))

    return make


def _beside(bus: Bus, reason: str, bad: Frame) -> Callable[[Spot], Message]:
    """A broken frame between two wake-ups and before a good one, with seq and time as user properties."""

    def make(spot: Spot) -> Message:
        frame, reading = bus.good(spot)
        data = b"\xfe\xfe" + bad(spot)
        properties = (("outbox", "hostile"), ("seq", str(spot.outbox.take())), ("ts", iso(spot.ts_us)))
        return Message(
            spot.topic(bus.leaf),
            data + frame,
            stored=(reading,),
            rejects=(Reject(reason, data),),
            properties=properties,
        )

    return make


def _whole(bus: Bus, damage: Callable[[Spot, bytearray], bytes | bytearray]) -> Frame:
    """A good frame, damaged."""
    return lambda spot: bytes(damage(spot, bytearray(bus.good(spot)[0])))


def _checksum(spot: Spot, frame: bytearray) -> bytearray:
    frame[-2] ^= spot.rng.randrange(1, 256)
    return frame


def _value_bit(spot: Spot, frame: bytearray) -> bytearray:
    """One bit of the value turned over on the line."""
    frame[-4] ^= 1 << spot.rng.randrange(8)
    return frame


def _no_end(_: Spot, frame: bytearray) -> bytearray:
    frame[-1] = 0x17
    return frame


def _frame(bus: Bus, control: int, data: bytes, address: Callable[[Spot], bytes] | None = None) -> Frame:
    """A frame in order, with this content."""
    return lambda spot: bus.frame(address(spot) if address else bcd(bus.meter(spot)), control, data)


def _junk(spot: Spot) -> bytes:
    """Bytes among which no frame begins: noise of the line, text of a modem."""
    return spot.rng.choice(
        (b"\r\nNO CARRIER\r\n", b"AT+CSQ\r", b"\x00" * 40, bytes([spot.rng.randrange(1, 0x60)]) * 9)
    )


def _damage(bus: Bus) -> list[tuple[str, str, Frame, float]]:
    good = bus.data(12345)
    zeros = len(good) - 1 - (bus is CJT188)
    hexed = good[:zeros] + b"\xab" + good[zeros + 1 :]
    return [
        ("bad_checksum", "bad_checksum", _whole(bus, _checksum), 1),
        ("bit_turned_in_value", "bad_checksum", _whole(bus, _value_bit), 1),
        (
            "cut_in_data",
            "truncated_frame",
            _whole(bus, lambda s, f: f[: s.rng.randrange(bus.header, len(f) - 2)]),
            1,
        ),
        ("cut_in_header", "truncated_frame", _whole(bus, lambda _, f: f[: bus.header - 1]), 1),
        ("end_byte_wrong", "truncated_frame", _whole(bus, _no_end), 1),
        (
            "length_too_great",
            "truncated_frame",
            _whole(bus, lambda _, f: f[: bus.header - 1] + b"\xf0" + f[bus.header :]),
            1,
        ),
        ("request", "not_an_answer", _frame(bus, 0x11 if bus is DLT645 else 0x01, good[:4]), 1),
        ("error_answer", "error_answer", _frame(bus, bus.answer | 0x40, b"\x02"), 1),
        ("no_data", "malformed", _frame(bus, bus.answer, b""), 1),
        ("unknown_data_id", "unknown_register", _frame(bus, bus.answer, b"\x01\x02\x03\x04\x05"), 1),
        ("value_not_bcd", "bad_bcd", _frame(bus, bus.answer, hexed), 1),
        (
            "address_not_bcd",
            "bad_bcd",
            _frame(bus, bus.answer, good, lambda s: b"\xaa" * len(bcd(bus.meter(s)))),
            1,
        ),
        ("junk", "junk", _junk, 1),
    ]


def _reversed_address(bus: Bus) -> Callable[[Spot], Message]:
    """The address high byte first: it names a meter that the registry does not know."""

    def make(spot: Spot) -> Message:
        address = bcd(bus.meter(spot))[::-1]
        frame = bus.frame(address, bus.answer, bus.data(777))
        reading = (
            f'{{"meter":"{address[::-1].hex()}","ts":"{iso(spot.ts_us)}","values":{{"{bus.register}":7.77}}}}'
        )
        return Message(
            spot.topic(bus.leaf),
            frame,
            rejects=(Reject("unknown_meter", f'{{"v":1,"readings":[{reading}]}}'.encode()),),
            properties=(("ts", iso(spot.ts_us)),),
        )

    return make


def _property(bus: Bus, reason: str, *properties: tuple[str, str]) -> Callable[[Spot], Message]:
    """A good frame whose user properties make it unusable."""

    def make(spot: Spot) -> Message:
        frame, _ = bus.good(spot)
        return Message(spot.topic(bus.leaf), frame, rejects=(Reject(reason, frame),), properties=properties)

    return make


def _too_large(bus: Bus) -> Callable[[Spot], Message]:
    return _alone(bus, "too_large", lambda spot: b"\xfe" * (512 * 1024) + bus.good(spot)[0])


def _kinds(name: str, bus: Bus) -> list[Kind]:
    return [
        *(
            Kind(f"{name}_{what}", _alone(bus, reason, bad), share)
            for what, reason, bad, share in _damage(bus)
        ),
        *(
            Kind(f"{name}_{what}_before_a_good_frame", _beside(bus, reason, bad), share)
            for what, reason, bad, share in _damage(bus)
            if what not in ("length_too_great", "cut_in_header")
        ),
        Kind(f"{name}_empty_payload", _alone(bus, "junk", lambda _: b"")),
        Kind(f"{name}_reversed_address", _reversed_address(bus)),
        Kind(f"{name}_property_time_naive", _property(bus, "bad_timestamp", ("ts", "2014-03-01T00:15:00"))),
        Kind(
            f"{name}_property_time_twice",
            _property(bus, "bad_timestamp", ("ts", "2014-03-01T00:15:00Z"), ("ts", "2014-03-01T00:16:00Z")),
        ),
        Kind(
            f"{name}_property_time_1999",
            _property(bus, "timestamp_out_of_range", ("ts", "1999-03-01T00:15:00Z")),
        ),
        Kind(f"{name}_property_seq_text", _property(bus, "malformed", ("seq", "seven"))),
        Kind(f"{name}_property_seq_twice", _property(bus, "malformed", ("seq", "7"), ("seq", "8"))),
        Kind(f"{name}_property_seq_arabic_digits", _property(bus, "malformed", ("seq", "٧"))),
        Kind(f"{name}_too_large", _too_large(bus), 0.005),
    ]


KINDS = [*_kinds("dlt645", DLT645), *_kinds("cjt188", CJT188)]
