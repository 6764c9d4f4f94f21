"""Find gateways that were replaced or wiped: they send from a new outbox, and the old one sends no more.

See docs/decisions/clocks.md, and storage/writer_sequences.py for the books.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from storage import locks
from storage.finding_rows import finding_row, keep_derived, withdraw_derived
from storage.losses import subject_of
from storage.sql import query

#: The name of this rule in nengliu.finding.
RULE = "outboxes"
GATEWAY_REPLACED = "gateway_replaced"

#: So long, in time of readings, a new outbox sends and the old one does not, before the old one is given up.
PATIENCE = timedelta(hours=1)


def watch_outboxes(connection: psycopg.Connection[Any], patience: timedelta = PATIENCE) -> bool:
    """Open, change and withdraw findings of replaced gateways in one transaction; False where another one is at it.

    A finding is from the last reading of the old outbox to the first of the new one: what lies between is lost.
    """
    with connection.transaction():
        row = connection.execute("select pg_try_advisory_xact_lock(%s)", (locks.CLOCKS,)).fetchone()
        if row is None or not row[0]:
            return False
        found = connection.execute(query("outbox_successions"), {"patience": patience}).fetchall()
        rows = []
        for gateway, outbox, old_outbox, old_last, first, missing, site_id in found:
            detail = {
                "gateway": gateway,
                "outbox": outbox,
                "old_outbox": old_outbox,
                "missing": int(missing),
            }
            about = {
                "ends": first,
                "gateway": gateway,
                "site_id": site_id,
                "rule_key": subject_of(gateway, outbox),
            }
            rows.append(finding_row(GATEWAY_REPLACED, gateway, old_last, detail, **about))
        standing = {row["rule_key"] for row in rows}
        open_now = connection.execute(
            "select finding_id, rule_key from nengliu.finding where rule = %s and state = 'open'", (RULE,)
        ).fetchall()
        withdraw_derived(connection, [n for n, key in open_now if key not in standing])
        keep_derived(connection, RULE, rows)
    return True
