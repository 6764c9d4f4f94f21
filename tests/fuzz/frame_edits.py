"""Frames of meter buses: made anew with anything in them, or edited and closed again with a right checksum.

Built from the standards' words (DL/T 645-2007, 5.2; CJ/T 188-2004, 6), the data ids from the decoders' tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from collectors.decoders import cjt188, dlt645

from . import byte_edits
from .chance import below, few, pick

_START, _END = 0x68, 0x16


@dataclass(frozen=True, slots=True)
class Bus:
    """What its frames look like. address_at, address: place and bytes of the address; length_at: place of the length;
    controls: codes that mean something; ids: data ids as they come; sizes: of data that fit one of them.
    """

    name: str
    address_at: int
    address: int
    length_at: int
    controls: tuple[int, ...]
    ids: tuple[bytes, ...]
    sizes: tuple[int, ...]
    plus: int


def _dlt645() -> Bus:
    ids = tuple(bytes.fromhex(i)[::-1] for i in dlt645.items())
    return Bus("dlt645", 1, 6, 9, (0x91, 0xB1, 0xD1, 0x92, 0x11), ids, (2, 3, 4, 8, 12, 20, 24), 0x33)


def _cjt188() -> Bus:
    ids = tuple({bytes.fromhex(i) for _, i in cjt188.items()})
    sizes = tuple({i.length - 2 for i in cjt188.items().values() if i.length} | {3, 8, 20, 44})
    return Bus("cjt188", 2, 7, 10, (0x81, 0xC1, 0x01, 0x84), ids, sizes, 0)


BUSES = {"dlt645": _dlt645(), "cjt188": _cjt188()}
_TYPES = tuple({kind for kind, _ in cjt188.items()} | {0x09, 0x10, 0x49, 0x50})
_UNITS = (*cjt188.units(), 0x00, 0xFF)


def edited(bus: Bus, data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """A payload edited, made anew, or both; about half of its frames are closed as they should be."""
    what = rng.random()
    if what < 0.3:
        return byte_edits.edited(data, rng, others)
    if what < 0.6:
        return repaired(bus, byte_edits.edited(data, rng, others))
    made = b"".join(_frame(bus, rng) for _ in range(few(rng, 5)))
    if what < 0.85:
        return made
    made = byte_edits.edited(made, rng, others)
    return made if what < 0.92 else repaired(bus, made)


def repaired(bus: Bus, data: bytes) -> bytes:
    """The first frames of the payload closed anew: end byte and checksum where the length leads, or the length such
    that it leads to the end of the payload.
    """
    out = bytearray(data)
    at = out.find(_START)
    for _ in range(4):
        if at < 0 or at + bus.length_at + 3 > len(out):
            break
        if bus.plus:
            out[at + 7] = _START
        end = at + bus.length_at + out[at + bus.length_at] + 3
        if end > len(out):
            left = len(out) - at - bus.length_at - 3
            out[at + bus.length_at] = min(left, 255)
            end = at + bus.length_at + out[at + bus.length_at] + 3
        out[end - 2] = sum(out[at : end - 2]) & 0xFF
        out[end - 1] = _END
        at = out.find(_START, end)
    return bytes(out)


def _digits(rng: Random, size: int) -> bytes:
    """BCD bytes, now and then with one that is none."""
    out = bytearray(below(rng, 10) | below(rng, 10) << 4 for _ in range(size))
    if out and rng.random() < 0.1:
        out[below(rng, size)] = below(rng, 256)
    return bytes(out)


def _data(bus: Bus, rng: Random) -> bytes:
    if rng.random() < 0.05:
        return rng.randbytes(below(rng, 30))
    data_id = pick(rng, bus.ids) if rng.random() < 0.95 else rng.randbytes(len(bus.ids[0]))
    size = pick(rng, bus.sizes) if rng.random() < 0.9 else below(rng, 200)
    if bus.plus:
        plain = data_id + _digits(rng, size)
        return bytes((b + bus.plus) & 0xFF for b in plain)
    body = bytearray(_digits(rng, size))
    for at in (5, 10, 15):  # where the units of values stand
        if at < size:
            body[at] = pick(rng, _UNITS)
    return data_id + bytes(body)


def _frame(bus: Bus, rng: Random) -> bytes:
    address = _digits(rng, bus.address)
    control = pick(rng, bus.controls) if rng.random() < 0.4 else bus.controls[0]
    data = _data(bus, rng)
    head = b"\x68" + address + b"\x68" if bus.plus else bytes((_START, pick(rng, _TYPES))) + address
    body = head + bytes((control, len(data) & 0xFF)) + data
    wrong = 0 if rng.random() < 0.9 else below(rng, 256)
    end = _END if rng.random() < 0.95 else below(rng, 256)
    return b"\xfe" * below(rng, 5) + body + bytes(((sum(body) + wrong) & 0xFF, end))
