"""Where Sparkplug B may be configured, and what its edge nodes may do at the broker."""

from __future__ import annotations

import pytest

from collectors.routes import Routes
from deploy.gateways import acls_of
from metering.errors import SettingError


def test_a_node_may_tell_of_itself_and_hear_its_commands_only() -> None:
    rights = {
        (a["acltype"], a["topic"]) for a in acls_of("n1", ["spBv1.0/+/+/{gateway}/#", "vendor/{gateway}/up"])
    }
    assert ("publishClientSend", "spBv1.0/+/+/n1/#") in rights
    for topic in ("spBv1.0/+/NCMD/n1", "spBv1.0/+/DCMD/n1/#", "spBv1.0/STATE/+"):
        assert ("subscribePattern", topic) in rights
        assert ("publishClientReceive", topic) in rights
    assert not [t for kind, t in rights if kind == "subscribePattern" and not t.startswith("spBv1.0/")]


def test_formats_with_state_are_not_subscribed_shared() -> None:
    routes = Routes({"spBv1.0/plant/+/{gateway}/#": "sparkplug"})
    assert routes.stateful_filters == ["spBv1.0/plant/+/+/#"]
    assert not [f for f in routes.reading_filters if f.startswith("spBv1.0")]
    route = routes.of("spBv1.0/plant/DDATA/n1/m1")
    assert route is not None
    assert (route.gateway, route.name) == ("n1", "sparkplug")
    assert routes.of("spBv1.0/plant/NCMD/n1") is None


@pytest.mark.parametrize("text", ["spBv1.0/{gateway}/+/+/#", "x/+/+/{gateway}/#", "spBv1.0/+/+/{gateway}"])
def test_a_filter_that_is_not_of_sparkplug_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="Sparkplug"):
        Routes({text: "sparkplug"})
