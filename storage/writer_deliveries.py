"""Leave redeliveries of messages without seq out of an intake, in the writer's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg

from metering.records import Delivery, Intake, ReadingBatch
from storage import metrics
from storage.deliveries import Window, unpacked
from storage.sql import query
from storage.texts import key_text

#: Gateway, session and topic.
_Key = tuple[str, str, str]
_READINGS, _REJECTS = "readings", "rejects"


def without_redelivered(cursor: psycopg.Cursor[Any], intake: Intake) -> Intake:
    """The intake without messages that an earlier record, or one of this intake, held already. What has a seq is not
    looked at, and an intake without anything else costs nothing.
    """
    marked = list(_marked(intake))
    if not marked:
        return intake
    windows = _known(cursor, {key for key, _ in marked})
    again = [windows[key].take(delivery) for key, delivery in marked]
    _keep(cursor, windows)
    if not any(again):
        return intake
    metrics.REDELIVERED.inc(sum(again))
    told = iter(again)
    readings = tuple(
        _first_times(batch, [i for i, _ in batch.deliveries if next(told)]) for batch in intake.readings
    )
    rejects = tuple(r for r in intake.rejects if r.delivery is None or not next(told))
    return replace(intake, readings=readings, rejects=rejects)


def _marked(intake: Intake) -> Iterable[tuple[_Key, Delivery]]:
    """Every message that is marked, in order; readings first, as they are told apart by their topic."""
    for batch in intake.readings:
        for i, d in batch.deliveries:
            yield (key_text(batch.messages[i].gateway), key_text(d.session), _READINGS), d
    for r in intake.rejects:
        if r.delivery is not None:
            yield (key_text(r.gateway), key_text(r.delivery.session), _REJECTS), r.delivery


def _known(cursor: psycopg.Cursor[Any], keys: Iterable[_Key]) -> dict[_Key, Window]:
    windows = {key: Window() for key in sorted(keys)}
    names = ("gateway", "session", "topic")
    cursor.execute(
        query("delivery_known"), dict(zip(names, map(list, zip(*windows, strict=True)), strict=True))
    )
    for gateway, session, topic, newest, marks in cursor.fetchall():
        windows[gateway, session, topic] = unpacked(newest, marks)
    return windows


def _keep(cursor: psycopg.Cursor[Any], windows: dict[_Key, Window]) -> None:
    flat = [(*key, w.newest, w.packed()) for key, w in windows.items()]
    names = ("gateway", "session", "topic", "newest", "marks")
    cursor.execute(query("delivery_keep"), dict(zip(names, map(list, zip(*flat, strict=True)), strict=True)))


def _first_times(batch: ReadingBatch, again: Sequence[int]) -> ReadingBatch:
    """The batch without the messages `again`."""
    if not again:
        return batch
    kept = np.ones(len(batch.messages), np.bool_)
    kept[list(again)] = False
    rows = np.repeat(kept, [m.count for m in batch.messages])
    return replace(
        batch,
        messages=tuple(m for m, keep in zip(batch.messages, kept, strict=True) if keep),
        meter_ix=batch.meter_ix[rows],
        register_ix=batch.register_ix[rows],
        ts_us=batch.ts_us[rows],
        value=batch.value[rows],
        correction=batch.correction[rows],
        deliveries=(),
    )
