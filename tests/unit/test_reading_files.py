"""Files of readings: what is refused as a whole, by file and line, and what is read of the others."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collectors.reading_files import check_file
from deploy.reject_file import RejectFile
from metering.errors import InputFileError

HEADER = "meter,register,ts,value\n"
GOOD = "m1,1.8.0,2014-03-01T00:00:00+08:00,1\n"


def written(tmp_path, content, name="f.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "f.csv:1: is empty"),
        ("\n\n", "f.csv:1: is empty"),
        ("meter,register,ts\n", "f.csv:1: column value is missing"),
        ("meter,register,ts,value,ts\n", "f.csv:1: column ts is there twice"),
        ("\nmeter,register,ts,value,zone\n", "f.csv:2: column 'zone' is not known"),
        (HEADER + GOOD + 'm1,"1.8.0,2014', "f.csv:3: is no CSV"),
        (HEADER.encode() + GOOD.encode() * 9 + b"\xb4\xf3,1.8.0,1,1\n", r"f.csv:11: is not UTF-8 \(.*GBK\)"),
        (
            gzip.compress(HEADER.encode() + GOOD.encode() * 999 + b"\xb4\xf3,1.8.0,1,1\n", mtime=0),
            r"f.csv:1001: is not UTF-8 \(.*GBK\)",
        ),
        (HEADER.encode() + b"m\xff,1.8.0,1,1\n", "f.csv:2: is not UTF-8; save"),
        (b"\xff\xfem\x00e\x00", r"f.csv:1: is not UTF-8 \(.*UTF-16\)"),
        (gzip.compress((HEADER + GOOD * 50).encode(), mtime=0)[:-9], "f.csv: is no whole gzip file"),
        (b"\x1f\x8b" + b"x" * 50, "f.csv: is no whole gzip file"),
        (b"PAR1" + b"x" * 50, "f.csv: cannot be read as Parquet"),
        (HEADER + "x" * (1024 * 1024 + 1), "f.csv:2: is longer than"),
        (
            HEADER + GOOD + GOOD.replace("+08:00", "Z"),
            r"f.csv:3: .* offset \+00:00, and line 2 .* offset \+08:00",
        ),
        (HEADER + GOOD + GOOD.replace("+08:00", ""), "f.csv:3: has a time without offset, and line 2"),
        (HEADER + GOOD + "m1,1.8.0,1393603200,1\n", "f.csv:3: has an epoch, and line 2"),
        (HEADER + GOOD.replace("+08:00", ""), "f.csv:2: has a time without offset; .*--zone"),
    ],
)
def test_what_is_refused_as_a_whole(tmp_path, content, problem):
    with pytest.raises(InputFileError, match=problem):
        check_file(written(tmp_path, content), local_times=False)


@pytest.mark.parametrize("ts", ["2014-03-01T00:00:00Z", "1393603200"])
def test_a_zone_is_refused_for_times_that_need_none(tmp_path, ts):
    with pytest.raises(InputFileError, match=r"f\.csv:2: .*leave --zone out"):
        check_file(written(tmp_path, f"{HEADER}m1,1.8.0,{ts},1\n"), local_times=True)


def test_what_is_no_time_does_not_refuse_its_file(tmp_path):
    checked = check_file(written(tmp_path, HEADER + GOOD + "m1,1.8.0,noon,1\nm1,1.8.0,,1\n" + GOOD), False)
    assert checked.rows == 4


def test_utc_in_both_spellings_is_one_offset(tmp_path):
    lines = "".join(f"m1,1.8.0,2014-03-01T00:00:00{z},1\n" for z in ("Z", "+00:00", "z", "-00:00"))
    assert check_file(written(tmp_path, HEADER + lines), False).rows == 4


def test_lines_are_counted_through_quoted_line_ends_and_blank_lines(tmp_path):
    text = 'line,meter,register,ts,value\r\n\r\n7,"m\r\n1",1.8.0,1,2\r\n8,m2,1.8.0,1\r\n9,m3,1.8.0,1,2,3\r\n'
    rows = list(check_file(written(tmp_path, text), False).read())
    assert [r.line for r in rows] == [3, 5, 6]
    assert list(rows[0].cells) == ["m\r\n1", "1.8.0", "1", "2", None]
    assert rows[1].problem == "has 4 cells, expected 5"
    assert list(rows[2].cells) == ["m3", "1.8.0", "1", "2", None, "3"]


def test_content_is_the_same_under_any_name_and_another_with_another_byte(tmp_path):
    one = check_file(written(tmp_path, HEADER + GOOD), False)
    two = check_file(written(tmp_path, HEADER + GOOD, "other.csv"), False)
    three = check_file(written(tmp_path, HEADER + GOOD + "\n", "f3.csv"), False)
    assert one.content == two.content != three.content


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"meter": [1]}, "meter is int64; it must be text"),
        ({"ts": pa.array([1], pa.duration("s"))}, "ts is duration"),
        ({"value": [True]}, "value is bool"),
        ({"correction": [1]}, "correction is int64"),
        ({"register": None}, "column register is missing"),
    ],
)
def test_columns_of_parquet_must_be_able_to_hold_readings(tmp_path, columns, problem):
    table = {"meter": ["m1"], "register": ["1.8.0"], "ts": [1_393_603_200], "value": [1.0], **columns}
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({k: v for k, v in table.items() if v is not None}), path)
    with pytest.raises(InputFileError, match=problem):
        check_file(path, False)


def test_local_times_in_parquet_want_a_zone(tmp_path):
    path = tmp_path / "f.parquet"
    times = pa.array([0], pa.timestamp("ms"))
    pq.write_table(pa.table({"meter": ["m"], "register": ["1.8.0"], "ts": times, "value": [1]}), path)
    with pytest.raises(InputFileError, match="--zone"):
        check_file(path, False)
    assert check_file(path, True).rows == 1


def test_what_was_not_committed_of_a_file_of_rejects_is_written_anew(tmp_path):
    file = RejectFile(tmp_path / "f.csv")
    size = file.write(0, [(2, "bad_value", "x", ["m1", "1.8.0", "t", "1", None])])
    file.write(size, [(9, "bad_value", "long and not committed", ["m1", "1.8.0", "t", "1", None])])
    again = file.write(size, [(3, "junk", "y", ["m2", "1.8.0", "t", "1", None])])
    assert again == file.path.stat().st_size
    assert file.path.read_text().splitlines()[1:] == ["2,bad_value,x,m1,1.8.0,t,1,", "3,junk,y,m2,1.8.0,t,1,"]
    assert file.write(again, []) == again
