"""The pictures of docs/energy.md show what the code does."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.energy_pictures import FOLDER, T0, cases, derive, draw
from metering.spans import HOUR_US

NAMES = [case.name for case in cases()]


@pytest.mark.parametrize("case", cases(), ids=NAMES)
def test_a_picture_is_what_is_drawn_today(case):
    """Else: python -m deploy.energy_pictures, and read docs/energy.md again."""
    assert (FOLDER / f"energy-{case.name}.svg").read_text(encoding="utf-8") == draw(case)


@pytest.mark.parametrize("page", ["energy.md", "energy.zh.md"])
def test_the_pages_show_every_picture(page):
    text = (FOLDER.parent / page).read_text(encoding="utf-8")
    assert [name for name in NAMES if f"images/energy-{name}.svg" not in text] == []


@pytest.mark.parametrize(
    "case", [c for c in cases() if c.name not in ("reset", "unread")], ids=lambda c: c.name
)
def test_no_energy_is_lost_or_made_in_a_case_that_the_register_bounds(case):
    hours = derive(case).hours
    drawn = (hours.hour_us >= T0 + case.first * HOUR_US) & (hours.hour_us < T0 + case.last * HOUR_US)
    assert hours.consumption[drawn].sum() == pytest.approx(
        sum(map(case.truth, range(case.first, case.last))), abs=0.11
    )


def test_a_reset_loses_the_step_across_it_and_no_more():
    case = next(c for c in cases() if c.name == "reset")
    hours = derive(case).hours
    at = ((hours.hour_us - T0) // HOUR_US).tolist()
    missing = [h for h in range(case.first, case.last) if h not in at]
    assert missing == [35 * 24 + 29]
    assert np.all(hours.estimated == 0)
