"""What people judge of findings that no reading stands for: clocks, ratios, phases, gateways, balances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from metering.errors import NengliuError
from storage.reviews import Person, Verdict
from storage.sql import query


class FindingNotJudgedError(NengliuError):
    """A finding that is not there, was withdrawn, or is judged otherwise; all or none of those asked for are judged."""


def judge_findings(
    connection: psycopg.Connection[Any], finding_ids: Sequence[int], verdict: Verdict, person: Person
) -> int:
    """Set the state of findings: accepted (it is so), refused (it is not), open (taken back); how many.

    Raises FindingNotJudgedError naming those that cannot be, with nothing done.
    """
    asked = {"findings": list(finding_ids), "state": verdict, "by": person.by, "note": person.note}
    with connection.transaction():
        done = {row[0] for row in connection.execute(query("finding_judge"), asked).fetchall()}
        if left := sorted(set(finding_ids) - done):
            raise FindingNotJudgedError(
                f"finding {', '.join(map(str, left))}: not there, withdrawn, or not judged here: what is about "
                "readings is judged by `nengliu readings review`, and silences end by themselves; nothing was changed"
            )
    return len(done)
