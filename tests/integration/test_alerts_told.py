"""What sub-meters told of a silent total is used, and is not forecast again: at whatever speed the readings came."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from alerts.assess_set import Scope, assess_days
from alerts.frames import load_series
from alerts.parameter_file import shipped_parameters
from tests.integration.energy_support import Town
from tests.integration.test_derivation_totals import DAY, T0, derive, register, send, town_of

pytestmark = pytest.mark.integration

FIRST, LAST = date(2014, 4, 8), date(2014, 4, 24)


def assessed(town: Town, *, by_event: bool = True) -> dict[date, tuple[float, float]]:
    """As of each day what is used, and the forecast of the year."""
    scope = Scope(ZoneInfo("Asia/Shanghai"), shipped_parameters(), by_event)
    found = {}
    with town.superuser() as conn:
        for some in assess_days(conn, load_series(conn, ["A"]), FIRST, LAST, scope):
            for n in some.asked.nonzero()[0]:
                if some.series[some.rows.series[n]].item_code == "01":
                    day = some.days.day(some.rows.as_of[n])
                    found[day] = some.rows.used[n], some.rows.p50[n]
    return found


@pytest.mark.parametrize("minutes", [0, 20], ids=["readings at midnight", "readings around midnight"])
def test_a_silence_that_is_told_is_not_forecast(database, minutes):
    late = timedelta(minutes=minutes)

    def read(town: Town, code: str, first: int, end: int) -> None:
        town.read(
            f"m-{code}", [(T0 + timedelta(hours=h) + late, register(code, h)) for h in range(first, end)]
        )

    with town_of(database) as town:
        for code in ("light", "hvac"):
            read(town, code, 0, 60 * DAY)
        read(town, "total", 0, 60 * DAY)
        derive(town)
        want = assessed(town)
    with town_of(database) as town:
        for code in ("light", "hvac"):
            read(town, code, 0, 60 * DAY)
        read(town, "total", 0, 38 * DAY + 10)
        derive(town)
        told = assessed(town)
        for day, (used, p50) in assessed(town, by_event=False).items():
            assert (used, p50) == (
                pytest.approx(want[day][0], rel=2e-3),
                pytest.approx(want[day][1], rel=1e-2),
            )
        read(town, "total", 50 * DAY, 60 * DAY)
        derive(town)
        again = assessed(town)
    assert sorted(told) == sorted(want)
    for day, (used, p50) in told.items():
        assert (used, p50) == (pytest.approx(want[day][0], rel=2e-3), pytest.approx(want[day][1], rel=1e-2))
        if day < date(2014, 4, 21):
            assert again[day] == (pytest.approx(used), pytest.approx(p50)), day


def test_a_silence_of_which_an_hour_of_two_is_told_is_half_forecast(database):
    with town_of(database) as town:
        for code in ("light", "hvac"):
            send(town, code, range(50 * DAY))
        send(town, "total", range(50 * DAY))
        derive(town)
        want = assessed(town)
    with town_of(database) as town:
        send(town, "light", range(50 * DAY))
        send(town, "hvac", [h for h in range(50 * DAY) if h < 40 * DAY or h % DAY < 12])
        send(town, "total", range(40 * DAY))
        derive(town)
        found = assessed(town)
    day = date(2014, 4, 21)
    assert found[day][0] < want[day][0] - 1000
    assert found[day][1] == pytest.approx(want[day][1], rel=0.02)
