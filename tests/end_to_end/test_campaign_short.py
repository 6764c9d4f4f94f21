"""The fault campaign's short version: promise 1 under one fault of each sort; `make campaign` has the others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.campaign.campaign import carry_out
from tests.campaign.run import Result

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

_FAULTS = [
    ("kill9_postgres", 1),
    ("cut_bridge-kafka", 1),
    ("restart_writer", 1),
    ("kill9_mosquitto+kill9_bridge", 1),
]


def test_nothing_is_lost_doubled_or_wrong_under_faults_and_data_flows_again() -> None:
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="nengliu-campaign-") as folder:
        carry_out(_FAULTS, Path(folder), 3000, results.append)
    assert [(r.kind, r.problems) for r in results] == [(kind, ()) for kind, _ in _FAULTS]
    for r in results:
        assert (r.lost, r.doubled, r.wrong, r.missing) == (0, 0, 0, 0), r.kind
        assert r.readings > 2000
        assert r.rejected > 0
        assert r.recovery_s is not None
        assert r.recovery_s <= 60
