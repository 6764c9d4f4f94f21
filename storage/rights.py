"""What each service's database role may do: storage/rights/<role>.sql, said anew for the whole schema after migrations.

Not by migrations: a role's rights are read in one place, a role that is made later gets them too, and an existing
database whose operator made no such role is left as it is (its services then all use nengliu_pipeline).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql


def grant_rights(conn: psycopg.Connection[tuple[Any, ...]], migrations: Iterable[str]) -> list[str]:
    """Give the service roles that exist exactly the rights of their files; names of the roles, empty where nothing had
    to be done. `conn` is the owner's, in a transaction; `migrations`: names of those applied.
    """
    texts = _texts()
    found = conn.execute("select rolname from pg_roles where rolname = any (%s) order by 1", [list(texts)])
    roles = [name for (name,) in found.fetchall()]
    said = repr((sorted(migrations), [texts[role] for role in roles]))
    mark = f"rights {hashlib.sha256(said.encode()).hexdigest()}"
    row = conn.execute("select obj_description('nengliu'::regnamespace)").fetchone()
    if row == (mark,):
        return []
    for role in roles:
        revoke = sql.SQL("revoke all on all tables in schema nengliu from {}")
        conn.execute(revoke.format(sql.Identifier(role)))
        conn.execute(texts[role])  # our own file
    conn.execute(sql.SQL("comment on schema nengliu is {}").format(sql.Literal(mark)))
    return roles


def _texts() -> dict[str, str]:
    """Role -> the text of its file."""
    folder = files("storage").joinpath("rights")
    return {f.name.removesuffix(".sql"): f.read_text(encoding="utf-8") for f in folder.iterdir()}
