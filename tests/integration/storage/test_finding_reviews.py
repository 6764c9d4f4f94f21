"""A person's verdict on findings that no reading stands for."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def findings(pipeline) -> dict[str, int]:
    """Findings by name: one of a clock, one of steps, a silence, one withdrawn."""
    pipeline.execute("delete from nengliu.finding")
    rows = [
        ("clock", "clocks", "clock_offset", "open"),
        ("steps", "steps", "spike", "open"),
        ("silence", None, "silent_meter", "open"),
        ("gone", "balance", "imbalance", "withdrawn"),
    ]
    return {
        name: pipeline.execute(
            """insert into nengliu.finding (rule, rule_key, kind, subject, starts, ends, severity, state, detail)
               values (%s, %s, %s, %s, now(), now(), 'warning', %s, '{"text_en": "as it seems"}')
               returning finding_id""",
            (rule, name if rule else None, kind, name, state),
        ).fetchone()[0]
        for name, rule, kind, state in rows
    }


def test_a_finding_is_accepted_refused_and_opened_again_with_who_and_why(nengliu, findings, pipeline):
    number = findings["clock"]
    for command, state in (("accept", "accepted"), ("refuse", "refused"), ("reopen", "open")):
        told = nengliu("findings", command, str(number), "--note", f"seen: {command}", "--by", "li")
        assert told.returncode == 0, told.stderr
        [row] = pipeline.execute(
            "select state, detail -> 'review' from nengliu.finding where finding_id = %s", (number,)
        )
        assert row[0] == state
        assert (row[1]["by"], row[1]["note"], row[1]["verdict"]) == ("li", f"seen: {command}", state)


@pytest.mark.parametrize("name", ["steps", "silence", "gone"])
def test_what_is_not_judged_here_is_said_and_nothing_is_changed(nengliu, findings, pipeline, name):
    told = nengliu("findings", "refuse", str(findings["clock"]), str(findings[name]), "--note", "x")
    assert told.returncode == 1
    assert f"finding {findings[name]}: not there" in told.stderr
    assert pipeline.execute("select count(*) from nengliu.finding where detail ? 'review'").fetchone() == (0,)


def test_a_verdict_wants_a_note(nengliu, findings):
    assert nengliu("findings", "accept", str(findings["clock"])).returncode == 2
    assert nengliu("findings", "accept", str(findings["clock"]), "--note", " ").returncode == 2


def test_the_open_ones_are_listed_with_their_text_whether_they_last_or_not(nengliu, findings):
    told = json.loads(nengliu("findings", "list", "--open", "--json").stdout)
    assert {f["finding_id"] for f in told} == {findings[name] for name in ("clock", "steps", "silence")}
    assert nengliu("findings", "list", "--json").stdout.strip() == "[]"
    assert "as it seems" in nengliu("findings", "list", "--open", NENGLIU_LANGUAGE="en").stdout
