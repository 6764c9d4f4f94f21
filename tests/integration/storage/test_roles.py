"""Who may do what in the database: readers read views, the pipeline writes rows, only the owner changes the schema."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

pytestmark = pytest.mark.integration

VIEWS = [
    "area_energy_day",
    "area_energy_month",
    "area_energy_year",
    "alert",
    "alert_transition",
    "balance_day",
    "balance_hour",
    "balance_month",
    "energy_day",
    "energy_hour",
    "energy_hour_method",
    "energy_month",
    "energy_year",
    "finding",
    "gateway_status",
    "ingest_ledger",
    "quota",
    "quota_assessment",
    "quota_month",
    "quota_state",
    "quota_state_area",
    "reading",
    "reading_doubt",
    "reading_review",
    "reject",
    "retention",
    "site",
    "site_energy_day",
    "site_energy_hour",
    "site_energy_month",
    "site_energy_year",
]


@pytest.fixture
def reader(database):
    with psycopg.connect(database.read_url, autocommit=True) as connection:
        yield connection


def relations(database, schema):
    with psycopg.connect(database.owner_url) as owner:
        text = (
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = %s and c.relkind in ('r', 'v', 'm', 'S', 'f', 'p') order by 1"
        )
        return [name for (name,) in owner.execute(text, [schema])]


def test_a_reader_can_select_every_contracted_view(database, reader):
    assert relations(database, "api") == sorted(VIEWS)
    for view in VIEWS:
        reader.execute(f"select * from api.{view} limit 1")


def test_a_reader_sees_nothing_else(database, reader, feed):
    feed.send("gw1", ("m1", "1.8.0", 1_400_000_000_000_000, 1.0, False))
    with psycopg.connect(database.superuser_url) as superuser:
        hidden = superuser.execute(
            "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where (n.nspname = 'nengliu' or c.relname like '\\_hyper\\_%') and c.relkind in ('r', 'v', 'p')"
        ).fetchall()
    assert any("chunk" in name for (name,) in hidden)
    for (name,) in hidden:
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute(f"select * from {name} limit 1")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into api.site values ('X', 'x', 'building', 'buildings', null, null, null)",
        "update api.site set name = 'x'",
        "delete from api.reading",
        "create table api.mine (x int)",
        "create table public.mine (x int)",
        "create schema mine",
    ],
)
def test_a_reader_cannot_write(reader, statement):
    with pytest.raises(
        (errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState, errors.FeatureNotSupported)
    ):
        reader.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "drop table nengliu.reading",
        "drop view api.reading",
        "drop schema nengliu cascade",
        "truncate nengliu.reading",
        "alter table nengliu.reading add column x int",
        "create table nengliu.mine (x int)",
        "create table public.mine (x int)",
        "select drop_chunks('nengliu.reading', older_than => now())",
    ],
)
def test_the_pipeline_cannot_change_the_schema_or_drop(pipeline, registry, statement):
    with pytest.raises(errors.InsufficientPrivilege):
        pipeline.execute(statement)


WRITER_MUST_NOT = [
    "delete from nengliu.registry_version",
    "insert into nengliu.site (site_code, name, kind, sector) values ('X', 'x', 'building', 'buildings')",
    "update nengliu.installation set ratio = 2",
    "delete from nengliu.installation",
    "insert into nengliu.quota (site_id) values (1)",
    "select * from nengliu.quota",
    "select * from nengliu.contact",
    "select * from nengliu.alert",
    "select * from api.reading",
    "delete from nengliu.reading",
    "delete from nengliu.reading_version",
    "update nengliu.reading_version set value = 0",
    "update nengliu.reject set reason = 'x'",
    "delete from nengliu.ingest_ledger",
    "delete from nengliu.change",
    "update nengliu.point_hour set consumption = 0",
    "insert into nengliu.event_outbox (topic, key, value) values ('alert.events', 'k', '{}')",
]
WORKER_MUST_NOT = [
    "insert into nengliu.reading (series_id, ts, value) values (1, now(), 1)",
    "update nengliu.reading set value = 0",
    "delete from nengliu.reading",
    "update nengliu.reading_version set value = 0",
    "insert into nengliu.series (meter, register) values ('x', '1.8.0')",
    "update nengliu.stream_offset set next_offset = 0",
    "update nengliu.ingest_ledger set stored = 0",
    "delete from nengliu.reject",
    "update nengliu.installation set ratio = 2",
    "insert into nengliu.quota (site_id) values (1)",
    "update nengliu.quota_limit set limit_value = 0",
    "delete from nengliu.quota_assessment",
    "update nengliu.quota_assessment set used = 0",
    "update nengliu.alert_transition set note = ''",
    "delete from nengliu.alert_transition",
    "delete from nengliu.alert",
    "update nengliu.site set floor_area_m2 = 1",
    "update nengliu.factor set value = 0",
    "update nengliu.contact set address = 'x'",
]
NO_SERVICE_MAY = [
    "drop table nengliu.reading",
    "truncate nengliu.reading",
    "create table nengliu.mine (x int)",
    "create table public.mine (x int)",
    "create role mine",
    "set role nengliu_pipeline",
    "set role nengliu_owner",
    "select drop_chunks('nengliu.reading', older_than => now())",
    "copy (select 1) to program 'true'",
]


@pytest.mark.parametrize("statement", WRITER_MUST_NOT + NO_SERVICE_MAY)
def test_a_writer_cannot(database, registry, statement):
    with psycopg.connect(database.writer_url) as writer, pytest.raises(errors.InsufficientPrivilege):
        writer.execute(statement)


@pytest.mark.parametrize("statement", WORKER_MUST_NOT + NO_SERVICE_MAY)
def test_a_worker_cannot(database, registry, statement):
    with psycopg.connect(database.worker_url) as worker, pytest.raises(errors.InsufficientPrivilege):
        worker.execute(statement)


def test_merge_chunks_which_crashes_the_server_is_for_no_login_role(database):
    with psycopg.connect(database.superuser_url) as superuser:
        allowed = superuser.execute(
            "select r.rolname, p.oid::regprocedure::text from pg_roles r, pg_proc p"
            " where p.proname like 'merge_chunks%' and not r.rolsuper and r.rolname like 'nengliu%'"
            " and has_function_privilege(r.oid, p.oid, 'execute')"
        ).fetchall()
    assert allowed == []
