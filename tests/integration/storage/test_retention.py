"""A reading from before the floor is a dead letter that can be put in again, never a row that vanishes."""

from __future__ import annotations

import pytest

from metering.instants import from_us
from storage.registry import check_registry

pytestmark = pytest.mark.integration

HOUR_US = 3_600_000_000
#: 2014-02-01T00:00:00Z.
FLOOR_US = 1_391_212_800_000_000


@pytest.fixture
def floor(database, pipeline):
    raised = "update nengliu.retention set floor_ts = to_timestamp(%s / 1e6)"
    pipeline.execute(raised, (FLOOR_US,))
    yield
    pipeline.execute("update nengliu.retention set floor_ts = '-infinity'")


def test_a_reading_before_the_floor_is_a_dead_letter_and_the_rest_is_stored(floor, pipeline, feed):
    result = feed.send(
        "gw1",
        ("m1", "1.8.0", FLOOR_US - HOUR_US, 1.0, False),
        ("m1", "1.8.0", FLOOR_US, 2.0, False),
        ("m1", "1.8.0", FLOOR_US - 2 * HOUR_US, 0.5, True),
        seq=1,
    )
    assert (result.stored, dict(result.rejected)) == (1, {"older_than_retention": 2})
    rows = pipeline.execute("select reason, detail from nengliu.reject").fetchall()
    assert {reason for reason, _ in rows} == {"older_than_retention"}
    assert all("retention" in detail for _, detail in rows)
    assert pipeline.execute(
        "select count(*) from nengliu.reading where ts < to_timestamp(%s / 1e6)", (FLOOR_US,)
    ).fetchone() == (0,)
    assert result.acks[0].stored == (1,), "something of it is in the database"


def test_an_import_that_reaches_behind_the_floor_says_so(
    floor, pipeline, registry_folder, registry, tmp_path
):
    """The registry of the module, with another ratio from the beginning, and one that changes nothing before."""
    text = (registry_folder / "installations.csv").read_text()
    (tmp_path / "installations.csv").write_text(text.replace("kWh,6,2,10,", "kWh,6,2,20,"))
    checked = check_registry(pipeline, tmp_path)
    assert checked.behind is not None
    assert (checked.behind.points, checked.behind.floor) == (1, from_us(FLOOR_US))
    (tmp_path / "installations.csv").write_text(
        text.replace(
            "m1,A-T,1.8.0,gw1,json,kWh,6,2,1,2014-01-01T00:00:00+08:00,,",
            "m1,A-T,1.8.0,gw1,json,kWh,6,2,1,2014-01-01T00:00:00+08:00,2014-03-01T00:00:00+08:00,",
        )
    )
    assert check_registry(pipeline, tmp_path).behind is None
