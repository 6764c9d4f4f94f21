"""Reading Modbus meters, over TCP and over a serial line (RTU): requests, and the answers that belong to them.

pymodbus builds the requests, its CRC checks RTU frames, and it turns words into numbers. Answers are found here,
because its own reading takes the first frame of a unit for the answer, and nothing but time tells the answers of
an RTU unit apart: unit, function, the number of bytes asked for and the CRC must fit, over TCP the transaction id, too.

Source: Modbus Application Protocol V1.1b3; Modbus over Serial Line V1.02; Modbus Messaging on TCP/IP V1.0b.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from pymodbus.framer.rtu import FramerRTU
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from collectors.edge.register_maps import Block, RegisterMap
from collectors.edge.talk import AnswerError, Ask, BusyError, Kind, Said, Step, Talk

_EXCEPTION = 0x80
_EXCEPTIONS = {
    0x01: "illegal function",
    0x02: "illegal data address",
    0x03: "illegal data value",
    0x04: "device failure",
    0x05: "acknowledge: it needs longer",
    0x06: "device busy",
    0x08: "memory parity error",
    0x0A: "gateway path unavailable",
    0x0B: "gateway target does not respond",
}
_BUSY = frozenset({0x05, 0x06, 0x0A, 0x0B})

_REQUESTS: dict[int, type[ModbusPDU]] = {0x03: ReadHoldingRegistersRequest, 0x04: ReadInputRegistersRequest}
_RTU, _TCP = FramerRTU(DecodePDU(False)), FramerSocket(DecodePDU(False))


def _transactions() -> Iterator[int]:
    return count(secrets.randbelow(0x10000))


@dataclass(frozen=True, slots=True)
class ModbusMeter:
    """A meter on a bus. rtu: frames with a CRC, of a serial line; transactions: ids."""

    unit: int
    map: RegisterMap
    registers: tuple[str, ...]
    extras: tuple[str, ...]
    rtu: bool
    transactions: Iterator[int] = field(default_factory=_transactions, compare=False)

    def steps(self) -> list[Step]:
        """What there is to ask, totals first."""
        totals, extras = self.map.blocks(self.registers), self.map.blocks(self.extras)
        return [
            *(Step(Kind.TOTAL, partial(self._read, b)) for b in totals),
            *(Step(Kind.EXTRA, partial(self._read, b)) for b in extras),
        ]

    def _read(self, block: Block) -> Talk:
        transaction = next(self.transactions) & 0xFFFF
        request = _REQUESTS[block.function](
            address=block.address, count=block.count, dev_id=self.unit, transaction_id=transaction
        )
        if self.rtu:
            ask = Ask(
                _RTU.buildFrame(request),
                lambda received: find_rtu(received, self.unit, block.function, block.count),
                told_apart=False,
            )
        else:
            ask = Ask(
                _TCP.buildFrame(request),
                lambda received: find_tcp(received, transaction, self.unit, block.function, block.count),
            )
        pdu = yield ask
        if pdu[0] & _EXCEPTION:
            meaning = _EXCEPTIONS.get(pdu[1], "unknown")
            error = BusyError if pdu[1] in _BUSY else AnswerError
            raise error(f"the meter refuses: exception {pdu[1]:02X}, {meaning}")
        values = block.read(struct.unpack(f">{block.count}H", pdu[2:]))
        if not values:
            names = ", ".join(v.register for v in block.values)
            raise AnswerError(f"no number at address {block.address} ({names})")
        return Said(values)


def find_rtu(received: bytes, unit: int, function: int, words: int) -> bytes | None:
    """The answer in RTU frames: function, length and words, or function + 80 and the exception. None if there is
    none.
    """
    for head in _heads(unit, function, words):
        length = len(head) + (2 * words if head[1] == function else 1)
        at = received.find(head)
        while at >= 0:
            end = at + length
            crc = received[end : end + 2]
            if len(crc) == 2 and FramerRTU.check_CRC(received[at:end], int.from_bytes(crc, "big")):
                return received[at + 1 : end]
            at = received.find(head, at + 1)
    return None


def find_tcp(received: bytes, transaction: int, unit: int, function: int, words: int) -> bytes | None:
    """The answer in TCP frames, as `find_rtu` gives it. None if there is none."""
    for tail in _heads(unit, function, words):
        length = len(tail) + (2 * words if tail[1] == function else 1)
        at = received.find(struct.pack(">HHH", transaction, 0, length) + tail)
        if at >= 0 and len(received) >= at + 6 + length:
            return received[at + 7 : at + 6 + length]
    return None


def _heads(unit: int, function: int, words: int) -> tuple[bytes, bytes]:
    """How an answer begins, and how a refusal does."""
    return bytes([unit, function, 2 * words]), bytes([unit, function | _EXCEPTION])
