"""What people judge of readings: the newest verdict counts, of the value that it was of, and marks what it touches."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg
import pytest

from metering.instants import from_us
from storage.derivation import Deriver
from storage.reconcile import reconcile
from storage.review_runs import runs_listed
from storage.reviews import (
    NothingToJudgeError,
    Person,
    UnknownReadingError,
    Wanted,
    adopt,
    beside,
    doubtful_steps,
    find_series,
    judge,
    listed,
    reading_story,
)
from storage.sql import query

from .conftest import HOUR_US, RECEIVED_US, empty

pytestmark = pytest.mark.integration

START_US = RECEIVED_US - 240 * HOUR_US
LI, WANG = Person("li", "seen at the meter"), Person("wang", "not so")
VALUES = [100.0, 101.0, 0.0, 0.0, 104.0, 900.0, 106.0, 107.0]


def at(hour: int):
    return from_us(START_US + hour * HOUR_US)


@pytest.fixture(autouse=True)
def _empty(pipeline, registry):
    yield
    for table in ("reading_doubt", "reading_review", "finding"):
        pipeline.execute(f"delete from nengliu.{table}")
    empty(pipeline)


@pytest.fixture
def series(pipeline, feed):
    """Readings of m1, hour by hour: two zeros and a spike in doubt, each with its finding, and a step in doubt."""
    feed.send("gw1", *(("m1", "1.8.0", START_US + n * HOUR_US, v, False) for n, v in enumerate(VALUES)))
    [found] = find_series(pipeline, "m1", "1.8.0")
    for hour, kind in ((2, "zero_reading"), (3, "zero_reading"), (5, "spike")):
        pipeline.execute(
            "insert into nengliu.reading_doubt select %s, %s, point_id, %s from nengliu.point where point_code = 'A-T'",
            (found.series_id, at(hour), kind),
        )
    for key, (kind, starts, ends) in enumerate(
        (("zero_reading", 2, 4), ("spike", 5, 6), ("above_rated", 6, 7), ("rollover", 0, 1))
    ):
        pipeline.execute(
            "insert into nengliu.finding (point_id, meter, register, kind, starts, ends, severity, state, detail,"
            " rule, rule_key) select point_id, 'm1', '1.8.0', %s, %s, %s, 'warning', 'open', '{}', 'steps', %s"
            " from nengliu.point where point_code = 'A-T'",
            (kind, at(starts), at(ends), str(key)),
        )
    pipeline.execute("delete from nengliu.change")
    return found


def verdicts(connection, series):
    """Those that count, as the derivation takes them: of the value that the reading has."""
    found = connection.execute(query("derive_verdicts"), {"series": [series.series_id]}).fetchall()
    stored = dict(connection.execute("select ts, value from api.reading where meter = 'm1'").fetchall())
    return {(ts - START_US) // HOUR_US: v for _, ts, value, v in found if stored[from_us(ts)] == value}


def states(connection):
    return dict(connection.execute("select kind, state from api.finding").fetchall())


def marks(connection):
    rows = connection.execute(
        "select site_code, from_ts, to_ts from nengliu.change join nengliu.site using (site_id) order by from_ts"
    ).fetchall()
    return [(s, (a - at(0)) // timedelta(hours=1), (b - at(0)) // timedelta(hours=1)) for s, a, b in rows]


def test_accepting_one_reading_marks_it_and_its_finding(pipeline, series):
    done = judge(pipeline, series, (at(5), None), "accepted", LI)
    assert (done.readings, done.findings) == (1, 1)
    assert verdicts(pipeline, series) == {5: 1}
    assert marks(pipeline) == [("A", 5, 5)]
    assert states(pipeline) == {
        "zero_reading": "open", "spike": "accepted", "above_rated": "open", "rollover": "open",
    }  # fmt: skip
    [(review,)] = pipeline.execute(
        "select detail -> 'review' from api.finding where kind = 'spike'"
    ).fetchall()
    assert (review["by"], review["verdict"], review["note"]) == ("li", "accepted", "seen at the meter")


def test_accepting_a_span_takes_what_is_in_doubt_and_the_ends_of_doubtful_steps(pipeline, series):
    judge(pipeline, series, (at(0), at(7)), "accepted", LI)
    assert verdicts(pipeline, series) == {2: 1, 3: 1, 5: 1, 7: 1}
    assert {kind for kind, state in states(pipeline).items() if state == "open"} == {"rollover"}


def test_refusing_a_span_takes_all_of_it(pipeline, series):
    assert judge(pipeline, series, (at(1), at(4)), "refused", LI).readings == 4
    assert verdicts(pipeline, series) == {1: -1, 2: -1, 3: -1, 4: -1}
    assert states(pipeline)["zero_reading"] == "refused"
    assert states(pipeline)["spike"] == "open"


def test_what_was_taken_back_counts_no_longer_and_all_is_kept(pipeline, series):
    judge(pipeline, series, (at(5), None), "accepted", LI)
    judge(pipeline, series, (at(0), at(7)), "open", WANG)
    assert verdicts(pipeline, series) == {}
    assert states(pipeline)["spike"] == "open"
    assert [r["reviewed_by"] for r in reading_story(pipeline, series, at(5))["reviews"]] == ["wang", "li"]


def test_a_verdict_of_a_value_that_was_corrected_since_counts_no_longer(pipeline, series, feed):
    judge(pipeline, series, (at(5), None), "accepted", LI)
    feed.send("gw1", ("m1", "1.8.0", START_US + 5 * HOUR_US, 105.0, True))
    assert verdicts(pipeline, series) == {}
    with pytest.raises(NothingToJudgeError):
        judge(pipeline, series, (at(5), None), "open", LI)


def test_of_two_people_at_once_the_newest_counts_and_both_are_kept(database, pipeline, series):
    with psycopg.connect(database.pipeline_url) as other, other.transaction():
        judge(other, series, (at(5), None), "accepted", LI)
        pipeline.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            judge(pipeline, series, (at(5), None), "refused", WANG)
        pipeline.execute("reset lock_timeout")
    judge(pipeline, series, (at(5), None), "refused", WANG)
    assert verdicts(pipeline, series) == {5: -1}
    assert len(reading_story(pipeline, series, at(5))["reviews"]) == 2


def test_marks_are_in_runs_no_longer_than_what_was_judged(pipeline, series, feed):
    feed.send("gw1", ("m1", "1.8.0", START_US + 50 * HOUR_US, 150.0, False))
    pipeline.execute("delete from nengliu.change")
    judge(pipeline, series, (at(6), at(50)), "refused", LI)
    assert marks(pipeline) == [("A", 6, 7), ("A", 50, 50)]


@pytest.mark.parametrize(
    ("span", "verdict", "error"),
    [
        ((at(90), None), "accepted", UnknownReadingError),
        ((at(0), None), "open", NothingToJudgeError),
        ((at(4), at(4)), "accepted", NothingToJudgeError),
        ((at(90), at(99)), "refused", NothingToJudgeError),
    ],
)
def test_nothing_to_judge_is_said_and_nothing_is_written(pipeline, series, span, verdict, error):
    with pytest.raises(error):
        judge(pipeline, series, span, verdict, LI)
    assert pipeline.execute("select count(*) from nengliu.reading_review").fetchone() == (0,)
    assert marks(pipeline) == []


def test_what_a_register_cannot_show_is_not_accepted(pipeline, series):
    for table in ("reading_doubt", "finding"):
        pipeline.execute(f"update nengliu.{table} set kind = 'out_of_range' where kind = 'spike'")
    with pytest.raises(NothingToJudgeError, match="beyond what the register can show"):
        judge(pipeline, series, (at(5), None), "accepted", LI)
    with pytest.raises(NothingToJudgeError, match="nothing is in doubt"):
        judge(pipeline, series, (at(5), at(5)), "accepted", LI)
    judge(pipeline, series, (at(0), at(7)), "accepted", LI)
    assert verdicts(pipeline, series) == {2: 1, 3: 1, 7: 1}
    assert states(pipeline)["out_of_range"] == "open"
    judge(pipeline, series, (at(5), None), "refused", LI)
    assert states(pipeline)["out_of_range"] == "refused"


def test_nothing_is_judged_before_retentions_floor(pipeline, series, feed):
    feed.send("gw1", ("m1", "1.8.0", START_US + 2 * HOUR_US, 102.0, False))
    pipeline.execute("delete from nengliu.change")
    pipeline.execute("update nengliu.retention set floor_ts = %s", (at(6),))
    try:
        for verdict in ("accepted", "refused"):
            with pytest.raises(NothingToJudgeError, match="settled for good"):
                judge(pipeline, series, (at(5), None), verdict, LI)
        with pytest.raises(NothingToJudgeError, match="settled for good"):
            adopt(pipeline, series, at(2), 102.0, LI)
        assert value_of(pipeline, 2) == 0.0
        assert pipeline.execute("select count(*) from nengliu.reading_review").fetchone() == (0,)
        judge(pipeline, series, (at(5), at(7)), "refused", LI)
        assert marks(pipeline) == [("A", 5, 7)]
    finally:
        pipeline.execute("update nengliu.retention set floor_ts = '-infinity'")


def value_of(connection, hour):
    return connection.execute(
        "select value from api.reading where meter = 'm1' and ts = %s", (at(hour),)
    ).fetchone()[0]


@pytest.mark.parametrize("correction", [True, False])
def test_going_back_to_a_stored_version_keeps_the_other_and_the_books(pipeline, series, feed, correction):
    feed.send("gw1", ("m1", "1.8.0", START_US + 5 * HOUR_US, 105.0, correction))
    pipeline.execute("delete from nengliu.change")
    current, other = (105.0, 900.0) if correction else (900.0, 105.0)
    assert value_of(pipeline, 5) == current
    adopt(pipeline, series, at(5), other, LI)
    assert value_of(pipeline, 5) == other
    story = reading_story(pipeline, series, at(5))
    assert [(v["value"], v["kind"]) for v in story["versions"]] == [(current, "superseded")]
    assert story["reviews"][0]["note"].endswith("seen at the meter")
    assert marks(pipeline) == [("A", 5, 5)]
    assert reconcile(pipeline).problems == ()
    feed.send("gw1", ("m1", "1.8.0", START_US + 5 * HOUR_US, current, True))
    assert value_of(pipeline, 5) == other


def test_only_a_stored_version_can_be_adopted(pipeline, series):
    with pytest.raises(UnknownReadingError, match=r"there is 900 \(current\)"):
        adopt(pipeline, series, at(5), 105.0, LI)


def test_the_list_has_runs_with_the_good_readings_beside(pipeline, series):
    found = listed(pipeline, Wanted(site="A"))
    assert [(r["value"], r["kind"], r["apart"]) for r in found] == [
        (0.0, "zero_reading", True), (0.0, "zero_reading", False), (900.0, "spike", True),
    ]  # fmt: skip
    runs = [(series.series_id, at(2), at(3)), (series.series_id, at(5), at(5))]
    assert [(b, a) for _, b, _, a in beside(pipeline, runs)] == [(101.0, 104.0), (104.0, 106.0)]
    assert [s["kind"] for s in doubtful_steps(pipeline, Wanted())] == ["above_rated"]
    judge(pipeline, series, (at(5), None), "accepted", LI)
    assert [r["value"] for r in listed(pipeline, Wanted(series=(series,), state="accepted"))] == [900.0]
    assert listed(pipeline, Wanted(point="B-T", state="all")) == []


def test_views_show_doubts_and_reviews(pipeline, series):
    judge(pipeline, series, (at(5), None), "refused", LI)
    [doubt] = pipeline.execute(
        "select site_code, value from api.reading_doubt where kind = 'spike'"
    ).fetchall()
    assert doubt == ("A", 900.0)
    [review] = pipeline.execute("select point_code, verdict, reviewed_by from api.reading_review").fetchall()
    assert review == ("A-T", "refused", "li")


def test_the_derivation_follows_verdicts_and_what_is_taken_back(database, pipeline, feed):
    values = [100.0 + n if n != 60 else 5000.0 for n in range(120)]
    feed.send("gw1", *(("m1", "1.8.0", START_US + n * HOUR_US, v, False) for n, v in enumerate(values)))
    [series] = find_series(pipeline, "m1", "1.8.0")

    def doubts():
        deriver = Deriver(lambda: psycopg.connect(database.worker_url))
        deriver.run_all()
        deriver.close()
        found = pipeline.execute("select ts, kind from api.reading_doubt").fetchall()
        return {(ts - at(0)) // timedelta(hours=1): kind for ts, kind in found}

    assert doubts() == {60: "spike"}
    judge(pipeline, series, (at(30), None), "refused", LI)
    assert doubts() == {30: "refused", 60: "spike"}
    judge(pipeline, series, (at(60), None), "accepted", LI)
    assert 60 not in doubts()
    assert states(pipeline)["spike"] == "accepted"
    [run] = runs_listed(pipeline, Wanted(state="accepted"))
    assert (run.before, run.after, run.energy, run.counted) == (159.0, 161.0, None, True)
    [run] = runs_listed(pipeline, Wanted(kind="refused", state="refused"))
    assert (run.readings, run.before, run.after, run.energy) == (1, 129.0, 131.0, 2.0)
    judge(pipeline, series, (at(0), at(119)), "open", WANG)
    assert doubts() == {60: "spike"}
    assert states(pipeline)["spike"] == "open"


def test_the_commands_list_judge_and_show(nengliu, pipeline, series):
    review = ("readings", "review")
    moment = at(5).isoformat()
    chinese, english = nengliu(*review, "list"), nengliu(*review, "list", NENGLIU_LANGUAGE="en")
    assert chinese.returncode == english.returncode == 0, chinese.stderr + english.stderr
    assert "读数归零" in chinese.stdout
    assert "Register reads zero" in english.stdout
    assert json.loads(nengliu(*review, "list", "--kind", "spike", "--json").stdout)[0]["readings"] == 1
    told = nengliu(*review, "accept", "m1", "1.8.0", moment, "--by", "li", "--note", "read it", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["readings"] == 1
    shown = nengliu(*review, "show", "m1", "1.8.0", moment)
    assert shown.returncode == 0, shown.stderr
    assert "read it" in shown.stdout
    assert nengliu(*review, "reopen", "m1", "1.8.0", moment, "--note", "x").returncode == 0
    assert (
        nengliu(*review, "refuse", "m1", "1.8.0", moment, "--to", at(6).isoformat(), "--note", "x").returncode
        == 0
    )
    assert verdicts(pipeline, series) == {5: -1, 6: -1}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("accept", "m9", "1.8.0", at(5).isoformat(), "--note", "x"), 1, "m9"),
        (("accept", "m1", "9.9.9", at(5).isoformat(), "--note", "x"), 1, "it has 1.8.0"),
        (("accept", "m1", "1.8.0", "2014-02-19T05:00:00", "--note", "x"), 2, "offset"),
        (("accept", "m1", "1.8.0", at(5).isoformat()), 2, "--note"),
        (("accept", "m1", "1.8.0", at(5).isoformat(), "--note", " "), 2, "--note"),
        (("accept", "m1", "1.8.0", at(5).isoformat(), "--to", at(4).isoformat(), "--note", "x"), 2, "--to"),
        (("show", "m1", "1.8.0", at(99).isoformat()), 1, "no reading"),
        (("adopt", "m1", "1.8.0", at(5).isoformat(), "7", "--note", "x"), 1, "no version"),
        (("list", "--kind", "none"), 2, "none"),
        (("list", "--state", "none"), 2, "none"),
        (("list", "--site", "Z"), 2, "Z"),
    ],
)
def test_wrong_use_is_said(nengliu, series, arguments, code, said):
    told = nengliu("readings", "review", *arguments)
    assert told.returncode == code, told.stderr
    assert said in told.stderr
    assert "Traceback" not in told.stderr
