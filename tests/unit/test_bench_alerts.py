"""`bench alerts`: the ground that alerts are judged on, and the judgement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deploy.bench.alert_quality import missed, quality_table
from deploy.bench.alert_score import Score, Spell, passed_on, spells
from deploy.bench.alert_truth import AIMS, FAULTS, NEVER, Building, Flaw, Quality, QualityOptions


def building(flaw: Flaw | None = None, per_day: float = 24.0, limit: float = 100.0) -> Building:
    """Ten days of the same use; by the defaults the limit is passed on day 4."""
    hours = np.full(240, per_day / 24)
    nothing = np.zeros(240)
    return Building(1, "over", hours, limit, None, nothing, nothing, nothing.astype(np.int64), flaw)


def over(confirmed: int | None, how: str | None = None, ended: int | None = None, opened: int = 0) -> Spell:
    return Spell("Q0001", "quota_over", opened, confirmed, ended, how)


def scored(of: Building, *found: Spell) -> Score:
    score = Score()
    score.add(1, [of], 0, 10, list(found))
    return score


def verdict(of: Building, *found: Spell) -> tuple[int, int, int]:
    fact = scored(of, *found).facts["quota_over"]
    return fact.right, len(fact.wrong), len(fact.missed)


def test_a_limit_is_passed_on_the_day_at_whose_end_more_was_used() -> None:
    assert passed_on(building(), 1.0, 0, 10) == 4
    assert passed_on(building(limit=96.0), 1.0, 0, 10) == 4, "what is used up is not passed"
    assert passed_on(building(), 3.0, 0, 10) is None
    assert passed_on(building(), 1.0, 3, 7) == 7


@pytest.mark.parametrize(
    ("spell", "expected"),
    [
        (over(4), (1, 0, 0)),
        (over(7), (1, 0, 0)),
        (over(8), (0, 0, 1)),
        (over(2), (0, 1, 0)),
        (over(None), (0, 0, 1)),
        (over(4, "retracted", 6), (0, 0, 1)),
        (over(4, "resolved", 6), (1, 0, 0)),
    ],
)
def test_an_alert_is_right_in_time_wrong_too_early_and_missed_too_late(
    spell: Spell, expected: tuple[int, int, int]
) -> None:
    assert verdict(building(), spell) == expected


def test_of_a_limit_that_is_kept_an_alert_that_stands_is_wrong_and_one_taken_back_is_listed() -> None:
    kept = building(limit=1000.0)
    assert verdict(kept) == (0, 0, 0)
    assert verdict(kept, over(5)) == (0, 1, 0)
    score = scored(kept, over(5, "retracted", 6))
    assert score.facts["quota_over"].wrong == []
    assert [r["explained"] for r in score.retracted] == [False]
    flawed = replace(kept, flaw=Flaw("spike", 5, 6))
    assert [r["explained"] for r in scored(flawed, over(5, "retracted", 6)).retracted] == [True]


def test_what_lay_in_the_way_excuses_an_alert_until_it_is_gone() -> None:
    outage = building(Flaw("outage_lost", 3, 8))
    assert verdict(outage, over(8)) == (1, 0, 0)
    assert scored(outage, over(8)).facts["quota_over"].after_flaw == 1
    assert verdict(building(Flaw("outage_lost", 8, 9)), over(8)) == (0, 0, 1), (
        "it came after the limit was passed"
    )


def test_a_warning_counts_if_it_stands_when_the_limit_is_passed() -> None:
    warned = Spell("Q0001", "quota_forecast_over", 1, 2)
    score = scored(building(), warned)
    assert (score.warnings.days, score.opened.days) == ([2], [3])
    ended = replace(warned, ended=3, how="resolved")
    for told in (scored(building(), ended).warnings, scored(building(), ended).opened):
        assert (told.days, len(told.missed)) == ([], 1)
    assert len(scored(building(limit=1000.0), ended).warnings.wrong) == 1


def test_a_warning_that_stays_provisional_is_no_confirmed_one() -> None:
    warned = Spell("Q0001", "quota_forecast_over", 1, None)
    score = scored(building(), warned)
    assert (score.opened.days, score.warnings.days, len(score.warnings.missed)) == ([3], [], 1)
    score = scored(building(limit=1000.0), warned)
    assert (len(score.opened.wrong), score.warnings.wrong) == (1, [])


def test_steps_become_spells() -> None:
    steps = [
        (1, "A", "quota_over", 3, "provisional", None),
        (2, "A", "quota_severe", 4, "confirmed", None),
        (1, "A", "quota_over", 5, "confirmed", None),
        (1, "A", "quota_over", 9, "retracted", "why"),
    ]
    assert spells(steps) == [
        Spell("A", "quota_over", 3, 5, 9, "retracted", "why"),
        Spell("A", "quota_severe", 4, 4),
    ]


@pytest.fixture(scope="module")
def quality() -> Quality:
    return Quality(QualityOptions(sites=96))


def test_every_aim_is_reached_and_every_fault_meets_every_aim(quality: Quality) -> None:
    for b in quality.buildings:
        passed = [passed_on(b, s, quality.judged_from, 365) is not None for s in (1.0, 1.2)]
        assert passed == [b.aim in ("over", "severe"), b.aim == "severe"]
    met = {(b.flaw.kind, b.aim) for b in quality.buildings if b.flaw}
    assert met >= {(kind, aim) for kind in FAULTS for aim in AIMS}
    assert sum(b.flaw is None for b in quality.buildings) == 48


def test_the_same_seed_makes_the_same_buildings_and_another_others(quality: Quality) -> None:
    again = Quality(QualityOptions(sites=3)).buildings
    for one, same in zip(quality.buildings, again, strict=False):
        assert np.array_equal(one.shown, same.shown)
        assert one.flaw == same.flaw
    other = Quality(QualityOptions(sites=3, seed=2)).buildings
    assert not np.array_equal(other[0].true_kwh, again[0].true_kwh)


def test_what_is_sent_but_for_the_flaw_is_what_was_used(quality: Quality) -> None:
    for b in quality.buildings:
        flawless = b.flaw is None
        good = np.flatnonzero(np.diff(b.shown) >= 0)
        assert not flawless or len(good) == len(b.shown) - 1
        off = np.abs(np.diff(b.shown) - b.true_kwh[1:]) > 0.02
        if b.flaw is not None and b.flaw.kind in ("zeros", "spike", "stuck"):
            hours = np.flatnonzero(off) + 1
            assert b.flaw.first <= hours.min() // 24 <= hours.max() // 24 <= b.flaw.last
        if flawless or b.flaw.kind in ("outage_lost", "outage_late", "clock_jump"):
            assert not off.any()
        lost = b.flaw is not None and b.flaw.kind == "outage_lost"
        assert (b.arrival == NEVER).any() == lost


def test_goals_that_are_missed_are_told_and_the_table_has_them() -> None:
    score = Score()
    warned = Spell("Q0001", "quota_forecast_over", 3, 4)
    score.add(1, [building(limit=220.0)], 0, 10, [over(9), warned])
    report = {"sites": 1, "years": 2, "seeds": 1, "clock": "wall", "judged_days": None, **score.report()}
    report["limits_off"] = []
    assert missed(report) == []
    score.add(1, [building(limit=220.0)], 0, 10, [over(5, "retracted", 6)])
    report = {
        "sites": 1,
        "years": 2,
        "seeds": 1,
        "clock": "wall",
        "judged_days": None,
        **score.report(),
        "limits_off": ["1/Q0001"],
    }
    report["missed"] = missed(report)
    assert report["missed"] == [
        "quota_over: recall 0.5, want at least 0.98",
        "quota_forecast_over: recall 0.5, want at least 0.98",
        "1 retractions that nothing explains",
        "1 limits that are not what they truly are",
    ]
    assert missed({**report, "judged_days": 75})[1] == "1 retractions that nothing explains"
    table = quality_table(report)
    assert "days of warning, median: 6, confirmed 5" in table
    assert "quota_over after 1 d: none" in table
    assert "missed: quota_over: recall 0.5" in table
