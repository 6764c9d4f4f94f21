"""Limits of quotas: what each method computes, and what it refuses to compute."""

from __future__ import annotations

from datetime import date

import pytest

from alerts.quota_limits import BaseYear, Limit, NoLimit, PeerMean, Terms, compute_limit, moved, peer_mean

GOOD = {2010: BaseYear(2010, 90.0, 0.95, True), 2011: BaseYear(2011, 110.0, 1.0, True)}


def value(result):
    assert isinstance(result, Limit), result
    return result.value


def test_a_value_that_is_given_is_taken_whatever_the_method():
    for method in ("manual", "base_year", "norm", "own_or_peers"):
        result = compute_limit(Terms(method, 123.5, (2011,), 6.0), {}, 0.9)
        assert value(result) == 123.5
        assert result.basis["given"] is True


def test_base_year_less_the_reduction():
    assert value(compute_limit(Terms("base_year", None, (2011,), 6.0), GOOD, 0.9)) == pytest.approx(103.4)


def test_mean_of_years():
    assert value(compute_limit(Terms("mean_years", None, (2010, 2011), None), GOOD, 0.9)) == 100.0


@pytest.mark.parametrize(
    ("uses", "word"),
    [
        ({}, "nothing is known"),
        ({2011: BaseYear(2011, 110.0, 0.89, True)}, "89.0%"),
        ({2011: BaseYear(2011, 110.0, 1.0, False)}, "has not ended"),
    ],
)
def test_no_limit_from_a_base_year_that_is_unknown_thin_or_running(uses, word):
    result = compute_limit(Terms("base_year", None, (2011,), 6.0), uses, 0.9)
    assert isinstance(result, NoLimit)
    assert word in result.reason


def test_the_smaller_of_own_use_and_the_peers():
    peers = PeerMean("A", 0.05, 3, date(2011, 12, 31))
    terms = Terms("own_or_peers", None, (2010, 2011), 10.0)
    result = compute_limit(terms, GOOD, 0.9, 1000.0, peers)
    assert value(result) == pytest.approx(45.0)
    assert result.basis["peers"]["as_of"] == "2011-12-31"
    assert value(compute_limit(terms, GOOD, 0.9, 1e6, peers)) == pytest.approx(90.0)
    assert isinstance(compute_limit(terms, GOOD, 0.9, None, peers), NoLimit)


def test_a_norm_is_refused_with_a_word_on_what_to_do():
    result = compute_limit(Terms("norm", None, (), None), {}, 0.9)
    assert isinstance(result, NoLimit)
    assert "limit_value" in result.reason


def test_peers_without_area_do_not_count():
    assert peer_mean("A", [(100.0, 10.0), (100.0, 0.0)], date(2011, 12, 31)).per_m2 == 10.0
    assert peer_mean("A", [], date(2011, 12, 31)) is None


def test_a_computed_limit_has_to_move_by_more_than_a_ten_thousandth():
    assert not moved(1_000_000.0, 1_000_100.0, 0.0001)
    assert moved(1_000_000.0, 1_000_101.0, 0.0001)
