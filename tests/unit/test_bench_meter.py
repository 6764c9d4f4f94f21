"""The benchmark of simulated meters, small and fast."""

from __future__ import annotations

from deploy.bench.meter import MeterBench, run_meter


def test_every_meter_answers_every_round_and_what_went_over_the_lines_is_counted():
    report = run_meter(MeterBench(meters=10, buses=3, baud=115_200, turnaround_s=0.001, rounds=2))
    assert (report["answers"], report["wrong"]) == (20, 0)
    assert report["wire_bytes"] == 20 * (16 + 4 + 20), "the request, and the answer behind 4 FE"
    assert 0 < report["line_s"] <= report["asked_s"]
    assert report["cores"] >= 0
