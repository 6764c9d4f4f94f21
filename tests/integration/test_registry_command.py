"""`nengliu registry import`, as a user runs it: what it took in is in force when it returns."""

from __future__ import annotations

import psycopg
import pytest
from typer.testing import CliRunner

from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import registry

pytestmark = pytest.mark.integration

LIMITS = "select site_code, year, limit_value, superseded_at is null from api.quota where year = 2014 order by 1, 4"


@pytest.mark.parametrize("clock", ["wall", "event"])
def test_limits_as_given_are_there_when_an_import_returns(servers, template, tmp_path, monkeypatch, clock):
    """No worker is running: nobody else writes them."""
    from deploy.cli.registry_commands import registry as command

    folder = registry(tmp_path)

    def imported(limit: int) -> list[tuple[object, ...]]:
        head = (folder / "quotas.csv").read_text(encoding="utf-8").splitlines()[0]
        (folder / "quotas.csv").write_text(f"{head}\nS1,01,2014,{limit},manual,,,test,2014-01-01\n")
        result = CliRunner().invoke(command, ["import", str(folder)])
        assert result.exit_code == 0, result.output
        return conn.execute(LIMITS).fetchall()

    with fresh_database(servers.settings, template) as database:
        monkeypatch.setenv("NENGLIU_DATABASE_URL", database.pipeline_url)
        monkeypatch.setenv("NENGLIU_STATE_DIR", str(servers.settings.state_dir))
        monkeypatch.setenv("NENGLIU_CLOCK", clock)
        with psycopg.connect(database.read_url, autocommit=True) as conn:
            assert imported(4000) == [("S1", 2014, 4000.0, True)]
            assert imported(4000) == [("S1", 2014, 4000.0, True)]
            assert imported(4500) == [("S1", 2014, 4000.0, False), ("S1", 2014, 4500.0, True)]
