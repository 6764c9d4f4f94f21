"""Numbered migrations: storage/migrations/NNNN_name.sql, each applied once, in order, in its own
transaction.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from metering.errors import NengliuError, SettingError
from storage.community import switch_on
from storage.rights import grant_rights

Connection = psycopg.Connection[tuple[Any, ...]]

#: Key of the advisory lock that one migrating process holds: "nengliu" as bytes.
_LOCK = int.from_bytes(b"nengliu")
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_ROLES = ("nengliu_pipeline", "nengliu_read")


class MigrationError(NengliuError):
    """The database's schema is not what this version can work with."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration: its file name and text."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def shipped_migrations() -> list[Migration]:
    """All migrations of this version, in order."""
    folder = files("storage").joinpath("migrations")
    found = [
        Migration(f.name, f.read_text(encoding="utf-8")) for f in folder.iterdir() if _NAME.fullmatch(f.name)
    ]
    return sorted(found, key=lambda m: m.name)


def migrate(
    conn: Connection, node: str, timezone: str, migrations: list[Migration] | None = None
) -> list[str]:
    """Apply what is missing and write who this node is; the names applied.

    `conn` belongs to the owner of the database and is idle. Raises SettingError where the time zone cannot be
    used or differs from the one the data was made with, MigrationError where an applied migration has
    changed.
    """
    require_whole_hours(timezone)
    shipped = migrations is None
    migrations = shipped_migrations() if migrations is None else migrations
    if not conn.autocommit:
        conn.commit()
        conn.autocommit = True
    conn.execute("select pg_advisory_lock(%s)", [_LOCK])
    try:
        with conn.transaction():
            _prepare(conn)
        applied = _applied(conn)
        _require_known(migrations, applied)
        missing = [m for m in migrations if m.name not in applied]
        for migration in missing:
            _apply(conn, migration)
        with conn.transaction():
            _write_node(conn, node, timezone)
            if shipped:  # the files of rights name its tables
                grant_rights(conn, (m.name for m in migrations))
                switch_on(conn)
    finally:
        conn.execute("select pg_advisory_unlock(%s)", [_LOCK])
    return [m.name for m in missing]


def require_whole_hours(timezone: str) -> None:
    """Refuse a zone with an offset since 2000 that is no whole hour: an hour must lie within one local
    day.
    """
    zone = ZoneInfo(timezone)
    years = range(2000, datetime.now(UTC).year + 2)
    moments = (datetime(year, month, 1, tzinfo=UTC) for year in years for month in range(1, 13))
    for moment in moments:
        offset = moment.astimezone(zone).utcoffset()
        if offset is None or offset.total_seconds() % 3600:
            raise SettingError(
                f"NENGLIU_TIMEZONE: {timezone} is {offset} from UTC at {moment:%Y-%m}; only zones with whole-hour "
                "offsets can be used, as hourly energy is summed to local days"
            )


def _prepare(conn: Connection) -> None:
    """The extension, the roles that migrations grant to, and the table of what was applied."""
    conn.execute("set local client_min_messages = warning")
    conn.execute("create extension if not exists timescaledb")
    for role in _ROLES:
        if not conn.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
            conn.execute(f"create role {role} nologin")  # names from _ROLES
    conn.execute(
        "create table if not exists public.nengliu_migration ("
        " name text primary key, checksum text not null, applied_at timestamptz not null default clock_timestamp())"
    )


def _applied(conn: Connection) -> dict[str, str]:
    return dict(conn.execute("select name, checksum from public.nengliu_migration").fetchall())


def _require_known(migrations: list[Migration], applied: dict[str, str]) -> None:
    shipped = {m.name: m.checksum for m in migrations}
    if unknown := sorted(set(applied) - set(shipped)):
        raise MigrationError(
            f"the database has {', '.join(unknown)}, which this version does not know: it was migrated by a newer one; "
            "install that, or use another database"
        )
    if changed := sorted(name for name, checksum in applied.items() if shipped[name] != checksum):
        raise MigrationError(
            f"{', '.join(changed)} changed after it was applied: an applied migration is never edited, add a new one; "
            "a throw-away stack is made anew by `nengliu down --purge` and `nengliu up`"
        )


def _apply(conn: Connection, migration: Migration) -> None:
    try:
        with conn.transaction():
            conn.execute("set local client_min_messages = warning")
            conn.execute(migration.text)  # our own file
            conn.execute(
                "insert into public.nengliu_migration (name, checksum) values (%s, %s)",
                [migration.name, migration.checksum],
            )
    except psycopg.Error as e:
        raise MigrationError(f"migration {migration.name} failed and changed nothing: {e}") from e


def _write_node(conn: Connection, node: str, timezone: str) -> None:
    row = conn.execute("select name, timezone from nengliu.node").fetchone()
    if row is None:
        conn.execute("insert into nengliu.node (name, timezone) values (%s, %s)", [node, timezone])
        return
    if row[1] != timezone:
        raise SettingError(
            f"NENGLIU_TIMEZONE is {timezone}, but the days of this database are those of {row[1]}: set it back, "
            "or begin a new database"
        )
    if row[0] != node:
        conn.execute("update nengliu.node set name = %s", [node])
