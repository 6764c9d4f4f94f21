"""A person accepts what is missing as lost: the day may close, what is missing stays named, and a new gap is new."""

from __future__ import annotations

import json
from datetime import date

import pytest

from metering.instants import from_us
from storage.findings import FindingOptions, watch_findings
from storage.reconcile import reconcile

from .conftest import empty
from .test_sequences import RECEIVED_US, VALUE

pytestmark = pytest.mark.integration

MARCH_1 = date(2014, 3, 1)
AT_ONCE = FindingOptions(gap_patience_s=0)


@pytest.fixture(autouse=True)
def _empty(pipeline, registry):
    yield
    for table in ("outbox_loss", "ledger_closing", "finding"):
        pipeline.execute(f"delete from nengliu.{table}")
    empty(pipeline)


def look(pipeline) -> None:
    assert watch_findings(pipeline, lambda _: from_us(RECEIVED_US), AT_ONCE)


def gap_findings(pipeline):
    return pipeline.execute(
        "select state, ends is null, detail ->> 'missing', detail ->> 'note' from api.finding"
        " where kind = 'sequence_gap' order by found_at"
    ).fetchall()


def missing(pipeline) -> int:
    return pipeline.execute("select sum(missing) from api.ingest_ledger").fetchone()[0]


def test_an_accepted_loss_closes_its_day_and_stays_named(pipeline, feed, nengliu):
    feed.send("gw1", VALUE, seq=1, outbox="o")
    feed.send("gw1", VALUE, seq=5, outbox="o")
    look(pipeline)
    assert gap_findings(pipeline) == [("open", True, "3", None)]
    assert nengliu("reconcile").returncode == 1
    told = nengliu(
        "reconcile", "--accept", "gw1/o", "--note", "flash of gw1 replaced", "--by", "li", "--json"
    )
    assert told.returncode == 0, told.stderr
    assert "2-4" in told.stderr
    data = json.loads(told.stdout)
    assert data["days"][0]["closed"]
    assert data["days"][0]["outboxes"][0]["lost"] == [[2, 4]]
    assert (data["missing"], missing(pipeline)) == (3, 3)
    assert reconcile(pipeline).days == ()
    assert gap_findings(pipeline) == [("accepted", False, "3", "flash of gw1 replaced")]
    [kept] = pipeline.execute("select low, high, accepted_by, note from nengliu.outbox_loss").fetchall()
    assert kept == (2, 4, "li", "flash of gw1 replaced")
    look(pipeline)
    assert len(gap_findings(pipeline)) == 1


def test_what_comes_after_all_is_taken_in_and_a_new_gap_is_a_new_matter(pipeline, feed, nengliu):
    feed.send("gw1", VALUE, seq=1)
    feed.send("gw1", VALUE, seq=5)
    assert nengliu("reconcile", "--accept", "gw1/-", "--note", "lost").returncode == 0
    feed.send("gw1", VALUE, seq=3)
    assert reconcile(pipeline).problems == ()
    assert missing(pipeline) == 2
    feed.send("gw1", VALUE, seq=8)
    [problem] = reconcile(pipeline).problems
    assert (problem.day, problem.detail) == (MARCH_1, "2 messages: 6-7")
    look(pipeline)
    assert gap_findings(pipeline) == [("open", True, "2", None)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--accept", "gw1/o"), "--note"),
        (("--accept", "gw1", "--note", "x"), "GATEWAY/OUTBOX"),
        (("--accept", "gw9/o", "--note", "x"), "nothing is missing of gw9/o"),
        (("--note", "x"), "--accept"),
    ],
)
def test_accepting_wants_to_know_what_and_why(nengliu, arguments, said):
    told = nengliu("reconcile", *arguments)
    assert told.returncode == 2
    assert said in told.stderr


def test_the_list_shows_what_lasts_in_both_languages(pipeline, feed, nengliu):
    feed.send("gw1", VALUE, seq=1, outbox="o")
    feed.send("gw1", VALUE, seq=5, outbox="o")
    look(pipeline)
    chinese, english = nengliu("findings", "list"), nengliu("findings", "list", NENGLIU_LANGUAGE="en")
    assert chinese.returncode == english.returncode == 0, chinese.stderr
    assert "报文缺失" in chinese.stdout
    assert "Messages missing" in english.stdout
    feed.send("gw1", VALUE, seq=2, outbox="o")
    feed.send("gw1", VALUE, seq=3, outbox="o")
    feed.send("gw1", VALUE, seq=4, outbox="o")
    look(pipeline)
    assert json.loads(nengliu("findings", "list", "--kind", "sequence_gap", "--json").stdout) == []
    [gone] = json.loads(nengliu("findings", "list", "--all", "--kind", "sequence_gap", "--json").stdout)
    assert (gone["state"], gone["gateway"]) == ("withdrawn", "gw1")
    assert nengliu("findings", "list", "--kind", "none").returncode == 2


def test_the_list_shows_steps_whose_energy_waits_for_a_verdict_though_they_have_an_end(pipeline, nengliu):
    for n, (kind, state) in enumerate(
        [
            ("register_reset", "open"),
            ("above_rated", "accepted"),
            ("meter_replaced", "withdrawn"),
            ("rollover", "open"),
        ]
    ):
        pipeline.execute(
            """insert into nengliu.finding (rule, rule_key, kind, severity, subject, starts, ends, state, detail)
               values ('steps', %s, %s, 'major', 'm', '2014-03-01Z', '2014-03-02Z', %s, '{}')""",
            (str(n), kind, state),
        )
    listed = json.loads(nengliu("findings", "list", "--json").stdout)
    assert [f["kind"] for f in listed] == ["register_reset"]
    assert len(json.loads(nengliu("findings", "list", "--all", "--json").stdout)) == 4
