"""Migrations: each once, in order, whole or not at all; an applied one is never edited; the zone never changes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from deploy.clients import database_url
from deploy.stack.postgres import prepare_database
from metering.errors import SettingError
from storage.migrate import Migration, MigrationError, migrate, shipped_migrations

from .conftest import database_server, site_of

pytestmark = pytest.mark.integration

FIRST = Migration(
    "0001_first.sql", "create schema nengliu; create table nengliu.node (name text, timezone text);"
)
SECOND = Migration("0002_second.sql", "create table nengliu.second (x int);")
BROKEN = Migration("0002_broken.sql", "create table nengliu.half (x int); select * from nowhere;")


@pytest.fixture
def empty(servers) -> Iterator[str]:
    """URL, as owner, of a database with nothing but the extension."""
    settings = servers.settings
    name = f"empty_{secrets.token_hex(4)}"
    with database_server(settings) as connection:
        connection.execute(sql.SQL("create database {} owner nengliu_owner").format(sql.Identifier(name)))
    prepare_database(site_of(settings), name)
    yield database_url(settings, "owner", name)
    with database_server(settings) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_all_that_is_shipped_applies_once_and_again_changes_nothing(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        applied = migrate(connection, "beijing", "Asia/Shanghai")
        assert applied == [m.name for m in shipped_migrations()]
        assert applied == sorted(applied)
        assert migrate(connection, "beijing", "Asia/Shanghai") == []
        assert connection.execute("select name, timezone from nengliu.node").fetchall() == [
            ("beijing", "Asia/Shanghai")
        ]


def test_numbers_are_used_once() -> None:
    numbers = [m.name[:4] for m in shipped_migrations()]
    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]


def test_what_came_later_is_added(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        assert migrate(connection, "n", "UTC", [FIRST]) == [FIRST.name]
        assert migrate(connection, "n", "UTC", [FIRST, SECOND]) == [SECOND.name]


def test_ends_of_installations_of_an_older_version_are_derived_again(empty: str) -> None:
    shipped = [m for m in shipped_migrations() if m.name <= "0031_ends_again.sql"]
    with psycopg.connect(empty) as connection:
        migrate(connection, "n", "Asia/Shanghai", shipped[:-1])
        connection.execute(
            """with s as (
                   insert into nengliu.site (site_code, name, kind, sector)
                   values ('A', 'A', 'building', 'buildings') returning site_id
               ), p as (
                   insert into nengliu.point (point_code, site_id, item_code, name)
                   select 'A-T', site_id, '01', 'T' from s returning point_id
               )
               insert into nengliu.installation
                   (meter, point_id, register, gateway, protocol, unit, digits, decimals, ratio, installed_at,
                    removed_at)
               select meter, point_id, '1.8.0', 'g', 'json', 'kWh', 6, 2, 1, installed_at, removed_at
               from p, (values ('ended', timestamptz '2014-01-01Z', timestamptz '2014-03-01Z'),
                               ('void', '2014-03-01Z', '2014-03-01Z'),
                               ('open', '2014-03-01Z', null)) i (meter, installed_at, removed_at)"""
        )
        assert migrate(connection, "n", "Asia/Shanghai", shipped) == [shipped[-1].name]
        marked = "select from_ts = '2014-03-01Z' and to_ts = from_ts from nengliu.change"
        assert connection.execute(marked).fetchall() == [(True,)]


def test_a_migration_that_fails_leaves_nothing_and_is_tried_again(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        with pytest.raises(MigrationError, match=r"0002_broken.sql.*changed nothing"):
            migrate(connection, "n", "UTC", [FIRST, BROKEN])
        assert connection.execute("select to_regclass('nengliu.half')").fetchone() == (None,)
        assert migrate(connection, "n", "UTC", [FIRST, SECOND]) == [SECOND.name]


def test_an_edited_migration_is_refused(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        migrate(connection, "n", "UTC", [FIRST])
        edited = Migration(FIRST.name, FIRST.text + "-- better")
        with pytest.raises(MigrationError, match=r"0001_first.sql.*add a new one"):
            migrate(connection, "n", "UTC", [edited])


def test_a_database_of_a_newer_version_is_refused(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        migrate(connection, "n", "UTC", [FIRST, SECOND])
        with pytest.raises(MigrationError, match=r"0002_second.sql.*newer"):
            migrate(connection, "n", "UTC", [FIRST])


def test_two_at_once_apply_each_migration_once(empty: str) -> None:
    def run(_: int) -> list[str]:
        with psycopg.connect(empty) as connection:
            return migrate(connection, "n", "UTC", [FIRST, SECOND])

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert sorted(results, key=len) == [[], [], [], [FIRST.name, SECOND.name]]


def test_the_time_zone_never_changes_but_the_name_may(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        migrate(connection, "n", "Asia/Shanghai", [FIRST])
        with pytest.raises(SettingError, match=r"NENGLIU_TIMEZONE.*Asia/Shanghai"):
            migrate(connection, "n", "Europe/Berlin", [FIRST])
        migrate(connection, "other", "Asia/Shanghai", [FIRST])
        assert connection.execute("select name from nengliu.node").fetchone() == ("other",)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_a_zone_without_whole_hours_is_refused(empty: str, zone: str) -> None:
    with psycopg.connect(empty) as connection, pytest.raises(SettingError, match="NENGLIU_TIMEZONE"):
        migrate(connection, "n", zone, [FIRST])


def test_the_pipeline_may_write_and_not_alter_and_the_reader_reads_only_views(database) -> None:
    denied = psycopg.errors.InsufficientPrivilege
    with psycopg.connect(database.pipeline_url) as pipeline:
        pipeline.execute("insert into nengliu.registry_version (actor) values ('test')")
        pipeline.rollback()
        for statement in (
            "create table nengliu.x (y int)",
            "drop table nengliu.reject",
            "create table public.x ()",
        ):
            with pytest.raises(denied):
                pipeline.execute(statement)
            pipeline.rollback()
    with psycopg.connect(database.read_url) as reader:
        for statement in (
            "select 1 from nengliu.reading",
            "delete from api.site",
            "create temporary table x (y int)",
        ):
            with pytest.raises(denied):
                reader.execute(statement)
            reader.rollback()
