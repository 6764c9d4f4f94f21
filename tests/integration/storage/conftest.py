"""A database with a small registry, and a hand that feeds the writer."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psycopg
import pytest

from metering.records import Advance, Intake, IntakeResult, MessageHeader, Partition, ReadingBatch
from storage.registry import import_registry
from storage.writer import Writer

SITES = "site_code,name,kind,sector,building_type,district_code,floor_area_m2\n"
POINTS = "point_code,site_code,item_code,name,parent_point_code,rated_per_hour\n"
INSTALLATIONS = (
    "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
    "start_value,end_value,interval_s\n"
)

#: Receipt of messages in tests, unless said otherwise: 2014-03-01T00:00:00Z.
RECEIVED_US = 1_393_632_000_000_000
HOUR_US = 3_600_000_000

Value = tuple[str, str, int, float, bool]


@dataclass
class Feed:
    """Makes intakes and hands them to a writer, offsets in order."""

    writer: Writer
    partition: Partition
    position: int = 0
    seqs: itertools.count = field(default_factory=lambda: itertools.count(1))

    def message(
        self, gateway, values, *, received_us=RECEIVED_US, seq=None, outbox=None, rejected=(), sent_us=None
    ):
        """A message of `values`: (meter, register, ts_us, value, correction)."""
        header = MessageHeader(
            gateway,
            f"nl/v1/{gateway}/readings",
            received_us,
            len(values),
            outbox=outbox,
            seq=seq,
            sent_us=sent_us,
            rejected=tuple(rejected),
        )
        return header, values

    def batch(self, *messages) -> ReadingBatch:
        """Messages as one record of meter.readings."""
        values = [v for _, vs in messages for v in vs]
        meters = list(dict.fromkeys(v[0] for v in values))
        registers = list(dict.fromkeys(v[1] for v in values))
        return ReadingBatch(
            tuple(header for header, _ in messages),
            tuple(meters),
            tuple(registers),
            np.array([meters.index(v[0]) for v in values], dtype=np.int32),
            np.array([registers.index(v[1]) for v in values], dtype=np.int32),
            np.array([v[2] for v in values], dtype=np.int64),
            np.array([v[3] for v in values], dtype=np.float64),
            np.array([v[4] for v in values], dtype=bool),
        )

    def write(self, *batches, rejects=(), statuses=()) -> IntakeResult:
        """One intake, at the next offset."""
        advance = Advance(self.partition, self.position, self.position + 1)
        result = self.writer.write(Intake(tuple(batches), tuple(rejects), tuple(statuses), (advance,)))
        self.position += 1
        return result

    def send(self, gateway, *values, **header) -> IntakeResult:
        """One message of `values` as an intake of its own."""
        return self.write(self.batch(self.message(gateway, list(values), **header)))


def empty(pipeline) -> None:
    """Take away everything that came in. The registry stays, and how far the writers were."""
    for table in (
        "reading",
        "reading_version",
        "reject",
        "ingest_ledger",
        "outbox_gap",
        "outbox",
        "gateway",
        "change",
    ):
        pipeline.execute(f"delete from nengliu.{table}")


@pytest.fixture(scope="module")
def registry_folder(tmp_path_factory) -> Path:
    """Two sites: meters m1, m2 by gateway gw1, m3 by gw2; m2 is at two points one after the other."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "sites.csv").write_text(
        SITES + "A,大楼甲,building,buildings,A,110108,5000\nB,Hall B,building,buildings,B,110105,8000.5\n"
    )
    (folder / "points.csv").write_text(
        POINTS + "A-T,A,01,Total,,\nA-L,A,01A,Light,A-T,\nB-T,B,01,Total,,\nB-S,B,01B,HVAC,B-T,\n"
    )
    (folder / "installations.csv").write_text(
        INSTALLATIONS
        + "m1,A-T,1.8.0,gw1,json,kWh,6,2,1,2014-01-01T00:00:00+08:00,,,,3600\n"
        + "m2,A-L,1.8.0,gw1,json,kWh,6,2,1,2014-01-01T00:00:00+08:00,2014-02-01T00:00:00+08:00,,,3600\n"
        + "m2,B-S,1.8.0,gw1,json,kWh,6,2,1,2014-02-02T00:00:00+08:00,,,,3600\n"
        + "m3,B-T,1.8.0,gw2,json,kWh,6,2,10,2014-01-01T00:00:00+08:00,,,,900\n"
        + "void,B-T,1.8.0,gw2,json,kWh,6,2,10,2014-01-01T00:00:00+08:00,2014-01-01T00:00:00+08:00,,,900\n"
    )
    return folder


@pytest.fixture(scope="module")
def pipeline(database):
    """An autocommit connection as the pipeline's role."""
    with psycopg.connect(database.pipeline_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def registry(pipeline, registry_folder):
    """The small registry, imported."""
    return import_registry(pipeline, registry_folder, "test")


_numbers = itertools.count()


@pytest.fixture
def new_feed(database, registry):
    """Makes feeds: each has its own writer and partition."""
    writers = []

    def make() -> Feed:
        writer = Writer(lambda: psycopg.connect(database.writer_url))
        writers.append(writer)
        return Feed(writer, Partition("cluster", f"topic-{next(_numbers)}", "meter.readings", 0))

    yield make
    for writer in writers:
        writer.close()


@pytest.fixture
def feed(new_feed) -> Feed:
    """One writer with a partition of its own."""
    return new_feed()


@pytest.fixture
def nengliu(database, tmp_path):
    """Runs a command on the module's database."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")},
        "NENGLIU_STATE_DIR": str(tmp_path / "none"),
        "NENGLIU_DATABASE_URL": database.pipeline_url,
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }

    def run(*arguments, as_bytes=False, **more):
        command = [sys.executable, "-m", "deploy.cli.app", *map(str, arguments)]
        return subprocess.run(
            command,
            env={**environment, **more},
            cwd=tmp_path,
            capture_output=True,
            text=not as_bytes,
            timeout=60,
        )

    return run
