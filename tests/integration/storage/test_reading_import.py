"""Files of readings go in by the writer's rules, once, whatever dies when; what cannot be used is beside the file."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deploy.gateways import GatewayNameError, check_names
from deploy.reading_import import ImportOptions, import_file
from metering.errors import InputFileError
from storage.reading_import import ImportedFile, ImportTakenError
from storage.reconcile import reconcile
from storage.writer import Writer

from .conftest import empty

pytestmark = pytest.mark.integration

HEADER = "meter,register,ts,value,correction\n"
START = datetime(2014, 3, 1, tzinfo=timezone(timedelta(hours=8)))


@pytest.fixture(autouse=True)
def nothing_stored(pipeline, registry):
    empty(pipeline)
    pipeline.execute("delete from nengliu.reading_import")


@pytest.fixture
def writer(database):
    made = Writer(lambda: psycopg.connect(database.pipeline_url))
    yield made
    made.close()


@pytest.fixture
def imported(writer, tmp_path):
    """Writes a file and imports it."""

    def run(content, name="readings.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return import_file(writer, path, "me", ImportOptions(**options))

    return run


def stored(pipeline):
    return pipeline.execute(
        "select meter, register, ts, value from api.reading order by meter, ts"
    ).fetchall()


def row(n, value=None, meter="m1", more=","):
    return f"{meter},1.8.0,{(START + timedelta(hours=n)).isoformat()},{n if value is None else value}{more}\n"


def rejects(result):
    with open(result.rejects_file, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def counts(result):
    return result.rows, result.stored, result.repeated, result.conflicting, result.rejected


def test_rows_become_readings_of_the_registry_and_are_marked_for_derivation(imported, pipeline):
    result = imported(HEADER + row(0) + row(1) + row(2))
    assert counts(result) == (3, 3, 0, 0, 0)
    assert result.rejects_file is None
    assert [(m, v) for m, _, _, v in stored(pipeline)] == [("m1", 0.0), ("m1", 1.0), ("m1", 2.0)]
    assert stored(pipeline)[0][2] == START
    [(site, low, high)] = pipeline.execute(
        "select site_code, from_ts, to_ts from nengliu.change join nengliu.site using (site_id)"
    ).fetchall()
    assert (site, low, high) == ("A", START, START + timedelta(hours=2))


def test_repeats_conflicts_and_corrections_are_the_writer_s(imported, feed, pipeline):
    feed.send("gw1", ("m1", "1.8.0", int(START.timestamp()) * 1_000_000, 7.0, False))
    result = imported(HEADER + row(0, 7) + row(0, 8) + row(0, 9, more=",true") + row(0, 8) + row(1) + row(1))
    assert counts(result) == (6, 2, 3, 1, 0)
    assert [v for *_, v in stored(pipeline)] == [9.0, 1.0]
    beside = pipeline.execute(
        "select value, kind, gateway from nengliu.reading_version order by value"
    ).fetchall()
    assert [b[:2] for b in beside] == [(7.0, "superseded"), (8.0, "conflict")]
    assert beside[1][2].startswith("import/")


def test_every_reject_is_beside_the_file_with_line_reason_and_fields(imported, pipeline):
    result = imported(
        HEADER
        + row(0)
        + "nobody,1.8.0,2014-03-01T00:00:00+08:00,5,\n"
        + "void,1.8.0,2014-03-01T00:00:00+08:00,5,\n"
        + row(1, "1,234", more=",").replace("1,234", '"1,234"')
        + "m1,9.9.9,2014-03-01T03:00:00+08:00,5,\n"
        + 'm1,1.8.0,"yesterday, at noon",5,\n'
        + "m1,1.8.0,1999-03-01T03:00:00+08:00,5,\n"
        + row(4, -1)
        + row(5, more=",maybe")
        + "m1,1.8.0\n"
        + row(6, more=",,surplus")
        + ",1.8.0,2014-03-01T03:00:00+08:00,5,\n"
    )
    assert counts(result) == (12, 1, 0, 0, 11)
    found = rejects(result)
    assert [(int(r["line"]), r["reason"]) for r in found] == [
        (3, "unknown_meter"),
        (4, "unknown_meter"),
        (5, "bad_value"),
        (6, "unknown_register"),
        (7, "bad_timestamp"),
        (8, "timestamp_out_of_range"),
        (9, "bad_value"),
        (10, "malformed"),
        (11, "malformed"),
        (12, "malformed"),
        (13, "malformed"),
    ]
    assert all(r["detail"] for r in found)
    assert found[2]["value"] == "1,234"
    assert found[4]["ts"] == "yesterday, at noon"
    assert "surplus" in Path(result.rejects_file).read_text()
    assert pipeline.execute("select count(*) from nengliu.reject").fetchone() == (0,)
    assert sum(result.reasons.values()) == 11


def test_a_mended_file_of_rejects_can_be_imported(imported, tmp_path, writer):
    result = imported(HEADER + row(0) + row(1, -5))
    mended = Path(result.rejects_file)
    mended.write_text(mended.read_text().replace(",-5,", ",5,"))
    again = import_file(writer, mended, "me", ImportOptions())
    assert counts(again) == (1, 1, 0, 0, 0)


def test_the_books_stay_provable(imported, pipeline):
    imported(HEADER + row(0) + row(0) + row(0, 5) + row(1, -5))
    found = reconcile(pipeline)
    assert found.problems == ()
    [book] = found.outboxes
    assert (book.received, book.stored, book.repeated, book.conflicting, book.rejected) == (3, 1, 1, 1, 0)
    assert pipeline.execute("select count(*) from nengliu.gateway").fetchone() == (0,)


def test_a_finished_file_does_nothing_again_but_with_again(imported):
    content = HEADER + row(0) + row(1)
    imported(content)
    second = imported(content, name="under another name.csv")
    assert second.was_finished
    assert counts(second) == (2, 2, 0, 0, 0)
    third = imported(content, again=True)
    assert not third.was_finished
    assert counts(third) == (2, 0, 2, 0, 0)


def test_no_file_of_rejects_is_named_that_is_not_there(imported):
    content = HEADER + row(0, -1) + row(1)
    first = imported(content)
    assert first.rejects_file is not None
    second = imported(content, name="under another name.csv")
    assert (second.rejected, second.rejects_file) == (1, None)
    Path(first.rejects_file).unlink()
    assert imported(content).rejects_file is None


def test_a_dry_run_counts_and_changes_nothing(imported, pipeline, tmp_path):
    result = imported(HEADER + row(0) + row(0) + row(1, -5) + row(2, meter="nobody"), dry_run=True)
    assert counts(result) == (4, 1, 1, 0, 2)
    assert result.reasons == {"bad_value": 1, "unknown_meter": 1}
    assert stored(pipeline) == []
    for table in ("change", "ingest_ledger", "reading_import"):
        assert pipeline.execute(f"select count(*) from nengliu.{table}").fetchone() == (0,)
    assert [p.name for p in tmp_path.iterdir()] == ["readings.csv"]


def test_chunks_of_any_size_give_the_same(imported, pipeline):
    content = HEADER + "".join(row(n) + row(n, -1) + row(n) for n in range(20))
    assert counts(imported(content, chunk_rows=7)) == (60, 20, 20, 0, 20)
    first = stored(pipeline)
    empty(pipeline)
    assert counts(imported(content, again=True, chunk_rows=1)) == (60, 20, 20, 0, 20)
    assert stored(pipeline) == first


def test_local_times_are_those_of_the_zone_that_is_named(imported, pipeline):
    content = "meter,register,ts,value\nm1,1.8.0,2014-07-01 00:00,1\nm1,1.8.0,2014-07-01T00:15:30.5,2\n"
    imported(content, zone=ZoneInfo("Asia/Shanghai"))
    assert [ts for _, _, ts, _ in stored(pipeline)] == [
        datetime(2014, 6, 30, 16, tzinfo=UTC),
        datetime(2014, 6, 30, 16, 15, 30, 500_000, tzinfo=UTC),
    ]


def test_gzip_bom_crlf_and_quotes(imported, pipeline):
    text = '\ufeffts,value,meter,register\r\n2014-03-01T00:00:00Z," 5 ","m1",1.8.0\r\n\r\n1393637400,6,m1,1.8.0\r\n'
    with pytest.raises(InputFileError, match="epoch"):
        imported(gzip.compress(text.encode()))
    good = text.replace("1393637400", "2014-03-01T01:30:00+00:00")
    assert counts(imported(gzip.compress(good.encode()))) == (2, 2, 0, 0, 0)
    assert [v for *_, v in stored(pipeline)] == [5.0, 6.0]


def test_parquet_goes_the_same_way(imported, tmp_path, pipeline, writer):
    times = [START, START + timedelta(hours=1), None, START + timedelta(hours=3)]
    table = pa.table(
        {
            "meter": ["m1", "m1", "m1", "nobody"],
            "register": pa.array(["1.8.0"] * 4).dictionary_encode(),
            "ts": pa.array(times, pa.timestamp("ns", "Asia/Shanghai")),
            "value": [1.5, float("nan"), 3.0, 4.0],
            "other": [1, 2, 3, 4],
        }
    )
    pq.write_table(table, tmp_path / "readings.parquet")
    result = import_file(writer, tmp_path / "readings.parquet", "me", ImportOptions())
    assert counts(result) == (4, 1, 0, 0, 3)
    assert [(ts, v) for *_, ts, v in stored(pipeline)] == [(START, 1.5)]
    assert [(r["line"], r["reason"]) for r in rejects(result)] == [
        ("2", "bad_value"),
        ("3", "bad_timestamp"),
        ("4", "unknown_meter"),
    ]


def test_a_file_that_is_refused_changes_nothing(imported, pipeline):
    with pytest.raises(InputFileError, match=r"readings.csv:3: .*offset \+09:00, and line 2"):
        imported(HEADER + row(0) + "m1,1.8.0,2014-03-01T00:00:00+09:00,1,\n")
    assert stored(pipeline) == []
    assert pipeline.execute("select count(*) from nengliu.reading_import").fetchone() == (0,)


def test_a_rejects_file_that_is_gone_is_an_error_and_not_a_loss(imported, pipeline, tmp_path):
    content = HEADER + row(0, -1) + row(1)
    result = imported(content)
    pipeline.execute("update nengliu.reading_import set finished_at = null, rows_done = 1, stored = 0")
    Path(result.rejects_file).unlink()
    with pytest.raises(InputFileError, match="--again"):
        imported(content)
    assert counts(imported(content, again=True)) == (2, 0, 1, 0, 1)


# ---------------------------------------------------------------- killed

CHILD = """
import sys
from pathlib import Path
import psycopg
from deploy.gateways import GatewayNameError, check_names
from deploy.reading_import import ImportOptions, import_file
from storage.writer import Writer

url, path = sys.argv[1:]
writer = Writer(lambda: psycopg.connect(url, application_name="importer"))
result = import_file(writer, Path(path), "me", ImportOptions(chunk_rows=100))
print(result.resumed_at, result.rows, result.stored, result.repeated, result.conflicting, result.rejected)
"""
STANDS_STILL = """
create function nengliu.stand_still() returns trigger language plpgsql as
$$ begin if new.rows_done = 300 then perform pg_advisory_xact_lock_shared(4242); end if; return new; end $$;
create trigger stand_still before update on nengliu.reading_import
    for each row execute function nengliu.stand_still();
"""


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)


def start_import(database, path):
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, database.pipeline_url, str(path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def stands_still(database):
    """The third hundred of rows of every import waits for advisory lock 4242, at the end of its transaction."""
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute(STANDS_STILL)
        yield superuser
        superuser.execute("drop trigger stand_still on nengliu.reading_import")
        superuser.execute("drop function nengliu.stand_still")


def test_kill_9_in_the_middle_doubles_nothing_and_goes_on_where_it_was(
    database, pipeline, tmp_path, stands_still
):
    path = tmp_path / "readings.csv"
    path.write_text(HEADER + "".join(row(n, -1 if n % 10 == 3 else n) for n in range(450)))
    waiting = "select 1 from pg_stat_activity where application_name = 'importer' and wait_event = 'advisory'"
    stands_still.execute("select pg_advisory_lock(4242)")
    child = start_import(database, path)
    wait_for(lambda: stands_still.execute(waiting).fetchone() or child.poll() is not None)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    stands_still.execute("select pg_advisory_unlock(4242)")
    gone = "select 1 from pg_stat_activity where application_name = 'importer'"
    wait_for(lambda: not stands_still.execute(gone).fetchone())
    assert pipeline.execute("select rows_done, rejected from nengliu.reading_import").fetchone() == (200, 20)
    assert len(stored(pipeline)) == 180
    written = (tmp_path / "readings.csv.rejects.csv").read_text()
    assert written.count("bad_value") == 30  # those of the chunk that was not committed, too

    out, _ = start_import(database, path).communicate(timeout=120)
    assert out.splitlines()[-1].split() == ["200", "450", "405", "0", "0", "45"]
    assert len(stored(pipeline)) == 405
    with open(tmp_path / "readings.csv.rejects.csv", newline="") as f:
        assert [int(r["line"]) for r in csv.DictReader(f)] == [n + 2 for n in range(3, 450, 10)]
    assert pipeline.execute("select sum(received), sum(repeated) from nengliu.ingest_ledger").fetchone() == (
        405,
        0,
    )


# ---------------------------------------------------------------- the command


def test_the_command_says_what_became_of_the_rows(nengliu, tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + row(0) + row(1))
    done = nengliu("readings", "import", "a.csv", "--json")
    assert done.returncode == 0, done.stderr
    assert "[info" not in done.stderr, "its result is all that it says"
    [result] = json.loads(done.stdout)
    assert (result["rows"], result["stored"], result["rejected"]) == (2, 2, 0)
    (tmp_path / "b.csv").write_text(HEADER + row(2) + row(3, -1))
    wanting = nengliu("readings", "import", "b.csv")
    assert wanting.returncode == 1
    assert "b.csv.rejects.csv" in wanting.stdout
    (tmp_path / "c.csv").write_text("meter,register,value\n")
    refused = nengliu("readings", "import", "c.csv")
    assert refused.returncode == 2
    assert "c.csv:1: column ts is missing" in refused.stderr
    assert nengliu("readings", "import", "a.csv", "--zone", "Nowhere/Here").returncode == 2
    assert nengliu("readings", "import", "none.csv").returncode == 2


def test_two_processes_with_one_file_do_not_both_go_on(writer, database, tmp_path, pipeline):
    path = tmp_path / "readings.csv"
    path.write_text(HEADER + row(0) + row(1) + row(2))
    other = Writer(lambda: psycopg.connect(database.pipeline_url))

    def in_the_meantime(what, rows, *_):
        if what == "import" and rows == 1:
            import_file(other, path, "other", ImportOptions())

    with pytest.raises(ImportTakenError):
        import_file(writer, path, "me", ImportOptions(chunk_rows=1), in_the_meantime)
    other.close()
    assert [v for *_, v in stored(pipeline)] == [0.0, 1.0, 2.0]
    progress = "select rows_done, stored, finished_at is not null from nengliu.reading_import"
    assert pipeline.execute(progress).fetchone() == (3, 3, True)


def test_no_gateway_can_bear_the_name_of_an_import():
    with pytest.raises(GatewayNameError):
        check_names([ImportedFile("0" * 64).gateway])
