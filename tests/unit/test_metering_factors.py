"""The shipped conversion factors: each says where it comes from, and none overlaps another."""

from __future__ import annotations

from itertools import combinations

import pytest

from metering.factors import QUANTITIES, shipped_factors
from metering.items import item_table


def test_every_factor_names_a_carrier_a_quantity_a_source_and_how_far_it_can_be_trusted():
    for f in shipped_factors():
        assert len(f.item_code) == 2
        assert f.item_code in item_table()
        assert f.quantity in QUANTITIES
        assert f.value > 0
        assert f.source
        assert f.confidence


def test_factors_from_memory_say_so():
    assert all("memory" in f.confidence for f in shipped_factors() if "memory" in f.source)


def test_units_are_tonnes_per_unit_of_the_item():
    for f in shipped_factors():
        tonnes, per = f.unit.split("/")
        assert per == item_table()[f.item_code].unit
        assert tonnes == ("tCO2" if f.quantity == "tco2" else "tce")


def test_no_two_versions_of_a_factor_hold_at_the_same_time():
    for a, b in combinations(shipped_factors(), 2):
        if (a.item_code, a.quantity) == (b.item_code, b.quantity):
            assert (a.valid_to or b.valid_from) <= b.valid_from or (
                b.valid_to or a.valid_from
            ) <= a.valid_from


def test_electricity_has_both_values_and_they_differ():
    """City totals use the equivalent value (等价), the other is calorific (当量)."""
    found = {f.quantity: f.value for f in shipped_factors() if f.item_code == "01"}
    assert found["tce_calorific"] == pytest.approx(0.0001229)
    assert 0.00028 <= found["tce"] <= 0.0003
