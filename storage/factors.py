"""Puts the shipped conversion factors into the database, beside what a node has approved itself."""

from __future__ import annotations

from typing import Any

import psycopg

from metering.factors import shipped_factors
from storage.sql import query


def load_factors(conn: psycopg.Connection[Any]) -> int:
    """Write the shipped factors in one transaction of their own; the number that were new or different.

    A factor that someone approved is left alone. The api views apply factors when they are read, so nothing has to
    be derived again.
    """
    changed = 0
    with conn.transaction():
        for f in shipped_factors():
            changed += conn.execute(
                query("factors_upsert"),
                {
                    "item_code": f.item_code,
                    "quantity": f.quantity,
                    "value": f.value,
                    "unit": f.unit,
                    "valid_from": f.valid_from,
                    "valid_to": "infinity" if f.valid_to is None else f.valid_to.isoformat(),
                    "source": f.source,
                    "confidence": f.confidence,
                    "approved_by": f.approved_by,
                },
            ).rowcount
        if changed:
            conn.execute(query("factors_mark_assessments"))
    return changed
