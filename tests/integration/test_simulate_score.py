"""`nengliu simulate score` on a real database: what the platform derived and found, against the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

import deploy.score
from simulators.truth import TrueFault, TruePoint, TruthFile
from storage.derivation import Deriver
from storage.levels import watch_levels
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
T0 = datetime(2014, 3, 1, tzinfo=timezone(8 * HOUR))
DAYS = 3
CODES = ("right", "gap", "ct")


@pytest.fixture
def town(database, servers, monkeypatch) -> Iterator[Town]:
    """An empty registry; commands reach this module's database."""
    monkeypatch.setenv("NENGLIU_DATABASE_URL", database.pipeline_url)
    monkeypatch.setenv("NENGLIU_READ_URL", database.read_url)
    monkeypatch.setenv("NENGLIU_STATE_DIR", str(servers.settings.state_dir))
    monkeypatch.setenv("NENGLIU_LANGUAGE", "en")
    monkeypatch.setenv("COLUMNS", "100")
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        yield Town(connection, database.worker_url, database.superuser_url)


def write_truth(path: Path) -> Path:
    """10 kWh an hour at three points: one undisturbed, one with a gap of 7 hours, one whose CT changes on day 2."""
    truth = TruthFile(path)
    truth.set_run(timezone="Asia/Shanghai")
    truth.add_points([TruePoint(c, "A", "01", "kWh", None, f"m-{c}", "1.8.0", "gw1", 0.01) for c in CODES])
    truth.add_hours(int(T0.timestamp()) // 3600, np.full((len(CODES), 24 * DAYS), 10.0))
    silence = ("silent_meter", "silent_gateway")
    about: dict[str, Any] = {"is_fault": True, "site_code": "A", "gateway": "gw1"}
    truth.add_faults(
        [
            TrueFault("outage", "outage_7h", point_code="gap", meter="m-gap", starts=T0 + 20 * HOUR,
                      ends=T0 + 27 * HOUR, found_by=silence, **about),
            TrueFault("ct_changed", "ct2", point_code="ct", meter="m-ct", starts=T0 + 48 * HOUR,
                      ends=T0 + 72 * HOUR, found_by=("ct_changed",), **about),
            TrueFault("wrong_bytes", "wrong_bytes", point_code=None, meter=None, starts=T0, ends=T0 + HOUR,
                      found_by=("reject:malformed",), **about),
        ]
    )  # fmt: skip
    truth.save()
    truth.close()
    return path


def send(town: Town) -> None:
    """What meters showed: quarter-hours, cumulative."""
    quarters = np.arange(24 * 4 * DAYS + 1)
    shown = dict.fromkeys(CODES, 100 + 2.5 * quarters)
    shown["ct"] = np.where(quarters > 192, 100 + 2.5 * 192 + 1.25 * (quarters - 192), shown["ct"])
    silent = {"gap": (quarters > 80) & (quarters < 108)}
    points = {c: town.point(c, town.site("A")) for c in CODES}
    for code, point in points.items():
        town.install(f"m-{code}", point, T0, interval_s=900)
    town.place()
    for code in CODES:
        keep = ~silent.get(code, np.zeros(len(quarters), np.bool_))
        town.read(f"m-{code}", [(T0 + int(q) * QUARTER, float(shown[code][q])) for q in quarters[keep]])
    add = """insert into nengliu.finding (kind, severity, point_id, meter, starts, ends, state, detail, subject)
             values (%s, 'warning', %s, %s, %s, %s, %s, '{}', %s)"""
    begin = T0 + 20 * HOUR + QUARTER
    town.rows(
        add + " returning 1", "silent_meter", points["gap"], "m-gap", begin, T0 + 27 * HOUR, "open", "a"
    )
    town.rows(add + " returning 1", "silent_meter", points["right"], "m-right", begin, None, "open", "b")
    town.rows(add + " returning 1", "silent_meter", points["ct"], "m-ct", begin, None, "withdrawn", "c")
    town.rows(
        """insert into nengliu.reject (gateway, source_topic, reason, detail, payload, received_at)
           values ('gw1', 'nl/v1/gw1/readings', 'malformed', 'not JSON', '', now()) returning 1"""
    )


def derive(town: Town) -> None:
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    with psycopg.connect(town.url) as connection:
        watch_levels(connection)


def score(*arguments: object) -> Any:
    from deploy.cli.simulate_commands import simulate

    return CliRunner().invoke(simulate, ["score", *map(str, arguments)])


def test_what_the_platform_made_of_a_run_is_scored_against_its_truth(town, tmp_path, monkeypatch):
    path = write_truth(tmp_path / "truth.sqlite")
    nothing = score(path)
    assert nothing.exit_code == 1
    assert "nothing of this run is in the database" in nothing.output
    send(town)
    assert "--wait" in score(path).output, "readings are there, energy is not"
    look, looks = deploy.score._progress, []

    def look_and_derive(*asked: Any) -> tuple[int, int]:
        """The first look sees what waits; only then it is derived, and taken as looked through for silences."""
        looks.append(look(*asked))
        if len(looks) == 1:
            derive(town)
            town.connection.execute("delete from nengliu.silence_due")
        return looks[-1]

    monkeypatch.setattr(deploy.score, "_progress", look_and_derive)
    result = score(path, "--wait", "--json", "--picture", tmp_path / "score.svg")
    assert result.exit_code == 0, result.output
    assert looks[0][0] > 0
    data = json.loads(result.stdout)
    points = {p["point_code"]: p for p in data["points"]}
    assert [points[c]["error"] for c in CODES] == pytest.approx([0, 0, -120], abs=0.02)
    assert [points[c]["hours_wrong"] for c in CODES] == [0, 0, 24]
    assert points["gap"]["estimated"] == pytest.approx(70)
    assert points["gap"]["completeness"] == pytest.approx(1 - 7 / 72)
    assert [points[c]["hours_flagged_without_fault"] for c in CODES] == [0, 0, 0]
    assert data["undisturbed"] == {}, "a fault of the gateway touches every point"
    kinds = {k["name"]: k for k in data["kinds"]}
    assert (kinds["outage"]["recall"], kinds["outage"]["precision"]) == (1, 0.5)
    assert kinds["ct_changed"]["recall"] == 0, "a meter alone, whose load may have halved in truth"
    assert kinds["wrong_bytes"]["recall"] == 1
    assert [a["point_code"] for a in data["findings"]["false_alarms"]] == ["right"]
    assert (tmp_path / "score.svg").read_text(encoding="utf-8").startswith("<svg")
    table = score(path).stdout
    assert "CT changed" in table
