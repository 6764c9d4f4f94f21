"""Which gateway a topic names, and which filters are refused at the start."""

from __future__ import annotations

import tracemalloc

import pytest

from collectors.routes import Filter, Routes
from metering.errors import SettingError


@pytest.mark.parametrize(
    ("text", "topic", "gateway"),
    [
        ("nl/v1/{gateway}/readings", "nl/v1/gw-1/readings", "gw-1"),
        ("nl/v1/{gateway}/readings", "nl/v1/gw-1/status", None),
        ("nl/v1/{gateway}/readings", "nl/v1/gw-1/readings/x", None),
        ("nl/v1/{gateway}/readings", "nl/v1//readings", None),
        ("spBv1.0/+/+/{gateway}/#", "spBv1.0/g/DDATA/node/dev", "node"),
        ("spBv1.0/+/+/{gateway}/#", "spBv1.0/g/DDATA/node", "node"),
        ("spBv1.0/+/+/{gateway}/#", "spBv1.0/g/DDATA", None),
        ("{gateway}/up", "vendor-7/up", "vendor-7"),
    ],
)
def test_a_topic_names_its_gateway(text: str, topic: str, gateway: str | None) -> None:
    assert Filter(text).gateway_in(topic) == gateway


@pytest.mark.parametrize(
    "text",
    [
        "nl/v1/+/readings",
        "a/{gateway}/{gateway}",
        "a/x{gateway}",
        "#/{gateway}",
        "a#/{gateway}",
        "$SYS/{gateway}",
        "",
    ],
)
def test_a_filter_that_does_not_name_one_gateway_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        Filter(text)


def test_routes_take_native_and_configured_topics_and_refuse_unknown_decoders() -> None:
    routes = Routes({"vendor/{gateway}/json": "native_json"})
    assert routes.of("nl/v1/a/readings").name == "native_json"
    assert routes.of("nl/v1/a/status").decoder is None
    assert routes.of("vendor/b/json").gateway == "b"
    assert routes.of("elsewhere") is None
    assert "vendor/+/json" in routes.reading_filters
    with pytest.raises(SettingError, match="no_such"):
        Routes({"vendor/{gateway}/json": "no_such"})


def test_topics_that_are_new_and_long_each_time_fill_no_memory() -> None:
    routes = Routes({"vendor/{gateway}/#": "native_json"})
    tracemalloc.start()
    try:
        for n in range(300):
            route = routes.of(f"vendor/b/{n}" + "/x" * 30_000)
            assert route is not None
            assert route.gateway == "b"
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000


def test_without_the_native_topics_only_what_settings_name_is_taken() -> None:
    routes = Routes({"acme/{gateway}/up": "native_json"}, native=False)
    assert routes.reading_filters == ["acme/+/up"]
    assert routes.of("nl/v1/gw/readings") is None
    route = routes.of("acme/gw/up")
    assert route is not None
    assert route.gateway == "gw"
    with pytest.raises(SettingError, match="NENGLIU_MQTT_NATIVE"):
        Routes(native=False)
