"""Marks energy for derivation by hand: normally never needed, as everything that changes marks itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from metering.errors import NengliuError
from metering.spans import END, START
from storage.sql import query


class UnknownSiteError(NengliuError):
    """A site was asked for that the registry does not have."""


def mark_points(
    conn: psycopg.Connection[Any], site_codes: Sequence[str], from_us: int = START, to_us: int = END
) -> int:
    """Mark all points of the sites (none named: of all sites) as changed from from_us to to_us; how many points.

    Microseconds since 1970, both included. Raises UnknownSiteError.
    """
    known_sites(conn, site_codes)
    return conn.execute(
        query("derive_mark_sites"), {"codes": list(site_codes), "from": from_us, "to": to_us}
    ).rowcount


def known_sites(conn: psycopg.Connection[Any], site_codes: Sequence[str]) -> list[str]:
    """The sites that were asked for (none named: all), in order. Raises UnknownSiteError."""
    known = {row[0] for row in conn.execute("select site_code from nengliu.site").fetchall()}
    if unknown := sorted(set(site_codes) - known):
        raise UnknownSiteError(
            f"no site {', '.join(unknown)}; `nengliu registry export DIR` shows those there are"
        )
    return sorted(set(site_codes) or known)


def newest_mark(conn: psycopg.Connection[Any]) -> int:
    """The newest change that waits; 0 where none does."""
    row = conn.execute("select coalesce(max(change_id), 0) from nengliu.change").fetchone()
    return int(row[0]) if row else 0


def is_derived(conn: psycopg.Connection[Any], mark: int) -> bool:
    """Whether nothing up to that mark waits any more."""
    row = conn.execute("select exists (select from nengliu.change where change_id <= %s)", (mark,)).fetchone()
    return row is not None and not row[0]
