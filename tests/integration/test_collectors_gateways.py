"""Who may publish where: rights in force at once, refused by the broker itself."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from deploy.clients import MqttEndpoint
from deploy.gateways import GatewayError, GatewayNameError, SecurityDesk, add_gateways, remove_gateways
from metering.errors import DependencyAwayError

from .collectors_support import Gateway, endpoint_of, wait_until
from .conftest import Servers

pytestmark = pytest.mark.integration

GOOD = '{"v":1,"state":"online"}'


@pytest.fixture
def endpoint(servers: Servers) -> MqttEndpoint:
    return endpoint_of(servers.settings)


@pytest.fixture
def names(endpoint: MqttEndpoint) -> Iterator[list[str]]:
    tag = secrets.token_hex(4)
    wanted = [f"gw-{tag}-{i}" for i in range(3)]
    yield wanted
    with SecurityDesk(endpoint) as desk:
        there = [n for n in wanted if n in desk.known()]
    if there:
        remove_gateways(endpoint, there)


def test_a_gateway_may_publish_its_own_topics_and_no_others(endpoint: MqttEndpoint, names: list[str]) -> None:
    ours, other = add_gateways(endpoint, names[:2], ["vendor/{gateway}/up"])
    gateway = Gateway(endpoint, ours.gateway, ours.password)
    allowed = [f"nl/v1/{ours.gateway}/{leaf}" for leaf in ("readings", "dlt645", "cjt188", "status")]
    allowed.append(f"vendor/{ours.gateway}/up")
    refused = [
        f"nl/v1/{other.gateway}/readings",
        f"nl/v1/{ours.gateway}/ack",
        f"vendor/{other.gateway}/up",
        f"nl/v1/{ours.gateway}x/readings",
        f"nl/v1/{ours.gateway}/readings/x",
        "$CONTROL/dynamic-security/v1",
    ]
    answers = gateway.answered([gateway.publish(t, GOOD) for t in [*allowed, *refused]])
    assert all(a in ("Success", "No matching subscribers") for a in answers[: len(allowed)])
    assert answers[len(allowed) :] == ["Not authorized"] * len(refused)
    gateway.close()


def test_another_gateways_acknowledgements_cannot_be_read(endpoint: MqttEndpoint, names: list[str]) -> None:
    ours, other = add_gateways(endpoint, names[:2])
    gateway = Gateway(endpoint, ours.gateway, ours.password)
    for topic in (f"nl/v1/{other.gateway}/ack", "nl/v1/+/ack", "#", f"nl/v1/{other.gateway}/readings"):
        gateway.client.subscribe(topic, qos=1)
    wait_until(lambda: len(gateway.granted) == 5, "five SUBACKs")
    assert gateway.granted == ["Granted QoS 1", *["Not authorized"] * 4]
    gateway.close()


def test_rights_are_in_force_at_once_and_end_at_once(endpoint: MqttEndpoint, names: list[str]) -> None:
    [credential] = add_gateways(endpoint, names[:1])
    gateway = Gateway(endpoint, credential.gateway, credential.password)
    remove_gateways(endpoint, names[:1])
    wait_until(lambda: gateway.disconnects, "the live session to end")
    wait_until(lambda: "Not authorized" in gateway.refusals, "the connection to be refused")
    gateway.close()


def test_an_existing_gateway_is_refused_or_given_another_password(
    endpoint: MqttEndpoint, names: list[str]
) -> None:
    [first] = add_gateways(endpoint, names[:1])
    with pytest.raises(GatewayError, match="already there"):
        add_gateways(endpoint, names[:1])
    gateway = Gateway(endpoint, first.gateway, first.password)
    [second] = add_gateways(endpoint, names[:1], new_password=True)
    assert second.password != first.password
    wait_until(lambda: "Not authorized" in gateway.refusals, "the old password to be refused")
    gateway.close()
    Gateway(endpoint, second.gateway, second.password).close()


def test_several_are_added_and_removed_all_or_nothing(endpoint: MqttEndpoint, names: list[str]) -> None:
    add_gateways(endpoint, names[:1])
    with pytest.raises(GatewayError):
        add_gateways(endpoint, names)
    with SecurityDesk(endpoint) as desk:
        assert desk.known() & set(names) == {names[0]}
    with pytest.raises(GatewayError):
        remove_gateways(endpoint, names)
    with SecurityDesk(endpoint) as desk:
        assert names[0] in desk.known()


def test_a_refusal_half_way_leaves_nothing_behind(endpoint: MqttEndpoint, names: list[str]) -> None:
    with SecurityDesk(endpoint) as desk:
        desk.ask([{"command": "createRole", "rolename": f"gateway:{names[2]}", "acls": []}])
    with pytest.raises(GatewayError, match="nothing was added"):
        add_gateways(endpoint, names)
    with SecurityDesk(endpoint) as desk:
        assert not desk.known() & set(names)


@pytest.mark.parametrize("name", ["", "a/b", "a+b", "#", "$x", "a b", "a\x00", "é", "-a", "x" * 65])
def test_names_that_cannot_stand_in_a_topic_are_refused(endpoint: MqttEndpoint, name: str) -> None:
    with pytest.raises(GatewayNameError):
        add_gateways(endpoint, [name])


def test_the_platforms_own_users_are_not_gateways(endpoint: MqttEndpoint) -> None:
    for attempt in (
        lambda: add_gateways(endpoint, ["bridge"], new_password=True),
        lambda: remove_gateways(endpoint, ["admin"]),
    ):
        with pytest.raises(GatewayError):
            attempt()


def test_a_broker_that_is_away_or_refuses_is_named_with_its_setting(endpoint: MqttEndpoint) -> None:
    for wrong in (
        MqttEndpoint("127.0.0.1", 1, "admin", "x"),
        MqttEndpoint(endpoint.host, endpoint.port, "admin", "wrong"),
    ):
        with pytest.raises(DependencyAwayError, match="NENGLIU_MQTT_ADMIN_URL"):
            add_gateways(wrong, ["gw"])
