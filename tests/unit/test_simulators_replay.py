"""The replay's outbox, messages and registry."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from metering.errors import InputFileError
from simulators.consumption import read_folder
from simulators.outbox import Outbox
from simulators.registers import RegisterSeries
from simulators.registry_rows import write_rows
from simulators.replay_registry import PLAN_FILE, plan_meters, registry_rows
from simulators.times import local_texts

SHIPPED = Path(__file__).parents[2] / "simulators" / "data" / "cambridge-estates"


def test_a_message_is_forgotten_only_when_it_is_acknowledged():
    outbox = Outbox("k3f9", retry_s=30)
    outbox.put(b"a", 24, 0.0, 1)
    outbox.put(b"b", 24, 1.0, 2)
    outbox.put(b"c", 1, 2.0, 3)
    assert outbox.acknowledge([2], []) == 24
    assert outbox.acknowledge([], [(3, "unknown_meter")]) == 1
    assert (len(outbox), outbox.stored, outbox.rejected) == (1, 1, {"unknown_meter": 1})


def test_an_acknowledgement_that_comes_twice_or_for_nothing_changes_nothing():
    outbox = Outbox("k3f9", retry_s=30)
    outbox.put(b"a", 24, 0.0, 1)
    assert outbox.acknowledge([1, 1, 99], [(1, "malformed")]) == 24
    assert outbox.acknowledge([1], []) == 0
    assert (len(outbox), outbox.stored, outbox.rejected) == (0, 1, {})


def test_what_is_not_acknowledged_in_time_is_sent_again_oldest_first_and_only_when_due():
    outbox = Outbox("k3f9", retry_s=30)
    outbox.put(b"a", 1, 0.0, 1)
    outbox.put(b"b", 1, 10.0, 2)
    assert outbox.next_due() == 30.0
    assert list(outbox.overdue(29.9)) == []
    assert list(outbox.overdue(30.0)) == [b"a"]
    assert list(outbox.overdue(45.0)) == [b"b"]
    assert outbox.next_due() == 60.0
    assert outbox.resent == 2


def series(*ts_hours: int) -> RegisterSeries:
    ts = np.array(ts_hours, np.int64) * 3_600_000_000
    return RegisterSeries(ts, np.arange(len(ts), dtype=np.float64))


@pytest.mark.parametrize(("zone", "summer"), [("Asia/Shanghai", "+08:00"), ("America/New_York", "-04:00")])
def test_times_are_written_with_the_offset_of_their_day(zone, summer):
    (text,) = local_texts(series(24 * 365 * 44 + 24 * 200).ts_us, zone)
    assert text.endswith(summer)
    assert datetime.fromisoformat(text).timestamp() == (24 * 365 * 44 + 24 * 200) * 3600


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as f:
        return list(csv.DictReader(f))


def test_the_registry_describes_the_meters_of_the_replay(tmp_path):
    buildings = read_folder(SHIPPED)
    meters = plan_meters(SHIPPED, buildings)
    write_rows(tmp_path, registry_rows(meters, buildings, "Asia/Shanghai"))
    assert {m.face.ratio for m in meters} > {Decimal(1)}
    installations = rows_of(tmp_path / "installations.csv")
    assert [i["installed_at"] for i in installations] == ["2011-01-01T00:00:00+08:00"] * 4
    assert [i["gateway"] for i in installations] == ["gw-b0", "gw-b22", "gw-b41", "gw-b96"]
    quotas = rows_of(tmp_path / "quotas.csv")
    assert len(quotas) == 8
    assert {(q["year"], q["base_years"], q["reduction_percent"]) for q in quotas} == {
        ("2014", "2011", "6"),
        ("2015", "2011", "12"),
    }


def test_any_folder_of_the_same_shape_gets_meters_of_its_own(tmp_path):
    for building in ("b5", "b102"):
        path = tmp_path / f"UCam_Building_{building}" / "electricity"
        path.mkdir(parents=True)
        (path / "2014.csv").write_text("datetime,load\n2014-01-01 00:00:00,1\n")
    buildings = read_folder(tmp_path)
    meters = plan_meters(tmp_path, buildings)
    assert [m.gateway for m in meters] == ["gw-b5", "gw-b102"]
    assert len({m.meter for m in meters}) == len({m.site_code for m in meters}) == 2
    write_rows(tmp_path / "registry", registry_rows(meters, buildings, "Asia/Shanghai"))
    assert rows_of(tmp_path / "registry" / "quotas.csv") == []


def test_a_replay_plan_that_cannot_be_used_is_named_by_file_and_line(tmp_path):
    text = (SHIPPED / PLAN_FILE).read_text(encoding="utf-8")
    (tmp_path / PLAN_FILE).write_text(
        text.replace(",6,2,10,650000.00", ",6,2,ten,650000.00"), encoding="utf-8"
    )
    with pytest.raises(InputFileError) as caught:
        plan_meters(tmp_path, [])
    assert f"{PLAN_FILE}:3: " in caught.value.problems[0]
