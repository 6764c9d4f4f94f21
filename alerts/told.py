"""How much of the silences of totals sub-meters had told by the ends of days: that is used, not to be forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg

from alerts.days import Floats, Ints
from metering.children import fill
from metering.estimation import BEFORE_US
from metering.steps import GAP_INTERVALS
from storage.child_hours import child_hours


def told_s(
    conn: psycopg.Connection[Any],
    tails: tuple[Ints, Ints, Floats, Floats],
    zone: str,
    *,
    hindsight: bool,
) -> Floats:
    """Seconds told of each silence by its end, as the derivation fills it.

    tails: columns of point, how often its total register should be read in s (0: it has none that was ever read), begin
    and end in seconds since 1970. hindsight: what later readings tell of the time before the end counts, too.
    """
    point, interval_s, begin_s, end_s = tails
    told = np.zeros(len(point))
    gap_s = GAP_INTERVALS * interval_s
    some = np.flatnonzero((interval_s > 0) & (end_s - begin_s > gap_s))
    if len(some) == 0:
        return told
    begin_us, end_us = (np.round(1e6 * moment).astype(np.int64) for moment in (begin_s, end_s))
    silences, which = np.unique(np.stack([point[some], begin_us[some]]), axis=1, return_inverse=True)
    last = np.zeros(silences.shape[1], dtype=np.int64)
    np.maximum.at(last, which, end_us[some])
    starts = silences[1].tolist()
    asked = [
        (n, int(silences[0, n]), (start - BEFORE_US, end))
        for n, (start, end) in enumerate(zip(starts, last.tolist(), strict=True))
    ]
    with conn.cursor() as cursor:
        children = child_hours(cursor, asked, zone)
    for n, start in enumerate(starts):
        rows = some[which == n]
        filled = fill(children.of(n), start, int(last[n]), 1e6 * float(gap_s[rows[0]]))
        if filled is not None:
            order = np.argsort(known := filled.end_us if hindsight else filled.known_us)
            sums = np.concatenate([[0], np.cumsum((filled.end_us - filled.begin_us)[order])])
            told[rows] = sums[np.searchsorted(known[order], end_us[rows], "right")] / 1e6
    return told
