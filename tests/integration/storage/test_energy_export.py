"""Energy goes out with the columns of the views, whole or not at all."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta, timezone

import psycopg
import pyarrow.parquet as pq
import pytest

from storage.derivation import Deriver

from .conftest import empty

pytestmark = pytest.mark.integration

BEIJING = timezone(timedelta(hours=8))
START = datetime(2014, 3, 1, tzinfo=BEIJING)


@pytest.fixture(autouse=True, scope="module")
def energy(database, pipeline, registry):
    """m1 of site A for two days, m3 (ratio 10) of site B for one, hour by hour."""
    from metering.records import Partition
    from storage.writer import Writer

    from .conftest import Feed

    empty(pipeline)
    writer = Writer(lambda: psycopg.connect(database.writer_url))
    feed = Feed(writer, Partition("cluster", "export", "meter.readings", 0))
    at = int(START.timestamp()) * 1_000_000
    for gateway, meter, hours in (("gw1", "m1", 48), ("gw2", "m3", 24)):
        feed.send(
            gateway, *((meter, "1.8.0", at + n * 3_600_000_000, float(n), False) for n in range(hours + 1))
        )
    writer.close()
    deriver = Deriver(lambda: psycopg.connect(database.worker_url))
    deriver.run_all()
    deriver.close()


def exported(nengliu, *options):
    done = nengliu("energy", "export", *options)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.mark.parametrize("grain", ["hour", "day", "month", "year"])
@pytest.mark.parametrize("of", ["energy", "site_energy"])
def test_columns_and_rows_are_those_of_the_view(nengliu, pipeline, grain, of):
    rows = exported(nengliu, "--grain", grain, *(["--sites"] if of == "site_energy" else []))
    seen = pipeline.execute(f"select * from api.{of}_{grain}")
    columns = [c.name for c in seen.description]
    with_method = ["method"] if (grain, of) == ("hour", "energy") else []
    assert list(rows[0]) == columns + with_method
    assert len(rows) == len(seen.fetchall()) > 0
    energy = pipeline.execute(f"select sum(consumption) from api.{of}_{grain}").fetchone()[0]
    assert sum(float(r["consumption"]) for r in rows) == pytest.approx(energy)


def test_hours_say_their_moment_with_the_local_offset_and_how_they_came_about(nengliu):
    rows = exported(nengliu, "--grain", "hour", "--site", "A", "--item", "01")
    assert rows[0]["period"] == "2014-03-01T00:00:00+08:00"
    assert {r["point_code"] for r in rows} == {"A-T"}
    assert {r["method"] for r in rows} == {"measured"}
    assert [r["period"] for r in rows] == sorted(r["period"] for r in rows)


def test_what_is_asked_for_is_what_comes(nengliu):
    assert {r["site_code"] for r in exported(nengliu, "--district", "110105")} == {"B"}
    assert exported(nengliu, "--item", "02") == []
    day = exported(nengliu, "--site", "A", "--from", "2014-03-02", "--to", "2014-03-02")
    assert [r["period"] for r in day] == ["2014-03-02"]
    hours = exported(nengliu, "--grain", "hour", "--site", "A", "--to", "2014-03-01")
    assert len(hours) == 24
    wrong = nengliu("energy", "export", "--site", "Z", "--district", "9")
    assert wrong.returncode == 2
    assert "Z, 9" in wrong.stderr.replace("\n", " ")
    assert nengliu("energy", "export", "--from", "2014-03-02", "--to", "2014-03-01").returncode == 2


def test_parquet_has_the_same_rows_with_types(nengliu, tmp_path):
    for grain in ("hour", "day"):
        done = nengliu("energy", "export", "--grain", grain, "--sites", "--out", f"{grain}.parquet")
        assert done.returncode == 0, done.stderr
        table = pq.read_table(tmp_path / f"{grain}.parquet")
        rows = exported(nengliu, "--grain", grain, "--sites")
        assert table.column_names == list(rows[0])
        assert table["consumption"].to_pylist() == [float(r["consumption"]) for r in rows]
        assert [p.isoformat() for p in table["period"].to_pylist()] == [r["period"] for r in rows]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["day.parquet", "hour.parquet"]


def test_parquet_can_go_through_a_pipe(nengliu, tmp_path):
    done = nengliu("energy", "export", "--format", "parquet", as_bytes=True)
    assert pq.read_table(io.BytesIO(done.stdout)).num_rows > 0


def test_a_file_is_whole_or_as_it_was(database, pipeline, tmp_path, monkeypatch):
    import deploy.energy_export as export
    from storage.energy_export import Wanted

    wanted = Wanted(False, "day", START.date(), (START + timedelta(days=9)).date())
    (tmp_path / "out.csv").write_text("as it was")

    def breaks_off(*_):
        yield b"site_code\n"
        raise OSError("no space")

    monkeypatch.setattr(export, "csv_blocks", breaks_off)
    with pytest.raises(OSError, match="no space"):
        export.export_energy(pipeline, wanted, "Asia/Shanghai", tmp_path / "out.csv", "csv", lambda _: None)
    assert (tmp_path / "out.csv").read_text() == "as it was"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
