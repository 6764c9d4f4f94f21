"""`bench assess`: which goals count as missed."""

from __future__ import annotations

import pytest

from deploy.bench.assess import AssessBench, missed

GOOD = {"changed_share": 0.02, "mail_p95_s": 60.0, "wrong": {"not_assessed": 0, "no_alert": 0}}


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"changed_share": 0.021}, "changed_share 0.021, want at most 0.02"),
        ({"mail_p95_s": 61.5}, "mail_p95_s 61.5, want at most 60"),
        ({"wrong": {"not_assessed": 3, "no_alert": 0}}, "wrong: not_assessed 3"),
    ],
)
def test_what_is_beyond_a_goal_or_wrong_is_told(figures: dict, text: str) -> None:
    assert missed(GOOD) == []
    assert missed({**GOOD, **figures}) == [text]


def test_a_share_of_the_city_has_a_share_of_the_changes_but_never_none() -> None:
    assert (AssessBench.scaled(0.5).sites, AssessBench.scaled(0.5).changed) == (5629, 50)
    assert (AssessBench.scaled(0.0001).sites, AssessBench.scaled(0.0001).changed) == (4, 1)
