"""Which rules judge a register: a point's beat a model's, these the longest item's, these what is shipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.meters import ImpossibleError
from metering.rules import RuleBook, Rules, RuleSetting, rule_names, rules_from

SETTINGS = [
    RuleSetting("item", "01", "rated_margin", 3.0),
    RuleSetting("item", "01B", "rated_margin", 4.0),
    RuleSetting("item", "01B", "still_days", 60.0),
    RuleSetting("model", "DTS", "rated_margin", 5.0),
    RuleSetting("point", "P", "rated_margin", 6.0),
    RuleSetting("point", "Q", "rated_margin", None),
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("02", None, "X"), Rules()),
        (("01", None, "X"), Rules(rated_margin=3.0)),
        (("01A", None, "X"), Rules(rated_margin=3.0)),
        (("01B1", None, "X"), Rules(rated_margin=4.0, still_days=60.0)),
        (("01B1", "DTS", "X"), Rules(rated_margin=5.0, still_days=60.0)),
        (("01B1", "DTS", "P"), Rules(rated_margin=6.0, still_days=60.0)),
        (("02", "DTS", "P"), Rules(rated_margin=6.0)),
        (("01", None, "Q"), Rules(rated_margin=3.0)),
    ],
)
def test_each_parameter_comes_from_the_strongest_place_that_sets_it(asked, expected):
    assert RuleBook(SETTINGS).of(*asked) == expected


ITEMS = ("01", "01A", "01B", "01B1", "02")
settings = st.builds(
    RuleSetting,
    st.just("item"),
    st.sampled_from(ITEMS),
    st.sampled_from(rule_names()),
    st.integers(1, 9).map(float),
) | st.builds(
    RuleSetting,
    st.sampled_from(["model", "point"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(rule_names()),
    st.none() | st.integers(1, 9).map(float),
)


@given(
    st.lists(settings, unique_by=lambda s: (s.scope, s.key, s.rule)),
    st.sampled_from(ITEMS),
    st.none() | st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["a", "b", "c"]),
    st.randoms(),
)
def test_the_order_of_settings_decides_nothing_and_every_parameter_is_set_or_shipped(
    found, item, model, point, chance
):
    rules = RuleBook(found).of(item, model, point)
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert RuleBook(shuffled).of(item, model, point) == rules
    ranks = {("item", item[:n]): n for n in range(2, 6)} | {("model", model): 8, ("point", point): 9}
    for name in rule_names():
        here = [s for s in found if s.rule == name and s.value is not None and (s.scope, s.key) in ranks]
        strongest = max(here, key=lambda s: ranks[s.scope, s.key], default=None)
        assert getattr(rules, name) == (strongest.value if strongest else getattr(Rules(), name))


@pytest.mark.parametrize("values", [{"margin": 2.0}, {"rated_margin": 0.0}, {"still_days": float("nan")}])
def test_unknown_names_and_values_that_cannot_be_are_refused(values):
    with pytest.raises(ImpossibleError):
        rules_from(values)
