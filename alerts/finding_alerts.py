"""Carries out what rules say of findings: alerts of what is silent, missing, out of balance, changed in level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from alerts.alert_care import catch_up
from alerts.alert_rows import (
    ACTOR,
    AlertRow,
    FollowUp,
    NewAlert,
    life_of,
    lock_alert,
    move_alert,
    open_alert,
    utc,
)
from alerts.finding_rules import Episode, Finding, FindingRule, Told, episodes, hear
from alerts.lifecycle import State
from alerts.parameters import Parameters
from alerts.sql import query

#: So many members are listed in the evidence.
_LISTED = 50


def hear_findings(
    conn: psycopg.Connection[Any],
    parameters: Parameters,
    until: datetime,
    follow_up: FollowUp,
    by_event: bool,
) -> int:
    """Let the rules hear the findings that changed since the last time, or have lasted long enough by now; the caller
    holds the assessor's lock and commits. Returns the transitions.

    until: now, by the clock in use; by_event: alerts then have the times of their findings.
    """
    made = 0
    since = conn.execute(query("findings_heard")).fetchone()
    assert since is not None  # the cursor has one row
    for name, rule in parameters.findings.items():
        keys = {
            "kinds": list(rule.kinds),
            "since": since[0],
            "heard_until": since[1],
            "patience": parameters.least_patience(name),
            "until": until,
        }
        concerned = conn.execute(query("findings_to_hear"), keys).fetchall()
        if not concerned:
            continue
        by_gateway = rule.group == "gateway"
        subjects = sorted({gateway if by_gateway and gateway else subject for subject, gateway in concerned})
        known = _findings(conn, parameters, name, subjects)
        told = _told(conn, name, known, subjects)
        for key in sorted({*known, *told}):
            made += _hear(
                conn, name, rule, key, known.get(key, []), told.get(key, []), until, follow_up, by_event
            )
    conn.execute(query("findings_were_heard"), {"until": until})
    return made


def _hear(
    conn: psycopg.Connection[Any],
    name: str,
    rule: FindingRule,
    key: str,
    known: list[Finding],
    told: list[Told],
    until: datetime,
    follow_up: FollowUp,
    by_event: bool,
) -> int:
    made = 0
    row: AlertRow | None = None
    for heard in hear(rule, episodes(rule, known, until), told, until, by_event):
        if heard.episode is not None:
            new = _new_alert(name, rule, key, heard.episode, follow_up)
            row = open_alert(conn, new, heard.step, heard.at, follow_up)
            made += 1
            continue
        if heard.told is not None:
            row = lock_alert(conn, heard.told.alert_id)
        assert row is not None  # a step of neither follows one that opened
        if by_event:
            made += catch_up(conn, row, heard.at, follow_up)
        if row.life.state is heard.step.from_state:  # else a person was quicker
            settled = (
                heard.at.astimezone(follow_up.zone).date() if heard.step.to_state is State.RESOLVED else None
            )
            move_alert(conn, row, heard.step, heard.at, ACTOR, follow_up, settled)
            made += 1
    return made


def _findings(
    conn: psycopg.Connection[Any], parameters: Parameters, name: str, subjects: list[str]
) -> dict[str, list[Finding]]:
    rule = parameters.findings[name]
    keys = {"kinds": list(rule.kinds), "subjects": subjects, "by_gateway": rule.group == "gateway"}
    found: dict[str, list[Finding]] = defaultdict(list)
    with conn.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(query("findings_of_subjects"), keys):
            own = parameters.finding(name, row["site_code"], row.pop("building_type"))
            finding = Finding(**{**row, "starts": utc(row["starts"]), "ends": utc(row["ends"]), "own": own})
            found[finding.key(rule)].append(finding)
    return found


def _told(
    conn: psycopg.Connection[Any], name: str, known: Mapping[str, list[Finding]], subjects: list[str]
) -> dict[str, list[Told]]:
    """Alerts of the rule by what they are about; retracted ones do not count."""
    ids = [f.finding_id for found in known.values() for f in found]
    keys = {"rule": name, "finding_ids": ids, "subjects": subjects, "actor": ACTOR}
    told: dict[str, list[Told]] = defaultdict(list)
    for alert_id, about, finding_id, opened_at, closed_at, by_person, by_acceptance, *life in conn.execute(
        query("alerts_of_findings"), keys
    ):
        closed = (utc(closed_at), closed_at is not None and by_person)
        told[about].append(Told(alert_id, finding_id, utc(opened_at), life_of(*life), *closed, by_acceptance))
    return told


def _new_alert(name: str, rule: FindingRule, key: str, episode: Episode, follow_up: FollowUp) -> NewAlert:
    members = episode.members
    first = members[0]
    sites = {(f.site_id, f.site_code) for f in members}
    site_id, site_code = sites.pop() if len(sites) == 1 else (None, None)
    begin = first.starts.astimezone(follow_up.zone)
    evidence = {
        "about": key,
        "starts": first.starts.isoformat(),
        "findings": len(members),
        "members": list(_listed(members[:_LISTED])),
    }
    subject = f"{key}/{begin:%Y-%m-%d}" if rule.period else key
    severity = (episode.opening(rule) or rule).severity
    return NewAlert(name, severity, subject, evidence, site_id, site_code, finding_id=first.finding_id)


def _listed(members: Iterable[Finding]) -> Iterable[dict[str, Any]]:
    for f in members:
        yield {
            "finding_id": f.finding_id,
            "kind": f.kind,
            "subject": f.subject,
            "starts": f.starts.isoformat(),
            "ends": f.ends.isoformat() if f.ends else None,
            "detail": f.detail,
        }
