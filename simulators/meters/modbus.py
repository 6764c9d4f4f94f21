"""Simulated Modbus meters: requests in, answers out, over TCP (MBAP header) and serial lines (RTU, CRC).

Reads of holding (03) and input registers (04) are answered from a register map; another function is refused with
exception 01, an address outside the map with 02, a wrong quantity with 03. A meter is silent to another unit, to a
wrong CRC and to the broadcast address of a serial line.

Source: Modbus Application Protocol V1.1b3 (6.1 to 6.21, 7); Modbus over Serial Line V1.02 (2.2, 2.5.1, 6.2.2);
Modbus Messaging on TCP/IP V1.0b (3.1.3).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simulators.meters.frames import next_frame
from simulators.meters.modbus_map import HOLDING, INPUT, RegisterMap
from simulators.meters.trouble import collide

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 0x01, 0x02, 0x03
_MOST_WORDS = 125
_MOST_RTU = 256

#: Bytes of an RTU request by function: of those that count their data, without these and where the count is.
_LENGTHS = {**dict.fromkeys(range(1, 7), 8), 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6, 43: 7}
_COUNTED = {15: (9, 6), 16: (9, 6), 20: (5, 2), 21: (5, 2), 23: (13, 10)}


@dataclass(slots=True)
class ModbusMeter:
    """A meter. unit: its address, 1-247; values: all quantities now, by OBIS code; asked: how often it was."""

    unit: int
    map: RegisterMap
    values: Callable[[], Mapping[str, float]]
    asked: int = 0

    def answer(self, pdu: bytes) -> bytes:
        """The answer to a request: function and data."""
        self.asked += 1
        function = pdu[0]
        if function not in (HOLDING, INPUT):
            return _exception(function, _ILLEGAL_FUNCTION)
        if len(pdu) != 5:
            return _exception(function, _ILLEGAL_VALUE)
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= _MOST_WORDS:
            return _exception(function, _ILLEGAL_VALUE)
        words = self.map.words(function, address, count, self.values())
        if words is None:
            return _exception(function, _ILLEGAL_ADDRESS)
        return struct.pack(f">BB{count}H", function, 2 * count, *words)


def _exception(function: int, code: int) -> bytes:
    return bytes([function | 0x80, code])


class _Bus:
    def __init__(self, meters: Sequence[ModbusMeter]) -> None:
        self.meters = meters
        self._by_unit: dict[int, list[ModbusMeter]] = {}
        for meter in meters:
            self._by_unit.setdefault(meter.unit, []).append(meter)

    def _meant(self, unit: int) -> Sequence[ModbusMeter]:
        return self._by_unit.get(unit, [])


class ModbusTcpBus(_Bus):
    """Meters behind the TCP port of a gateway, or one that has a port of its own."""

    def __call__(self, received: bytes) -> tuple[bytes, bytes]:
        """See simulators.meters.lines.Answerer."""
        if len(received) < 8:
            return b"", received
        transaction, protocol, length, unit = struct.unpack(">HHHB", received[:7])
        if protocol != 0 or not 2 <= length <= 254:
            return b"", b""  # nothing tells where the next request begins
        end = 6 + length
        if len(received) < end:
            return b"", received
        answers = [
            struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu
            for pdu in [m.answer(received[7:end]) for m in self._meant(unit)]
        ]
        return collide(answers), received[end:]


class ModbusRtuBus(_Bus):
    """Meters on a serial line."""

    def __call__(self, received: bytes) -> tuple[bytes, bytes]:
        """See simulators.meters.lines.Answerer."""
        # The length of another function's request is not known: it is all that came since the last silence, or none.
        if len(received) <= _MOST_RTU and _length(received) == 0 and _good(received):
            frame, rest = received, b""
        else:
            found, rest = next_frame(received, b"", _length, _good)
            if found is None:
                return b"", received[-_MOST_RTU:]
            frame = found
        return collide([_framed(m.unit, m.answer(frame[1:-2])) for m in self._meant(frame[0])]), rest


def _framed(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + struct.pack("<H", crc16(body))


def _length(begun: bytes) -> int | None:
    """Of a request. An RTU frame ends with a silence; here its function tells its length, 0 where it is unknown."""
    if len(begun) < 2:
        return None
    if begun[1] not in _COUNTED:
        return _LENGTHS.get(begun[1], 0)
    fixed, at = _COUNTED[begun[1]]
    if len(begun) <= at:
        return None
    length = fixed + begun[at]
    return length if length <= _MOST_RTU else 0


def _good(frame: bytes) -> bool:
    return len(frame) >= 4 and struct.unpack("<H", frame[-2:])[0] == crc16(frame[:-2])


def crc16(data: bytes) -> int:
    """The CRC of an RTU frame: polynomial A001, reflected, begun with FFFF (Modbus over Serial Line, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_OF_BYTE[(crc ^ byte) & 0xFF]
    return crc


def _crc_of_byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


_CRC_OF_BYTE = [_crc_of_byte(byte) for byte in range(256)]
