"""`simulate city`: the rows that a worker would derive, whole after any interruption, in an empty database only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from threading import Event

import psycopg
import pytest
from typer.testing import CliRunner

from deploy.cli.simulate_commands import simulate
from deploy.settings import Settings
from deploy.simulate_city import city_options, run_city
from deploy.stack.status import read_status
from deploy.stack.steps import SilentSteps
from metering.errors import SettingError
from simulators import city as simulated
from simulators.city import CityOptions
from storage.city import NotEmptyError
from storage.reconcile import reconcile
from storage.registry import import_registry
from storage.registry_export import export_registry

from .conftest import Database, Servers, fresh_database, module_settings
from .energy_support import derive_anew, derived

pytestmark = pytest.mark.integration

SMALL = CityOptions(date(2026, 2, 27), days=3, sites=20, points=30, seed=3)
SPANS = {
    "point_span": "select point_code, from_ts, to_ts from nengliu.point_span join nengliu.point using (point_id)",
    "root_span": "select site_code, r.item_code, point_code, from_ts, to_ts from nengliu.root_span r"
    " join nengliu.site using (site_id) join nengliu.point using (point_id)",
}
READINGS = "select meter, register, ts, value, received_at from nengliu.reading join nengliu.series using (series_id)"


class After(Event):
    """Set once it was looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0 or super().is_set()


@contextmanager
def new_database(servers: Servers, template: str) -> Iterator[tuple[Database, Settings]]:
    with fresh_database(servers.settings, template) as made:
        yield made, module_settings(servers.settings, made)


def fill(settings: Settings, options: CityOptions = SMALL, stop: Event | None = None) -> dict:
    return run_city(settings, options, SilentSteps(), stop or Event())


def rows(database: Database, query: str) -> list[tuple]:
    with psycopg.connect(database.pipeline_url) as connection:
        return sorted(connection.execute(query).fetchall())


def texts(database: Database, query: str) -> list[tuple]:
    """As text: Python has no infinity of time."""
    return rows(database, f"select row_of::text from ({query}) row_of")


@pytest.fixture(scope="module")
def filled(settings: Settings) -> dict:
    return fill(settings)


def test_the_energy_is_what_a_worker_derives_from_the_same_readings(filled, database):
    with psycopg.connect(database.pipeline_url, autocommit=True) as connection:
        assert connection.execute("select count(*) from nengliu.change").fetchone() == (0,)
        direct = derived(connection)
        assert len(direct["point_hour"]) == 20 * 30 * 3 * 24
        assert direct["site_hour"]
        assert derive_anew(connection, database) == direct


def test_every_hour_is_complete_and_measured(filled, database):
    found = rows(
        database,
        "select count(*), min(completeness), max(estimated) from api.site_energy_hour where item_code = '01'",
    )
    assert found == [(20 * 3 * 24, 1.0, 0.0)]
    assert filled["complete"]
    assert (
        rows(database, "select count(*) from api.reading") == [(filled["readings"],)] == [(20 * 30 * 3 * 96,)]
    )


def test_the_registry_is_what_an_import_of_it_would_write(filled, database, servers, template, tmp_path):
    with psycopg.connect(database.pipeline_url) as connection:
        export_registry(connection, tmp_path)
        assert import_registry(connection, tmp_path, "test").version is None
    with new_database(servers, template) as (other, _):
        with psycopg.connect(other.pipeline_url) as connection:
            import_registry(connection, tmp_path, "test")
        for query in SPANS.values():
            assert texts(database, query) == texts(other, query)


def test_ledger_and_rows_agree(filled, database):
    with psycopg.connect(database.pipeline_url) as connection:
        found = reconcile(connection)
    assert found.problems == ()
    assert sum(o.stored for o in found.outboxes) == filled["readings"]


def test_a_city_that_was_stopped_and_gone_on_with_is_the_same(servers, template, monkeypatch):
    monkeypatch.setattr(simulated, "_BLOCK_READINGS", 5 * 30 * 3 * 96)  # 4 blocks
    with new_database(servers, template) as (whole, its), new_database(servers, template) as (parts, others):
        assert fill(its)["complete"]
        first = fill(others, stop=After(1))
        assert not first["complete"]
        assert 0 < first["readings"] < first["readings_in_all"]
        second = fill(others)
        assert (second["complete"], second["readings_before"]) == (True, first["readings"])
        assert fill(others)["readings_before"] == second["readings"]  # nothing more to do
        for query in (READINGS, *SPANS.values(), "select * from nengliu.ingest_ledger"):
            assert texts(whole, query) == texts(parts, query)
        for view in ("energy_hour", "energy_day", "site_energy_hour", "site_energy_year", "quota"):
            assert texts(whole, f"select * from api.{view}") == texts(parts, f"select * from api.{view}")


def test_anything_else_in_the_database_refuses_it(servers, template):
    with new_database(servers, template) as (database, settings):
        with psycopg.connect(database.pipeline_url) as connection:
            connection.execute(
                "insert into nengliu.site (site_code, name, kind, sector) values ('a', 'a', 'building', 'buildings')"
            )
        with pytest.raises(NotEmptyError, match=r"holds sites .*NENGLIU_STATE_DIR"):
            fill(settings)
        assert rows(database, "select count(*) from nengliu.point") == [(0,)]


def test_another_city_is_refused_where_one_is(filled, settings):
    with pytest.raises(NotEmptyError, match=r"another simulated city.*sites 20"):
        fill(settings, CityOptions(SMALL.start, 3, 21, 30, seed=3))


def test_status_tells_of_the_city_and_of_real_readings_in_it(filled, settings, database):
    def told() -> str:
        return "\n".join(read_status(settings.model_copy(update={"language": "en"})).warnings)

    assert "simulated city: 20 buildings, 3 days from 2026-02-27" in told()
    assert "real ones" not in told()
    with psycopg.connect(database.pipeline_url) as connection:
        connection.execute(
            "insert into nengliu.ingest_ledger (day, gateway, outbox, received, stored) values (now(), 'gw', 'k', 1, 1)"
        )
    try:
        assert "1 gateways sent readings into this simulated city" in told()
    finally:
        with psycopg.connect(database.pipeline_url) as connection:
            connection.execute("delete from nengliu.ingest_ledger where gateway = 'gw'")


def test_the_command_goes_on_from_the_day_that_was_begun_with(filled, settings, database, monkeypatch):
    monkeypatch.setenv("NENGLIU_DATABASE_URL", database.pipeline_url)
    monkeypatch.setenv("NENGLIU_DATABASE_OWNER_URL", database.owner_url)
    command = ["city", "--sites", "20", "--days", "3", "--seed", "3", "--json"]
    result = CliRunner().invoke(simulate, command)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["start"], report["readings_before"]) == ("2026-02-27", filled["readings"])


def test_days_that_are_not_over_and_odd_intervals_are_refused(settings):
    with pytest.raises(SettingError, match="over by now"):
        city_options(settings, 1, 1, 2, date.today().isoformat(), 1, 900)  # noqa: DTZ011
    with pytest.raises(SettingError, match="--interval 7"):
        city_options(settings, 1, 1, 1, None, 1, 7)


def test_a_worker_assesses_nothing_of_a_city_that_is_not_all_there(servers, template):
    with new_database(servers, template) as (database, settings):

        class Looks(Event):
            """Asks whether an assessor could begin, whenever it is looked at."""

            def __init__(self) -> None:
                super().__init__()
                self.free: list[bool] = []

            def is_set(self) -> bool:
                with psycopg.connect(database.worker_url) as connection:
                    query = "select 1 from nengliu.assessment_cursor for update skip locked"
                    self.free.append(connection.execute(query).fetchone() is not None)
                return False

        looks = Looks()
        assert fill(settings, stop=looks)["complete"]
        assert looks.free
        assert not any(looks.free)
        assert looks.is_set() is False
        assert looks.free[-1]
