"""`nengliu retention` says what would go before it goes, and what went."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from deploy.cli.retention_commands import retention

pytestmark = pytest.mark.integration

OLD = datetime.now(UTC) - timedelta(days=3 * 365)


@pytest.fixture
def old_readings(database, monkeypatch):
    """Three weeks of readings of three years ago."""
    monkeypatch.setenv("NENGLIU_DATABASE_URL", database.pipeline_url)
    monkeypatch.setenv("NENGLIU_LANGUAGE", "en")
    with psycopg.connect(database.pipeline_url, autocommit=True) as connection:
        connection.execute(
            """insert into nengliu.reading (series_id, ts, value, received_at)
               select 1, %s::timestamptz + n * interval '1 hour', n, now() from generate_series(1, 500) n
               on conflict do nothing""",
            (OLD,),
        )
        yield connection


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(retention, words)
    return done.exit_code, done.output


def test_readings_are_kept_for_ever_unless_a_setting_says_otherwise(old_readings):
    assert run("show") == (0, "readings are kept for ever\n")
    assert CliRunner().invoke(retention, ["apply"]).exit_code != 0
    assert old_readings.execute("select count(*) from nengliu.reading").fetchone() == (500,)


def test_what_would_go_is_told_and_then_goes(old_readings, monkeypatch):
    monkeypatch.setenv("NENGLIU_READINGS_KEEP_YEARS", "2")
    code, output = run("apply", "--dry-run", "--json")
    told = json.loads(output)
    assert (code, told["keep_years"], told["floor"], told["chunks"]) == (0, 2, None, 0)
    assert told["going"]["readings"] == 500
    assert told["going"]["chunks"] in (1, 2)
    assert told["going"]["size_bytes"] > 0
    assert old_readings.execute("select count(*) from nengliu.reading").fetchone() == (500,)
    assert "old enough to go" in run("show")[1]
    code, output = run("apply", "--json")
    done = json.loads(output)
    assert (code, done["chunks"], done["readings"]) == (0, told["going"]["chunks"], 500)
    assert done["floor"] == told["going"]["floor"]
    assert old_readings.execute("select count(*) from nengliu.reading").fetchone() == (0,)
    assert "nothing is old enough to go" in run("show")[1]
