"""`bench hostile` sends every class through the real chain, finds all as it must be, and leaves nothing behind."""

from __future__ import annotations

import pytest

from deploy.bench.hostile import HostileOptions, run_hostile
from deploy.bench.hostile_client import connected
from deploy.bench.hostile_verdict import Fault, Verdict
from deploy.clients import connect_database, mqtt_connection
from deploy.gateways import SecurityDesk, add_gateways, remove_gateways
from deploy.stack.steps import SilentSteps
from simulators.hostile.cases import NOT_AUTHORIZED, Message
from simulators.hostile.mix import KINDS, Sent

from .conftest import Servers

pytestmark = pytest.mark.integration


def test_every_class_of_hostile_messages_becomes_what_it_must_and_good_ones_are_stored(
    servers: Servers,
) -> None:
    report = run_hostile(servers.settings, HostileOptions(2000, seed=3, gateways=4), SilentSteps())
    assert (report["failed_classes"], report["restarts"], report["examples"]) == ({}, [], [])
    assert report["complete"]
    assert report["passed"]
    assert report["classes"] == len(KINDS) >= 40
    assert report["hostile"] == 2000
    assert report["good"] > 300
    assert report["stored"] > report["good"]
    assert len(report["rejects"]) > 12
    assert report["refused_by_broker"] > 0
    assert report["connections_ended_by_broker"] > 0
    assert report["peak_rss_mb"].keys() == {"bridge-1", "writer-1", "mosquitto", "kafka", "bench"}
    with connect_database(servers.settings, "superuser", database="postgres") as connection:
        assert not connection.execute(
            "select datname from pg_database where datname like 'bench_%'"
        ).fetchall()
    with SecurityDesk(mqtt_connection(servers.settings, "admin")) as desk:
        assert not [n for n in desk.known() if n.startswith("bench-")]


def test_a_broker_that_answers_otherwise_than_a_message_says_is_found(servers: Servers) -> None:
    endpoint, verdict = mqtt_connection(servers.settings, "admin"), Verdict()
    name = "hostile-answers"
    own, another = f"nl/v1/{name}/status", "nl/v1/someone-else/status"
    messages = {
        "taken_as_said": Message(own, b"1"),
        "refused_as_said": Message(another, b"2", refused=NOT_AUTHORIZED),
        "broken_as_said": Message("nl/+", b"3", breaks=True),
        "taken_after_all": Message(own, b"4", refused=NOT_AUTHORIZED),
        "refused_after_all": Message(another, b"5", qos=2),
        "not_broken": Message(own, b"6", breaks=True),
        "broken_after_all": Message("nl/+", b"7"),
    }
    credentials = add_gateways(endpoint, [name])
    try:
        with connected(endpoint, credentials, verdict) as gateways:
            for number, (kind, message) in enumerate(messages.items(), start=1):
                gateways.publish(number, Sent(0, kind, message))
                gateways.finish()
            answers = gateways.answers
    finally:
        remove_gateways(endpoint, [name])
    assert (answers.refused, answers.broken) == (1, 1)
    assert verdict.counts == {
        (Fault.REFUSAL, "taken_after_all"): 1,
        (Fault.REFUSAL, "refused_after_all"): 1,
        (Fault.BREAK, "not_broken"): 1,
        (Fault.BREAK, "broken_after_all"): 1,
    }
