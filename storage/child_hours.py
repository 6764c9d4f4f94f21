"""The hours that all children of a point measured, as they are stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg

from metering.children import ChildHours
from metering.registers import energy_registers
from metering.spans import Span, union
from storage.slices import bound
from storage.sql import query


def child_hours(cursor: psycopg.Cursor[Any], asked: Sequence[tuple[int, int, Span]], zone: str) -> ChildHours:
    """asked: owner, its point, and a span in which its children's hours are wanted; zone: of local days."""
    spans: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for owner, point, span in asked:
        spans[owner, point].append(span)
    rows = [(*key, span) for key, found in spans.items() for span in union(found)]
    if not rows:
        return ChildHours.none()
    cursor.execute(
        query("derive_children"),
        {
            "owners": [owner for owner, _, _ in rows],
            "points": [point for _, point, _ in rows],
            "from_ts": [str(bound(span[0])) for _, _, span in rows],
            "to_ts": [str(bound(span[1])) for _, _, span in rows],
            "first": bound(min(span[0] for _, _, span in rows)),
            "last": bound(max(span[1] for _, _, span in rows)),
            "zone": zone,
            "registers": list(energy_registers()),
        },
    )
    table = cursor.fetchall()
    whole = np.array([(row[0], row[1], row[4], row[5]) for row in table], dtype=np.int64).reshape(-1, 4)
    energy = np.array([(row[2], row[3]) for row in table], dtype=np.float64).reshape(-1, 2)
    return ChildHours(whole[:, 0], whole[:, 1], energy[:, 0], energy[:, 1], whole[:, 2], whole[:, 3])
