"""What every other integration test rests on: a migrated database of the module's own, with its three roles."""

from __future__ import annotations

import psycopg
import pytest

from deploy.clients import connect_database

pytestmark = pytest.mark.integration


def test_each_role_connects_and_a_reader_reads_views_only(database, settings) -> None:
    with connect_database(settings, "pipeline") as pipeline:
        assert pipeline.execute("select timezone from nengliu.node").fetchone() == ("Asia/Shanghai",)
    with psycopg.connect(database.read_url) as reader:
        assert reader.execute("select count(*) from api.site").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("select * from nengliu.node")


def test_nobody_but_the_superuser_may_merge_chunks(database) -> None:
    with psycopg.connect(database.pipeline_url) as pipeline:
        (allowed,) = pipeline.execute(
            "select coalesce(bool_or(has_function_privilege(oid, 'execute')), false) from pg_proc "
            "where proname = 'merge_chunks'"
        ).fetchone()
    assert not allowed
