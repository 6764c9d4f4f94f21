"""Waiting messages of one gateway, put together into one Kafka record."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from collectors.decoders.base import Decoded
from metering.records import MessageHeader, ReadingBatch


class _Numbering(dict[str, int]):
    """Numbers texts in the order in which they are first asked for."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


class BatchBuilder:
    """Collects whole messages; `size` is the sum of their sizes in bytes."""

    def __init__(self) -> None:
        self._headers: list[MessageHeader] = []
        self._meters = _Numbering()
        self._registers = _Numbering()
        self._meter_ix = array("i")
        self._register_ix = array("i")
        self._ts_us = array("q")
        self._values = array("d")
        self._corrections: list[tuple[int, list[bool]]] = []
        self.tokens: list[Any] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self._headers)

    @property
    def readings(self) -> int:
        """Readings taken so far."""
        return len(self._ts_us)

    def add(self, header: MessageHeader, decoded: Decoded, size: int, token: object) -> None:
        """Take a message; `token` is handed back through `tokens`."""
        if decoded.corrections:
            self._corrections.append((len(self._ts_us), decoded.corrections))
        self._headers.append(header)
        if len(decoded.values) == 1:  # what most small gateways send
            self._meter_ix.append(self._meters[decoded.meters[0]])
            self._register_ix.append(self._registers[decoded.registers[0]])
            self._ts_us.append(decoded.ts_us[0])
            self._values.append(decoded.values[0])
        else:
            self._meter_ix.extend(map(self._meters.__getitem__, decoded.meters))
            self._register_ix.extend(map(self._registers.__getitem__, decoded.registers))
            self._ts_us.fromlist(decoded.ts_us)
            self._values.fromlist(decoded.values)
        self.tokens.append(token)
        self.size += size

    def build(self) -> ReadingBatch:
        """The batch; -0.0 becomes 0.0."""
        correction = np.zeros(len(self._ts_us), np.bool_)
        for start, flags in self._corrections:
            correction[start : start + len(flags)] = flags
        return ReadingBatch(
            messages=tuple(self._headers),
            meters=tuple(self._meters),
            registers=tuple(self._registers),
            meter_ix=np.frombuffer(self._meter_ix, np.int32),
            register_ix=np.frombuffer(self._register_ix, np.int32),
            ts_us=np.frombuffer(self._ts_us, np.int64),
            value=np.frombuffer(self._values, np.float64) + 0.0,
            correction=correction,
        )
