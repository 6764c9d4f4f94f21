"""What is to be assessed again by the wall clock: marks that changes leave, and the series and years they mean.

Whoever changes energy, installed times or a quota leaves a mark in the same transaction (nengliu.assessment_due); at a
local day's end every site is marked once. So the work follows what changed, and no change is lost with a worker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from alerts.frames import Series
from alerts.sql import query


@dataclass(frozen=True, slots=True)
class Mark:
    """A site's item (None: all of them) of which something changed in a year; terms: the limit may move, too."""

    site_code: str
    item_code: str | None
    year: int
    terms: bool


def day_has_ended(conn: psycopg.Connection[Any], today: date) -> tuple[bool, bool]:
    """Whether a local day ended since every series was marked last, and whether any mark waits."""
    row = conn.execute(query("wall_state")).fetchone()
    assert row is not None  # a select without a table yields one row
    marked_on, waiting = row
    return marked_on is None or marked_on < today, waiting


def mark_all(conn: psycopg.Connection[Any], today: date) -> None:
    """Mark every site for the year of `today`, and for those that ended since that was done last; remember it."""
    conn.execute(query("mark_all_due"), {"year": today.year})
    conn.execute("update nengliu.assessment_cursor set marked_on = %s", (today,))


def mark_moved_limits(conn: psycopg.Connection[Any], moved: Iterable[tuple[str, str, int]]) -> None:
    """Mark series by (site code, item, year) whose limit moved."""
    rows = list(moved)
    if rows:
        sites, items, years = map(list, zip(*rows, strict=True))
        conn.execute(query("mark_limit_due"), {"sites": sites, "items": items, "years": years})


def take_marks(conn: psycopg.Connection[Any], at_most: int) -> list[Mark]:
    """Take marks that no other transaction holds, the oldest first; the caller commits."""
    return [Mark(*row) for row in conn.execute(query("take_due"), {"at_most": at_most})]


def drop_marks(conn: psycopg.Connection[Any]) -> None:
    """Take all marks away: the event clock assesses every day, and needs none."""
    conn.execute("delete from nengliu.assessment_due")


def series_by_year(
    series: Iterable[Series], marks: Iterable[Mark], this_year: int, history_years: int
) -> dict[int, list[Series]]:
    """The series that marks mean, by the years, up to this one, whose assessments may be stale. Pure.

    A year's energy also bears on whether the next one is a case for enforcement, and on the forecasts of
    `history_years` years.
    """
    of_site = defaultdict(list)
    for s in series:
        of_site[s.site_code].append(s)
    found: dict[int, set[Series]] = defaultdict(set)
    for mark in set(marks):
        years = {mark.year, mark.year + 1}
        if this_year - mark.year <= history_years:
            years.add(this_year)
        for s in of_site[mark.site_code]:
            if mark.item_code is None or mark.item_code == s.item_code or mark.item_code in s.parts:
                for year in years:
                    found[year].add(s)
    return {
        year: sorted(found[year], key=lambda s: (s.site_code, s.item_code))
        for year in sorted(found)
        if year <= this_year
    }


def judged(conn: psycopg.Connection[Any], years: dict[int, list[Series]]) -> dict[int, list[Series]]:
    """Of series by year those that have a quota or an assessment of that year."""
    flat = [(year, s) for year, group in years.items() for s in group]
    keys = {
        "sites": [s.site_id for _, s in flat],
        "items": [s.item_code for _, s in flat],
        "years": [year for year, _ in flat],
    }
    kept: dict[int, list[Series]] = defaultdict(list)
    for (ix,) in conn.execute(query("judged_years"), keys):
        year, s = flat[ix]
        kept[year].append(s)
    return kept
