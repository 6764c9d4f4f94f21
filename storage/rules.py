"""The rules of validation as the registry sets them, for whoever derives energy."""

from __future__ import annotations

from typing import Any

import psycopg

from metering.rules import RuleBook, RuleSetting
from storage.sql import query


def load_rules(cursor: psycopg.Cursor[Any]) -> RuleBook:
    """All settings as the transaction sees them: `load_rules(cursor).of(item_code, model, point_code)` -> Rules.

    item_code and point_code are the point's, model the installation's (nengliu.installation.model, may be None).
    """
    cursor.execute(query("registry_load_rule"))
    return RuleBook(RuleSetting(*row) for row in cursor.fetchall())
