"""`bench soak` sends at its rate through real services, watches their memory, and draws it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from deploy.bench.rig import BenchError
from deploy.bench.soak import Curve, SoakOptions, growth, run_soak
from deploy.bench.soak_chart import soak_chart
from deploy.stack.steps import SilentSteps

from .conftest import Servers


@pytest.mark.integration
def test_a_short_soak_loses_nothing_and_has_a_curve_of_every_service(servers: Servers) -> None:
    options = SoakOptions(minutes=0.03, rate=500, gateways=2, every_s=0.2)
    report, curves = run_soak(servers.settings, options, SilentSteps())
    assert (report["messages"], report["lost"]) == (900, 0)
    assert report["rss"].keys() == {c.name for c in curves} == {"bridge-1", "writer-1", "worker-1"}
    assert all(0 < r["last_mb"] <= r["peak_mb"] for r in report["rss"].values())
    drawn = ElementTree.fromstring(soak_chart(curves))
    lines = [e for e in drawn.iter() if e.tag.endswith("polyline")]
    assert [len(e.attrib["points"].split()) for e in lines] == [len(curves[0].seconds)] * 3


def _curve(*rss_mb: float) -> Curve:
    return Curve("x", [float(i) for i in range(len(rss_mb))], list(rss_mb))


def test_memory_that_grows_in_the_last_third_is_not_flat_and_what_is_filled_once_is() -> None:
    assert growth(_curve(50, 80, 100, 100, 100, 101))["flat"]
    assert growth(_curve(50, 80, 400, 400, 439, 439))["flat"], "a tenth"
    assert not growth(_curve(50, 60, 100, 100, 130, 140))["flat"]
    assert not growth(_curve(500, 500, 500, 500, 560, 560))["flat"]
    with pytest.raises(BenchError):
        growth(_curve(1, 2))
