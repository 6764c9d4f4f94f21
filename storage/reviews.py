"""What people judge of readings: verdicts, going back to another stored version, and what there is to judge.

A verdict is of a value: it counts as long as the reading has that value, and the newest counts. Each act is one
transaction that marks what it touches for derivation. See docs/decisions/reviews.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from metering.errors import NengliuError
from storage.sql import query

Connection = psycopg.Connection[Any]
Row = dict[str, Any]
Verdict = Literal["accepted", "refused", "open"]

#: Findings of a step between two good readings; judged by the reading that the step ends with.
STEP_KINDS = ("register_reset", "meter_replaced", "above_rated", "rollover")
#: Such steps whose energy does not count unless a person says so: what there is to judge.
DOUBTFUL_STEPS = STEP_KINDS[:3]


class UnknownReadingError(NengliuError):
    """No such meter or register was ever read, or there is no such reading or version of it."""


class NothingToJudgeError(NengliuError):
    """Nothing in the span that the verdict could be of."""


@dataclass(frozen=True, slots=True)
class Series:
    """A register of a meter that was read."""

    series_id: int
    meter: str
    register: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who judges, and why."""

    by: str
    note: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What an act touched: readings, from the first to the last, and findings."""

    readings: int
    findings: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to list; None: all. state: doubtful, accepted, refused, all."""

    site: str | None = None
    point: str | None = None
    series: tuple[Series, ...] | None = None
    kind: str | None = None
    low: datetime | str = "-infinity"
    high: datetime | str = "infinity"
    state: str = "doubtful"
    limit: int = 100_000


def find_series(connection: Connection, meter: str, register: str | None = None) -> list[Series]:
    """A meter's registers, or the one asked for. Raises UnknownReadingError naming what there is."""
    found = connection.execute(query("review_series"), {"meter": meter}).fetchall()
    if not found:
        raise UnknownReadingError(f"no reading of a meter {meter!r} was ever stored")
    chosen = [Series(i, meter, r) for i, r in found if register in (None, r)]
    if not chosen:
        known = ", ".join(r for _, r in found)
        raise UnknownReadingError(f"meter {meter} has no register {register!r}; it has {known}")
    return chosen


def judge(
    connection: Connection,
    series: Series,
    span: tuple[datetime, datetime | None],
    verdict: Verdict,
    person: Person,
) -> Judged:
    """Judge the reading at span[0], or with span[1] the readings from there to then, both included: of accepted those
    in doubt, of refused all, of open (taking back) those that have a verdict.

    What is beyond the register's range is not accepted: no verdict makes it a value that the register can show.
    Raises UnknownReadingError (no reading at that moment), NothingToJudgeError (nothing in the span to judge, or all of
    it before retention's floor, where nothing is derived again).
    """
    low, high = span
    about = {
        **_about(series, person),
        "verdict": verdict,
        "low": low,
        "high": low if high is None else high,
        "one": high is None,
    }
    with connection.transaction():
        # Planned with the bounds known, so that only chunks of that time are opened.
        found = connection.execute(query("review_judge"), about, prepare=False).fetchall()
        if not found:
            _nothing(connection, series, low, high, verdict)
        return _touch(connection, series, sorted(ts for (ts,) in found), verdict, person)


def adopt(connection: Connection, series: Series, ts: datetime, value: float, person: Person) -> Judged:
    """Make a stored version of a reading its value; the value that it had is kept as superseded, and who and why
    stands with its reviews as `open`: the rules judge the value that it has now.

    Raises UnknownReadingError where there is no such version, NothingToJudgeError before retention's floor.
    """
    about = {**_about(series, person), "ts": ts, "value": value}
    with connection.transaction():
        row = connection.execute(query("review_version"), about, prepare=False).fetchone()
        if row is None:
            raise _no_reading(series, ts)
        if row[1] is None:
            raise UnknownReadingError(_no_version(connection, series, ts, value, row[0]))
        current, _, kind, gateway, received_at = row
        connection.execute(query("review_adopt"), about, prepare=False)
        if kind == "conflict":
            booked = {"gateway": gateway, "received_at": received_at}
            connection.execute(query("review_adopt_ledger"), booked)
        noted = Person(person.by, f"adopted {value:.15g} in place of {current:.15g}: {person.note}")
        connection.execute(query("review_note"), {**about, "note": noted.note})
        return _touch(connection, series, [ts], "open", noted)


def listed(connection: Connection, wanted: Wanted) -> list[Row]:
    """Readings in doubt or judged, by meter, register and time; `apart`: a good reading lies before it."""
    asked = {
        "site": wanted.site,
        "point": wanted.point,
        "series": None if wanted.series is None else [s.series_id for s in wanted.series],
        "kind": wanted.kind,
        "low": wanted.low,
        "high": wanted.high,
        "limit": wanted.limit,
        "doubts": True,
        "reviews": wanted.state != "doubtful",
        "state": _STATES[wanted.state],
    }
    return _rows(connection, "review_listed", asked)


def doubtful_steps(connection: Connection, wanted: Wanted) -> list[Row]:
    """Findings of steps whose energy does not count unless a person says so."""
    found: list[Row] = []
    for series in wanted.series or (None,):
        asked = {
            "site": wanted.site,
            "point": wanted.point,
            "kind": wanted.kind,
            "low": wanted.low,
            "high": wanted.high,
            "limit": wanted.limit,
            "state": _STATES[wanted.state],
            "step_kinds": list(DOUBTFUL_STEPS),
            "meter": None if series is None else series.meter,
            "register": None if series is None else series.register,
        }
        found += _rows(connection, "review_steps", asked)
    return found


def beside(connection: Connection, runs: Sequence[tuple[int, datetime, datetime]]) -> list[tuple[Any, ...]]:
    """Of each run (series_id, first, last) the good readings beside it: ts and value before, ts and value after."""
    asked = {
        "n": list(range(len(runs))),
        "series": [r[0] for r in runs],
        "starts": [r[1] for r in runs],
        "last": [r[2] for r in runs],
    }
    found = {row[0]: row[1:] for row in connection.execute(query("review_beside"), asked).fetchall()}
    return [found[n] for n in range(len(runs))]


def reading_story(connection: Connection, series: Series, ts: datetime, most: int = 12) -> dict[str, Any]:
    """The readings around one (`most` on each side), its other stored versions, and all its reviews.

    Raises UnknownReadingError where there is no reading at that moment.
    """
    asked = {"series": series.series_id, "ts": ts, "most": most}
    around = _rows(connection, "review_around", asked)
    if all(r["ts"] != ts for r in around):
        raise _no_reading(series, ts)
    return {
        "meter": series.meter,
        "register": series.register,
        "ts": ts,
        "readings": around,
        "versions": _rows(connection, "review_versions", asked),
        "reviews": _rows(connection, "review_history", asked),
    }


_BEYOND = (
    "beyond what the register can show, which accepting does not change: mend `digits` in the registry, or send the "
    "right value as a correction"
)
_STATES = {"doubtful": "open", "accepted": "accepted", "refused": "refused", "all": None}


def _about(series: Series, person: Person) -> Row:
    return {
        "series": series.series_id,
        "meter": series.meter,
        "register": series.register,
        "step_kinds": list(STEP_KINDS),
        "doubtful_steps": list(DOUBTFUL_STEPS),
        "by": person.by,
        "note": person.note,
    }


def _touch(
    connection: Connection, series: Series, moments: list[datetime], verdict: Verdict, person: Person
) -> Judged:
    """Mark readings for derivation and set the state of the findings of them."""
    _require_derivable(connection, moments[-1])
    about = {**_about(series, person), "moments": moments, "verdict": verdict}
    connection.execute(query("review_mark"), about)
    findings = connection.execute(query("review_findings"), about).rowcount
    return Judged(len(moments), findings, moments[0], moments[-1])


def _require_derivable(connection: Connection, last: datetime) -> None:
    floor = connection.execute(
        "select floor_ts from nengliu.retention where floor_ts > %s", (last,)
    ).fetchone()
    if floor is not None:
        raise NothingToJudgeError(
            f"energy before {floor[0]} is settled for good (`nengliu retention`): a verdict there would change nothing"
        )


def _nothing(
    connection: Connection, series: Series, low: datetime, high: datetime | None, verdict: Verdict
) -> None:
    """Say why there was nothing to judge."""
    if high is None:
        asked = (series.series_id, low)
        if connection.execute("select from nengliu.reading where series_id = %s and ts = %s", asked).rowcount:
            if verdict == "accepted":
                raise NothingToJudgeError(
                    f"the reading of {series.meter} {series.register} at {low} is {_BEYOND}"
                )
            raise NothingToJudgeError(
                f"nobody judged the reading of {series.meter} {series.register} at {low}"
            )
        raise _no_reading(series, low)
    what = {
        "accepted": "nothing is in doubt",
        "refused": "there is no reading",
        "open": "nobody judged a reading",
    }
    raise NothingToJudgeError(
        f"{what[verdict]} of {series.meter} {series.register} from {low} to {high}; "
        "`nengliu readings review list` shows what there is"
    )


def _no_reading(series: Series, ts: datetime) -> UnknownReadingError:
    return UnknownReadingError(f"there is no reading of {series.meter} {series.register} at {ts}")


def _no_version(connection: Connection, series: Series, ts: datetime, value: float, current: float) -> str:
    asked = {"series": series.series_id, "ts": ts}
    others = [f"{v['value']:.15g} ({v['kind']})" for v in _rows(connection, "review_versions", asked)]
    known = ", ".join([f"{current:.15g} (current)", *others])
    return f"no version {value:.15g} of {series.meter} {series.register} at {ts} is stored; there is {known}"


def _rows(connection: Connection, name: str, asked: Row) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), asked, prepare=False).fetchall()
