"""A writer that is killed in mid-transaction leaves nothing behind, and its successor takes the intake whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

pytestmark = pytest.mark.integration

CHILD = '''
"""Writes one reading as offset 0 of a partition; stands still at the ledger, whose row the test has locked."""
import sys
import numpy as np
import psycopg
from metering.records import Advance, Intake, MessageHeader, Partition, ReadingBatch
from storage.writer import Writer

url, topic = sys.argv[1:]
batch = ReadingBatch(
    (MessageHeader("gw1", "t", 1_393_632_000_000_000, 1, outbox="o", seq=1),), ("m1",), ("1.8.0",),
    np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([1_388_505_600_000_000]), np.array([7.0]),
    np.zeros(1, bool),
)
partition = Partition("cluster", topic, "meter.readings", 0)
Writer(lambda: psycopg.connect(url, application_name="victim")).write(
    Intake((batch,), advances=(Advance(partition, 0, 1),))
)
'''


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)


def test_kill_9_in_mid_transaction_loses_and_doubles_nothing(database, pipeline, feed):
    feed.send("gw1", ("m1", "1.8.0", 1_388_600_000_000_000, 1.0, False), seq=0, outbox="o")
    root = Path(__file__).parents[3]
    blocked = "select 1 from pg_stat_activity where application_name = 'victim' and wait_event_type = 'Lock'"
    with psycopg.connect(database.superuser_url, autocommit=True) as watcher:
        with psycopg.connect(database.pipeline_url) as holder:
            holder.execute("select 1 from nengliu.ingest_ledger for update")
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, database.writer_url, "killed"],
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
            wait_for(lambda: watcher.execute(blocked).fetchone() or child.poll() is not None)
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        gone = "select 1 from pg_stat_activity where application_name = 'victim'"
        wait_for(lambda: not watcher.execute(gone).fetchone())
    assert pipeline.execute("select count(*) from nengliu.reading").fetchone() == (1,)
    assert pipeline.execute(
        "select count(*) from nengliu.stream_offset where topic_id = 'killed'"
    ).fetchone() == (0,)
    subprocess.run(
        [sys.executable, "-c", CHILD, database.writer_url, "killed"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=60,
    )
    assert pipeline.execute("select count(*), sum(value) from nengliu.reading").fetchone() == (2, 8.0)
    assert pipeline.execute("select received, stored from nengliu.ingest_ledger").fetchone() == (2, 2)
