"""Findings as rows: opened, changed, and told in the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from metering.findings import finding_kinds
from storage.sql import query

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

#: More findings of a kind than this in one turn are logged as one line.
_LOGGED = 10


def finding_row(kind: str, subject: str, starts: datetime, detail: Row, **about: Any) -> Row:
    """A finding to open; about: further columns (gateway, meter, point_id, site_id, anchor, ends)."""
    severity = finding_kinds()[kind].severity
    return {
        "kind": kind,
        "severity": severity,
        "subject": subject,
        "starts": starts,
        "detail": detail,
        **about,
    }


def open_findings(connection: Connection, rows: Sequence[Row]) -> None:
    """Open findings (`finding_row`); one that is open already stays as it is."""
    if rows:
        opened = connection.execute(query("finding_open"), {"rows": rows_as_json(rows)}).fetchall()
        tell_findings(
            "finding_opened", [dict(zip(("kind", "subject", "starts"), row, strict=True)) for row in opened]
        )


def change_findings(connection: Connection, rows: Sequence[Row]) -> None:
    """Change findings by finding_id: `ends` always, and starts, anchor, state, detail where given."""
    if rows:
        changed = connection.execute(query("finding_change"), {"rows": rows_as_json(rows)}).fetchall()
        names = ("kind", "subject", "starts", "ends", "state")
        told = [dict(zip(names, row, strict=True)) for row in changed]
        tell_findings("finding_ended", [t for t in told if t["ends"] is not None])


def rows_as_json(rows: Sequence[Row]) -> Jsonb:
    """Rows as one parameter, for jsonb_to_recordset."""
    return Jsonb(rows, dumps=lambda value: json.dumps(value, default=_plain))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not for JSON")


def tell_findings(event: str, rows: Sequence[Row]) -> None:
    """Log what became of findings, the first ones each."""
    for row in rows[:_LOGGED]:
        log.info(event, **{k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()})
    if len(rows) > _LOGGED:
        log.info(event + "_more", count=len(rows) - _LOGGED)


def keep_derived(connection: Connection, rule: str, rows: Sequence[Row]) -> None:
    """Open or change findings that a rule derives from the data, each known by its `rule_key`; one that was withdrawn
    stands again. What a person judged stays as it is.
    """
    if rows:
        asked = {"rule": rule, "rows": rows_as_json(rows)}
        kept = connection.execute(query("finding_derived"), asked).fetchall()
        names = ("kind", "subject", "starts", "ends")
        tell_findings("finding_derived", [dict(zip(names, row, strict=True)) for row in kept])


def withdraw_derived(connection: Connection, finding_ids: Sequence[int]) -> None:
    """Withdraw open findings that the data no longer bears out."""
    if finding_ids:
        gone = connection.execute(query("finding_withdrawn"), {"finding_ids": list(finding_ids)}).fetchall()
        tell_findings(
            "finding_withdrawn", [dict(zip(("kind", "subject", "starts"), row, strict=True)) for row in gone]
        )
