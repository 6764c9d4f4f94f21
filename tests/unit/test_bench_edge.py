"""The benchmark of the edge collector's polling, small and fast."""

from __future__ import annotations

from deploy.bench.edge import EdgeOptions, run_edge


def test_every_meter_is_polled_once_and_what_went_over_the_lines_is_counted():
    report = run_edge(EdgeOptions(meters=8, buses=4, baud=115_200, delay_s=0.001))
    assert (report["kept"], report["missing"], report["wrong"]) == (8, 0, 0)
    assert report["answers"] == 8 * 3, "total, date and time of each"
    # The total: 4 FE and 16 bytes out, 4 FE and 20 bytes back; the date as long, the time a byte shorter.
    assert report["wire_bytes"] == 8 * (44 + 44 + 43)
    assert 0 < report["line_s"] <= report["polled_s"]
    assert 0 < report["rss_mb"] < 100
