"""The books, from outside: what is missing is named until it comes; what was rejected goes in again, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.conftest import Gateway, Stack
from tests.end_to_end.test_contract import INSTALLATIONS, POINTS, SITES, at, reading

pytestmark = pytest.mark.integration

BOOKS = "received, stored, repeated, conflicting, rejected, missing"


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Iterator[Gateway]:
    """A gateway, connected; its meters are registered."""
    password = stack.add_gateways("gw-a")["gw-a"]
    stack.import_registry("base", sites=SITES, points=POINTS, installations=INSTALLATIONS)
    made = Gateway(stack, "gw-a", password)
    yield made
    made.close()


def books(stack: Stack) -> tuple[Any, ...]:
    """The ledger of the gateway's only day."""
    (row,) = stack.rows(f"select {BOOKS} from api.ingest_ledger where gateway = 'gw-a'")
    return row


def outbox_of(report: str) -> dict[str, Any]:
    """The only outbox and day of a reconciliation."""
    ((outbox,),) = [day["outboxes"] for day in json.loads(report)["days"]]
    return outbox


def test_messages_that_did_not_come_are_named_until_they_come(stack: Stack, gateway: Gateway) -> None:
    gateway.send("o", 11, reading("M-TOTAL", at(2, 1), value=1))
    gateway.send("o", 14, reading("M-TOTAL", at(2, 4), value=4), reading("M-NOBODY", at(2, 4), value=4))
    assert books(stack) == (3, 2, 0, 0, 1, 2)
    outbox = outbox_of(stack.run("reconcile", "--json", code=1))
    assert (outbox["gateway"], outbox["outbox"], outbox["seen"]) == ("gw-a", "o", 2)
    assert (outbox["missing"], outbox["gaps"]) == (2, [[12, 13]])
    for seq in (12, 13):
        gateway.send("o", seq, reading("M-NOBODY", at(2, seq), value=seq))
    assert books(stack) == (5, 2, 0, 0, 3, 0)
    assert outbox_of(stack.run("reconcile", "--json"))["gaps"] == []


def test_rejects_of_a_meter_go_in_once_when_it_is_registered(stack: Stack, gateway: Gateway) -> None:
    (group,) = json.loads(stack.run("rejects", "list", "--json"))
    assert (group["reason"], group["gateway"], group["meter"]) == ("unknown_meter", "gw-a", "M-NOBODY")
    assert group["count"] == 3
    first = stack.rows("select received_at from api.reject order by received_at")
    header, *_ = INSTALLATIONS.splitlines()
    late = "M-NOBODY,P-NEW,1.8.0,gw-a,json,kWh,6,2,1,2024-01-01T00:00:00+08:00,,,,3600"
    new_point = f"{POINTS.splitlines()[0]}\nP-NEW,110108A901,01B1,新表,P-TOTAL,\n"
    stack.import_registry("late", points=new_point, installations=f"{header}\n{late}\n")
    assert json.loads(stack.run("rejects", "requeue", "--reason", "unknown_meter", "--json"))["stored"] == 3
    stored = "select received_at from api.reading where meter = 'M-NOBODY' order by received_at"
    assert stack.rows(stored) == first
    assert stack.rows("select count(*), count(requeued_at) from api.reject") == [(3, 3)]
    assert books(stack) == (5, 5, 0, 0, 0, 0)
    assert json.loads(stack.run("rejects", "requeue", "--json"))["found"] == 0
    gateway.send("o", 15, reading("M-NOBODY", at(2, 12), value=12))
    assert books(stack) == (6, 5, 1, 0, 0, 0)
    assert json.loads(stack.run("reconcile", "--json"))["problems"] == []
