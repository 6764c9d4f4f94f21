"""What there is to judge, as a person reads it: runs of readings in doubt or judged, and steps in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from metering.items import unit_factor
from storage.reviews import Row, Wanted, beside, doubtful_steps, find_series, listed

#: What of a run its rows have alike, or is told of the first.
_SAME = (
    "site_code",
    "point_code",
    "meter",
    "register",
    "kind",
    "state",
    "reviewed_by",
    "reviewed_at",
    "note",
)


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring readings of a register of one kind and state, or (readings = 0) a step between two good readings.

    starts, last: the first and the last of them; of a step the readings that it begins and ends with. lowest, highest:
    of their values; before, after: the good readings beside, None: there is none. energy: what the register counted
    between these two, in the item's unit, None where that is not known or negative, or where accepted readings between
    are off their line; counted: whether it is in the energy of the point (as of the last derivation), as that of a step
    in doubt is not, nor ever that of a fall.
    """

    site_code: str | None
    point_code: str | None
    meter: str
    register: str
    kind: str | None
    state: str
    starts: datetime
    last: datetime
    readings: int
    lowest: float | None
    highest: float | None
    before: float | None
    after: float | None
    energy: float | None
    counted: bool
    reviewed_by: str | None
    reviewed_at: datetime | None
    note: str | None


def runs_listed(connection: psycopg.Connection[Any], wanted: Wanted) -> list[Run]:
    """Runs and steps, by meter, register and time."""
    groups = list(_groups(listed(connection, wanted)))
    sides = beside(connection, [(g[0]["series_id"], g[0]["ts"], g[-1]["ts"]) for g in groups])
    runs = [_run(group, side[1], side[3]) for group, side in zip(groups, sides, strict=True)]
    runs += [_step(connection, row) for row in doubtful_steps(connection, wanted)]
    return sorted(runs, key=lambda r: (r.meter, r.register, r.starts))


def _groups(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows without a good reading between, of one series, kind, state and act."""
    group: list[Row] = []
    for row in rows:
        if group and (row["apart"] or _alike(row) != _alike(group[-1])):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _alike(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("series_id", "kind", "state", "reviewed_by", "note"))


def _run(group: list[Row], before: float | None, after: float | None) -> Run:
    first, last = group[0], group[-1]
    values = [r["value"] for r in group]
    return Run(
        **{name: first[name] for name in _SAME},
        starts=first["ts"],
        last=last["ts"],
        readings=len(group),
        lowest=min(values),
        highest=max(values),
        before=before,
        after=after,
        energy=_energy(first, before, after) if _is_told(first, values, before, after) else None,
        counted=True,
    )


def _is_told(row: Row, values: list[float], before: float | None, after: float | None) -> bool:
    """Whether the good readings beside tell the energy: not of accepted ones off the line, which count themselves."""
    if row["state"] != "accepted" or before is None or after is None:
        return True
    return before <= min(values) and max(values) <= after


def _energy(row: Row, before: float | None, after: float | None) -> float | None:
    """Energy between two readings of a register in its item's unit; None where it cannot be told from them."""
    if before is None or after is None or row["ratio"] is None or after < before:
        return None
    try:
        return float((after - before) * row["ratio"] * unit_factor(row["unit"], row["item_code"]))
    except KeyError:  # a register of no energy, such as a voltage
        return None


def _step(connection: psycopg.Connection[Any], row: Row) -> Run:
    [series] = find_series(connection, row["meter"], row["register"])
    values = dict(
        connection.execute(
            "select ts, value from nengliu.reading where series_id = %s and ts in (%s, %s)",
            (series.series_id, row["starts"], row["ends"]),
        ).fetchall()
    )
    before, after = values.get(row["starts"]), values.get(row["ends"])
    return Run(
        **{name: row[name] for name in _SAME},
        starts=row["starts"],
        last=row["ends"],
        readings=0,
        lowest=None,
        highest=None,
        before=before,
        after=after,
        energy=_energy(row, before, after),
        counted=row["state"] == "accepted" and before is not None and after is not None and before <= after,
    )
