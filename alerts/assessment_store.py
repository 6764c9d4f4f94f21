"""Writes assessments: a row is written only where it says something new of its day."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import psycopg

from alerts.assess_set import AssessedSet
from alerts.assessment import LEVELS
from alerts.days import as_date
from alerts.sql import query

_COLUMNS = (
    "site_id, item_code, year, as_of, used, limit_value, quota_limit_id, p10, p50, p90, exhaustion_date, level, "
    "completeness, method, expected_share"
)


def write_assessments(conn: psycopg.Connection[Any], found: AssessedSet, assessed_at: datetime) -> int:
    """Write the rows asked for that differ from the newest of their day; returns how many."""
    rows = assessment_rows(found)
    if not rows:
        return 0
    with conn.cursor() as cursor:
        cursor.execute(query("new_assessment_table"))
        with cursor.copy(f"copy new_assessment ({_COLUMNS}) from stdin") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(query("insert_assessments"), {"assessed_at": assessed_at})
        written = cursor.rowcount
        cursor.execute("delete from new_assessment")
    return written


def assessment_rows(found: AssessedSet) -> list[tuple[Any, ...]]:
    """The rows asked for as tuples in the order of the table's columns; NaN as None."""
    a, keep = found.rows, np.flatnonzero(found.asked)
    dates = found.days.dates
    new_year = np.datetime64(f"{found.year:04d}-01-01", "D")
    numbers = [_optional(c[keep]) for c in (a.limit, a.p10, a.p50, a.p90, a.completeness, a.share)]
    out = []
    for n, r in enumerate(keep.tolist()):
        series = found.series[int(a.series[r])]
        exhaustion = int(a.exhaustion[r])
        out.append(
            (
                series.site_id,
                series.item_code,
                found.year,
                as_date(dates[a.as_of[r]]),
                float(a.used[r]),
                numbers[0][n],
                int(found.limit_id[r]) or None,
                numbers[1][n],
                numbers[2][n],
                numbers[3][n],
                as_date(new_year + np.timedelta64(exhaustion, "D")) if exhaustion >= 0 else None,
                LEVELS[a.level[r]],
                numbers[4][n],
                a.method[r],
                numbers[5][n],
            )
        )
    return out


def _optional(values: Any) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]
