"""What is said of readings and steps while energy is made of them: doubts, findings, and what these hang on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from metering.dependencies import ON_LOADS, Dependencies
from metering.doubts import StepFinding
from metering.findings import finding_kinds
from storage.point_hours import PointHours
from storage.reviews import STEP_KINDS
from storage.slices import bound
from storage.sql import query
from storage.touched import PlacedRegister

Row = dict[str, Any]


def write_judgements(cursor: psycopg.Cursor[Any], found: PointHours, up_to: int = ON_LOADS) -> None:
    """Put in place what is said of the windows, which `write_points` has just written; up_to: the level of dependencies
    that were looked at.
    """
    cursor.execute(query("derive_forget"), {"level": up_to})
    judged = found.derived.judged
    doubts = list(_doubts(found))
    if doubts:
        cursor.execute(query("derive_doubts"), {"rows": Jsonb(doubts)})
    hangs = list(_dependencies(found, judged.dependencies)) + list(_dependencies(found, found.derived.hangs))
    if hangs:
        cursor.execute(query("derive_depend"), {"rows": Jsonb(hangs)})
    rows = [row for f in judged.findings if (row := _finding(found, f)) is not None]
    findings = {row["rule_key"]: row for row in rows}  # several windows of a point may reach into one
    cursor.execute(
        query("derive_findings"), {"rows": Jsonb(list(findings.values())), "step_kinds": list(STEP_KINDS)}
    )


def _doubts(found: PointHours) -> Iterator[Row]:
    doubts = found.derived.judged.doubts
    for ix, ts, kind in zip(
        doubts.register_ix.tolist(), doubts.ts_us.tolist(), doubts.kind.tolist(), strict=True
    ):
        placed, (begin, end) = found.placed[ix], found.jobs[found.owner[ix]].window
        if begin <= ts < end and placed.series_id is not None:
            yield {"series_id": placed.series_id, "ts": _text(ts), "point_id": placed.point_id, "kind": kind}


def _dependencies(found: PointHours, rows: Dependencies) -> Iterator[Row]:
    for n, ix in enumerate(rows.register_ix.tolist()):
        begin, end = found.jobs[found.owner[ix]].window
        if rows.anchor_from_us[n] < end and rows.anchor_to_us[n] > begin:
            yield {
                "point_id": found.placed[ix].point_id,
                "level": int(rows.level[n]),
                "anchor_from": _text(int(rows.anchor_from_us[n])),
                "anchor_to": _text(int(rows.anchor_to_us[n])),
                "from_ts": _text(int(rows.from_us[n])),
                "to_ts": _text(int(rows.to_us[n])),
                "on_from": _text(int(rows.on_from_us[n])),
                "on_to": _text(int(rows.on_to_us[n])),
            }


def _finding(found: PointHours, finding: StepFinding) -> Row | None:
    """The row of a finding, None where it is about another time than its point's window."""
    placed: PlacedRegister = found.placed[finding.register_ix]
    begin, end = found.jobs[found.owner[finding.register_ix]].window
    if finding.starts_us >= end or finding.ends_us <= begin or placed.series_id is None:
        return None
    detail = {"readings": finding.readings, "before": finding.before, "after": finding.after}
    if finding.shown is not None:
        detail["shown"] = finding.shown
    return {
        "rule_key": f"{placed.series_id}:{finding.kind}:{finding.starts_us}",
        "kind": finding.kind,
        "severity": finding_kinds()[finding.kind].severity,
        "meter": placed.meter,
        "register": placed.obis,
        "gateway": placed.gateway,
        "point_id": placed.point_id,
        "site_id": placed.site_id,
        "starts": _text(finding.starts_us),
        "ends": _text(finding.ends_us),
        "detail": detail,
    }


def _text(moment_us: int) -> str:
    return str(bound(moment_us))
