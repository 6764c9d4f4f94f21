"""Limits of quotas: what each method computes, and what it refuses to compute."""

from __future__ import annotations

from datetime import date

import pytest

from alerts.percentiles import PeerGroup, PercentileRule, peer_group
from alerts.quota_limits import BaseYear, Limit, NoLimit, Place, Terms, compute_limit, moved

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


def test_base_years_without_any_use_give_no_limit_of_zero():
    none = {2011: BaseYear(2011, 0.0, 1.0, True)}
    result = compute_limit(Terms("base_year", None, (2011,), 6.0), none, 0.9)
    assert isinstance(result, NoLimit)


def test_the_smaller_of_own_use_and_the_peers():
    peers = PeerGroup("A", (0.04, 0.05, 0.06), date(2011, 12, 31))
    terms = Terms("own_or_peers", None, (2010, 2011), 10.0)
    result = compute_limit(terms, GOOD, 0.9, Place("A", 1000.0), peers)
    assert value(result) == pytest.approx(45.0)
    assert result.basis["peers"] == {
        "building_type": "A", "per_m2": pytest.approx(0.05), "sites": 3, "as_of": "2011-12-31",
        "floor_area_m2": 1000.0, "smaller": "peers",
    }  # fmt: skip
    own = compute_limit(terms, GOOD, 0.9, Place("A", 1e6), peers)
    assert value(own) == pytest.approx(90.0)
    assert (own.basis["peers"]["floor_area_m2"], own.basis["peers"]["smaller"]) == (1e6, "own")
    assert isinstance(compute_limit(terms, GOOD, 0.9, Place("A", None), peers), NoLimit)


def by_norm(norm=None, building_type="A", area=1000.0, reduction=None, item="01"):
    terms = Terms("norm", None, (), reduction, norm, item)
    return compute_limit(terms, {}, 0.9, Place(building_type, area))


@pytest.mark.parametrize(
    ("norm", "building_type", "per_m2"),
    [
        ("government_office_A", "A", 55),
        ("commercial_office_B", "A", 80),
        ("commercial_office_B;guide", "A", 60),
        ("guide; hotel_5star_B", "C", 75),
        ("supermarket_B", "B", 170),
    ],
)
def test_a_norm_is_floor_area_times_its_value(norm, building_type, per_m2):
    result = by_norm(norm, building_type)
    assert value(result) == per_m2 * 1000.0
    said = result.basis["norm"]
    assert (said["norm"] in norm, said["per_m2"], said["floor_area_m2"]) == (True, per_m2, 1000.0)
    assert "GB/T 51161" in said["source"]
    assert said["confidence"].startswith("memory")


def test_a_norm_less_the_reduction():
    assert value(by_norm("supermarket_B", "B", reduction=10.0)) == pytest.approx(153_000.0)


def test_corrections_are_of_what_is_measured_so_the_limit_is_divided_by_them():
    # T = 5000 h: 0.3 + 0.7 x 2500 / 5000 = 0.65; S = 20 m2: 0.7 + 0.3 x 20 / 10 = 1.3
    result = by_norm("commercial_office_B;hours=5000;m2_per_person=20")
    assert value(result) == pytest.approx(80_000 / (0.65 * 1.3))
    assert result.basis["correction"] == {
        "hours": 5000.0, "m2_per_person": 20.0, "factor": pytest.approx(0.845),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("norm", "building_type", "area", "item", "word"),
    [
        (None, "A", 1000.0, "01", "several norms"),
        (None, "D", 1000.0, "01", "no norm of building type D"),
        ("hotel_5star_A", "A", 1000.0, "01", "not of building type A"),
        ("hotel_5star_A", None, 1000.0, "01", "no building type"),
        ("hotel_5star_A", "C", None, "01", "floor area"),
        ("hotel_5star_A", "C", 1000.0, "04", "item 01"),
    ],
)
def test_a_norm_that_cannot_be_applied_says_why(norm, building_type, area, item, word):
    result = by_norm(norm, building_type, area, item=item)
    assert isinstance(result, NoLimit)
    assert word in result.reason


RULE = PercentileRule(True, 5.0, 5.0, 2.0)
#: Forty peers: two at each end are 5%.
RATES = tuple(float(n) for n in range(1, 41))


@pytest.mark.parametrize(
    ("own", "percent", "band", "rank"),
    [
        (1, 0.0, "best", 1),
        (2, 0.0, "best", 2),
        (3, 6.0, "middle", 3),
        (39, 8.0, "worst", 39),
        (40, 8.0, "worst", 40),
    ],
)
def test_the_best_are_exempt_and_the_worst_are_cut_by_more(own, percent, band, rank):
    group = PeerGroup("A", RATES, date(2011, 12, 31))
    uses = {2011: BaseYear(2011, own * 10.0, 1.0, True)}
    terms = Terms("base_year", None, (2011,), 6.0)
    result = compute_limit(terms, uses, 0.9, Place("A", 10.0), group, RULE)
    assert value(result) == pytest.approx(own * 10.0 * (1 - percent / 100))
    said = result.basis["percentile"]
    assert (said["band"], said["rank"], said["sites"], said["as_of"]) == (band, rank, 40, "2011-12-31")
    off = compute_limit(terms, uses, 0.9, Place("A", 10.0), group)
    assert value(off) == pytest.approx(own * 9.4)
    assert "percentile" not in off.basis


def test_peers_without_area_do_not_count():
    assert peer_group("A", [(100.0, 10.0), (100.0, 0.0)], date(2011, 12, 31)).mean == 10.0
    assert peer_group("A", [], date(2011, 12, 31)) is None


def test_a_computed_limit_has_to_move_by_more_than_a_ten_thousandth():
    assert not moved(1_000_000.0, 1_000_100.0, 0.0001)
    assert moved(1_000_000.0, 1_000_101.0, 0.0001)


def test_an_operators_file_turns_the_percentiles_on(tmp_path):
    from alerts.parameter_file import ParameterFileError, read_parameters

    file = tmp_path / "own.toml"
    file.write_text("[percentiles]\nenabled = true\n[months]\nmargin = 0.2\n", encoding="utf-8")
    read = read_parameters(file)
    assert not read_parameters(None).limits.percentiles.enabled
    assert (read.limits.percentiles.enabled, read.limits.percentiles.best_percent) == (True, 5)
    assert (read.months.margin, read.months.min_completeness) == (0.2, 0.9)
    file.write_text("[percentiles]\nbest = 5\n", encoding="utf-8")
    with pytest.raises(ParameterFileError, match=r"percentiles\.best is not known"):
        read_parameters(file)
