"""A folder of consumption is read as it is, or refused naming every bad row by file and line."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from metering.errors import InputFileError
from simulators.consumption import UNITS_PER_KWH, read_folder

HEADER = "datetime,equipment load [kWh]"


def write_year(
    folder: Path, rows: list[str], *, building: str = "b7", name: str = "2014.csv", header: str = HEADER
):
    path = folder / f"UCam_Building_{building}" / "electricity" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = ("\n".join([header, *rows]) + "\n").encode()
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opener(path, "wb") as f:
        f.write(content)


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(InputFileError) as caught:
        read_folder(folder)
    return caught.value.problems


@pytest.mark.parametrize("name", ["2014.csv", "2014.csv.gz", "2014.csv.xz"])
def test_a_folder_of_the_archives_shape_is_read(tmp_path, name):
    write_year(tmp_path, ["2014-01-01 00:00:00,1.5", "2014-01-01 01:00:00,0"], name=name)
    (tmp_path / "building_floor_roof_areas.csv").write_text("Building ID,GIA (m2)\nb7,3210.5\n")
    (building,) = read_folder(tmp_path)
    assert (building.building, building.gia_m2) == ("b7", 3210.5)
    assert building.energy.tolist() == [1_500_000_000, 0]
    assert np.diff(building.hour).tolist() == [1]
    assert building.years() == [2014]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2014-01-01 01:00:00,abc", "not a number"),
        ("2014-01-01 01:00:00,", "not a number"),
        ("2014-01-01 01:00:00,nan", "not in 0.."),
        ("2014-01-01 01:00:00,inf", "not in 0.."),
        ("2014-01-01 01:00:00,-0.1", "not in 0.."),
        ("2014-01-01 01:00:00,1e12", "not in 0.."),
        ("2014-13-01 01:00:00,1", "is not like"),
        ("2014-01-01 01:30:00,1", "not the start of an hour"),
        ("2014-01-01 01:00:00+08:00,1", "has an offset"),
        ("2014-01-01 01:00:00", "wants 2 columns"),
        ("2014-01-01 01:00:00,1,2", "wants 2 columns"),
        ("2014-01-01 00:00:00,1", "not after the row before"),
        ("2013-12-31 23:00:00,1", "not after the row before"),
    ],
)
def test_a_row_that_does_not_parse_is_named_by_file_and_line(tmp_path, row, says):
    write_year(tmp_path, ["2014-01-01 00:00:00,1.5", row, "2014-01-01 02:00:00,1"])
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("UCam_Building_b7/electricity/2014.csv:3: ")
    assert says in problem


def test_every_bad_row_of_every_building_is_named(tmp_path):
    write_year(tmp_path, ["2014-01-01 00:00:00,x", "2014-01-01 01:00:00,y"])
    write_year(tmp_path, ["2014-01-01 00:00:00,z"], building="b8")
    assert [p.split(": ")[0] for p in problems_of(tmp_path)] == [
        "UCam_Building_b7/electricity/2014.csv:2",
        "UCam_Building_b7/electricity/2014.csv:3",
        "UCam_Building_b8/electricity/2014.csv:2",
    ] + [f"{tmp_path}/UCam_Building_{b}" for b in ("b7", "b8")]


def test_a_header_of_another_shape_is_refused(tmp_path):
    write_year(tmp_path, ["2014-01-01 00:00:00,1"], header="time,kwh,temp")
    assert "2014.csv:1: header must be" in problems_of(tmp_path)[0]


def test_two_files_of_a_year_are_refused(tmp_path):
    write_year(tmp_path, ["2014-01-01 00:00:00,1"])
    write_year(tmp_path, ["2014-01-01 01:00:00,1"], name="2014.csv.gz")
    assert any("a second file of that year" in p for p in problems_of(tmp_path))


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path):
    write_year(tmp_path, ["2014-01-01 00:00:00,1"])
    (tmp_path / "UCam_Building_b7" / "electricity" / "2015.csv.xz").write_bytes(b"not xz at all")
    assert "2015.csv.xz: cannot be read" in problems_of(tmp_path)[0]


def test_a_folder_without_buildings_is_refused(tmp_path):
    assert "no UCam_Building_" in problems_of(tmp_path)[0]
    assert "no such folder" in problems_of(tmp_path / "nowhere")[0]


def test_the_shipped_buildings_are_whole():
    folder = Path(__file__).parents[2] / "simulators" / "data" / "cambridge-estates"
    buildings = read_folder(folder)
    assert [b.building for b in buildings] == ["b0", "b22", "b41", "b96"]
    for b in buildings:
        assert len(b.hour) == 43_824
        assert np.all(np.diff(b.hour) == 1)
        assert b.years() == [2011, 2012, 2013, 2014, 2015]
        assert b.gia_m2 is not None
        assert b.gia_m2 >= 3000


def test_two_shipped_buildings_are_over_beijings_limit_and_two_are_not():
    folder = Path(__file__).parents[2] / "simulators" / "data" / "cambridge-estates"
    over = {}
    for b in read_folder(folder):
        year = b.hour.astype("datetime64[h]").astype("datetime64[Y]").astype(int) + 1970
        use = {y: int(b.energy[year == y].sum()) / UNITS_PER_KWH for y in (2011, 2014, 2015)}
        over[b.building] = use[2014] > use[2011] * 0.94 or use[2015] > use[2011] * 0.88
    assert over == {"b0": False, "b22": False, "b41": True, "b96": True}
