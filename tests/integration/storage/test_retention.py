"""A reading from before the floor is a dead letter that can be put in again, never a row that vanishes."""

from __future__ import annotations

import pytest

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
