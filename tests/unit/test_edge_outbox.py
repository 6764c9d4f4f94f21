"""The edge's outbox: what is put stays until it is acknowledged for good, whatever happens to the process."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from collectors.edge import outbox as outbox_module
from collectors.edge.outbox import MOST_BYTES, MOST_READINGS, Acknowledgement, Outbox, outbox_state
from collectors.edge.readings import MeterReading, SinkFullError
from metering.errors import SettingError

TS = datetime(2014, 3, 1, tzinfo=UTC)


def reading(value: float, meter: str = "110108000123") -> MeterReading:
    return MeterReading(meter, TS, {"1.8.0": value})


def stored(*seqs: int) -> Acknowledgement:
    return Acknowledgement(frozenset(seqs), {})


def waiting(outbox: Outbox) -> list[int]:
    return [m.seq for m in outbox.between(0, 2**62, 100_000)]


def test_a_message_is_what_a_v1_message_holds(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite")
    outbox.put([reading(12345.67), reading(1.5, "m2")])
    outbox.put([])
    [message] = outbox.between(0, 9, 9)
    assert json.loads(message.readings) == [
        {"meter": "110108000123", "ts": "2014-03-01T00:00:00+00:00", "values": {"1.8.0": 12345.67}},
        {"meter": "m2", "ts": "2014-03-01T00:00:00+00:00", "values": {"1.8.0": 1.5}},
    ]
    assert (message.seq, outbox.depth, outbox.last_seq) == (1, 1, 1)
    outbox.close()


def test_many_readings_become_several_messages_of_bounded_size(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite")
    long = MeterReading("m" * 100, TS, {f"1.8.{i}": float(i) for i in range(100)})
    outbox.put([reading(float(i)) for i in range(MOST_READINGS + 1)] + [long] * 150)
    messages = outbox.between(0, 99, 99)
    readings = [r for m in messages for r in json.loads(m.readings)]
    assert len(readings) == MOST_READINGS + 151
    assert [r["values"]["1.8.0"] for r in readings[:3]] == [0.0, 1.0, 2.0]
    assert all(len(m.readings) < MOST_BYTES + 4096 for m in messages)
    assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
    outbox.close()


def test_a_number_is_never_used_again_not_even_by_an_emptied_and_reopened_outbox(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path)
    name = outbox.name
    outbox.put([reading(1)])
    outbox.settle(stored(1))
    outbox.close()
    again = Outbox(path)
    assert (again.name, again.depth, again.last_seq) == (name, 0, 1)
    again.put([reading(2)])
    assert waiting(again) == [2]
    again.close()


def test_what_the_platform_rejects_is_kept_beside_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_REFUSED", 2)
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path)
    for value in range(5):
        outbox.put([reading(value)])
    outbox.settle(Acknowledgement(frozenset({1}), {2: "unknown_meter", 3: "unknown_meter", 4: "bad_value"}))
    assert waiting(outbox) == [5]
    outbox.close()
    state = outbox_state(path)
    assert state.refused == {"unknown_meter": 1, "bad_value": 1}
    assert (state.waiting, state.last_seq, state.name) == (1, 5, outbox.name)


def test_only_one_process_has_an_outbox(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite")
    with pytest.raises(SettingError, match="in use by another"):
        Outbox(tmp_path / "o.sqlite")
    outbox.close()
    Outbox(tmp_path / "o.sqlite").close()


def test_a_file_that_cannot_be_read_is_set_aside_and_another_outbox_begun(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    first = Outbox(path)
    first.put([reading(1)])
    first.close()
    damaged = b"no database at all" + path.read_bytes()[18:]
    path.write_bytes(damaged)
    second = Outbox(path)
    assert (second.depth, second.last_seq) == (0, 0)
    assert second.name != first.name
    second.close()
    [aside] = [p for p in tmp_path.glob("o.sqlite.unreadable-*") if not p.name.endswith(("-wal", "-shm"))]
    assert aside.read_bytes() == damaged


def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="NENGLIU_EDGE_OUTBOX"):
        Outbox(tmp_path / "file" / "o.sqlite")
    with pytest.raises(SettingError, match="NENGLIU_EDGE_OUTBOX"):
        outbox_state(tmp_path / "none.sqlite")


def test_an_outbox_that_is_only_just_being_made_waits_with_nothing(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    path.touch()
    assert outbox_state(path).waiting == 0
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            files("collectors.edge").joinpath("queries/outbox_schema.sql").read_text(encoding="utf-8")
        )
    assert (outbox_state(path).name, outbox_state(path).last_seq) == ("", 0)


PUTTING = """
import sys
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from collectors.edge.outbox import Outbox
from collectors.edge.readings import MeterReading
outbox = Outbox(Path(sys.argv[1]))
while True:
    value = float(outbox.last_seq + 1)
    outbox.put([MeterReading("m", datetime(2014, 3, 1, tzinfo=UTC), {"1.8.0": value})])
    print(outbox.last_seq, flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_had_put(tmp_path: Path) -> None:
    path, told = tmp_path / "o.sqlite", 0
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", PUTTING, path], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            told = [int(child.stdout.readline()) for _ in range(20)][-1]
            child.send_signal(signal.SIGKILL)
    outbox = Outbox(path)
    messages = outbox.between(0, 2**62, 100_000)
    assert [m.seq for m in messages] == list(range(1, outbox.last_seq + 1))
    assert outbox.last_seq >= told >= 100
    assert [json.loads(m.readings)[0]["values"]["1.8.0"] for m in messages] == [
        float(m.seq) for m in messages
    ]
    outbox.close()


FILLING = """
import json, resource, sys
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from collectors.edge.outbox import Acknowledgement, Outbox
from collectors.edge.readings import MeterReading, SinkFullError
outbox = Outbox(Path(sys.argv[1]))
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
ts = datetime(2014, 3, 1, tzinfo=UTC)
put = 0
try:
    while put < 3000:
        outbox.put([MeterReading("m" * 100, ts, {"1.8.0": float(put)})])
        put += 1
except SinkFullError as e:
    print(e, file=sys.stderr)
full_at = put
outbox.settle(Acknowledgement(frozenset({1}), {}))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
outbox.put([MeterReading("m", ts, {"1.8.0": float(put)})])
outbox.settle(Acknowledgement(frozenset({1}), {}))
print(json.dumps({"full_at": full_at, "depth": outbox.depth, "last": outbox.last_seq}))
"""


def test_a_file_that_cannot_grow_refuses_and_goes_on_when_it_can(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    command = [sys.executable, "-c", FILLING, path, str(300_000)]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(child.stdout.splitlines()[-1])
    assert 10 < told["full_at"] < 3000
    assert "make room" in child.stderr
    assert told["last"] == told["full_at"] + 1
    assert told["depth"] == told["full_at"]
    values = [
        json.loads(readings)[0]["values"]["1.8.0"]
        for (readings,) in sqlite3.connect(path).execute("select readings from message order by seq")
    ]
    assert values == [float(i) for i in range(1, told["full_at"] + 1)]


def small_disk(folder: Path) -> bool:
    """Mount 2 MiB of memory as a disk; False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def filled(outbox: Outbox) -> list[bool]:
    """Put until the outbox is full; whether extras were allowed after each."""
    extras: list[bool] = []
    while len(extras) < 100_000:
        try:
            outbox.put([reading(len(extras), "m" * 100)])
        except SinkFullError:
            return extras
        extras.append(outbox.extras_allowed)
    raise AssertionError("the disk never filled")


def test_on_a_full_disk_extras_stop_first_and_totals_go_on_from_the_reserve(tmp_path: Path) -> None:
    if not small_disk(tmp_path):
        pytest.skip("mounting a small disk needs root's rights; the file size limit is tested without them")
    try:
        outbox = Outbox(tmp_path / "o.sqlite", ballast_bytes=400_000, low_space_bytes=100_000)
        assert outbox.extras_allowed
        extras = filled(outbox)
        put = len(extras)
        stopped = extras.index(False)
        assert not any(extras[stopped:])
        assert stopped > 0
        assert put - stopped > 20
        assert waiting(outbox) == list(range(1, put + 1))
        for _ in range(10):
            outbox.settle(stored(*waiting(outbox)[:100]))
        assert outbox.depth == len(waiting(outbox)) < put
        outbox.put([reading(put)])
        outbox.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
