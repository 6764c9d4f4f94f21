"""The report's charts and figures: what they say for years that are over, kept, empty or hardly measured."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from alerts.report_charts import band_shown, display_unit, months_chart, nice_ticks, number, pace_chart
from alerts.report_data import Assessed, Day, OpenedAlert, QuotaYear, limit_shape
from alerts.report_lines import lanes, spans_by_site

ZONE = ZoneInfo("Asia/Shanghai")


def days_of(year: int, kwh: float, completeness: float = 1.0) -> list[Day]:
    first = date(year, 1, 1)
    return [Day(first + timedelta(n), kwh, completeness) for n in range((date(year + 1, 1, 1) - first).days)]


def quota(days: list[Day], limit: float | None = 36_500.0, alert: date | None = None, **more) -> QuotaYear:
    used = 0.0
    assessments = []
    for d in days:
        used += d.consumption
        level = "over" if limit and used > limit else "normal"
        assessments.append(Assessed(d.day, used, limit, used, used * 1.1, used * 1.2, level, 1.0))
    at = datetime(2014, 1, 1, tzinfo=UTC)
    alerts = [OpenedAlert(1, "quota_forecast_over", "warning", "confirmed", at, alert)] if alert else []
    shape, years = limit_shape(days, 2014)
    given = {
        "site_code": "S1", "site_name": "S", "district_code": None, "floor_area_m2": None, "item_code": "01",
        "unit": "kWh", "year": 2014, "limit_value": limit, "source": "", "days": days, "assessments": assessments,
        "alerts": alerts, "shape": shape, "shape_years": years,
    }  # fmt: skip
    return QuotaYear(**(given | more))


def classes(svg: str) -> list[str]:
    """The class of every element; the picture is well-formed XML."""
    return [e.get("class", "") for e in ElementTree.fromstring(svg).iter()]


def test_a_year_over_its_limit_says_when_and_how_long_the_alert_was_ahead():
    q = quota(days_of(2014, 110.0), alert=date(2014, 3, 1))
    assert q.passed_on == date(2014, 11, 28)
    assert q.lead_days == (date(2014, 11, 28) - date(2014, 3, 1)).days
    drawn = classes(pace_chart(q))
    assert {"alert-dot", "passed-dot", "band", "limit", "pace", "used"} <= set(drawn)
    assert classes(months_chart(q)).count("bar over") == 12


def test_a_year_that_kept_its_limit_shows_the_forecast_of_midyear():
    q = quota(days_of(2014, 90.0))
    assert (q.passed_on, q.lead_days, q.first_alert) == (None, None, None)
    assert band_shown(q).as_of == date(2014, 6, 30)
    drawn = classes(pace_chart(q))
    assert "band" in drawn
    assert not {"alert-dot", "passed-dot"} & set(drawn)
    assert "bar over" not in classes(months_chart(q))


@pytest.mark.parametrize("limit", [None, 36_500.0])
def test_a_year_without_a_day_is_drawn_empty(limit):
    q = quota([], limit)
    assert classes(months_chart(q)).count("strip none") == 12
    assert "used" in classes(pace_chart(q))


def test_completeness_shows_by_month():
    q = quota([*days_of(2014, 10.0)[:59], *[Day(date(2014, 3, n), 10.0, 0.5) for n in range(1, 32)]])
    drawn = classes(months_chart(q))
    assert (drawn.count("strip full"), drawn.count("strip poor"), drawn.count("strip none")) == (2, 1, 9)


def test_the_limits_months_follow_well_measured_earlier_years_only():
    summer = [Day(d.day, 20.0 if d.day.month == 7 else 10.0, 1.0) for d in days_of(2012, 0.0)]
    poor = days_of(2013, 500.0, completeness=0.8)
    shape, years = limit_shape([*summer, *poor, *days_of(2014, 1.0)], 2014)
    assert years == [2012]
    assert sum(shape) == pytest.approx(1.0)
    assert shape[6] == pytest.approx(shape[7] * 2)


def test_without_a_year_to_follow_the_limit_is_shared_out_by_days():
    shape, years = limit_shape([], 2014)
    assert years == []
    assert shape[1] == pytest.approx(28 / 365)


@pytest.mark.parametrize("top", [0.0, 0.004, 1.0, 9.99, 10.0, 10.01, 99.0, 2590.0, 1e9])
def test_ticks_are_round_few_and_reach_the_top(top):
    ticks = nice_ticks(top)
    assert ticks[0] == 0
    assert ticks[-1] >= top
    assert 2 <= len(ticks) <= 7


def test_values_are_shown_in_a_unit_that_suits_them():
    assert display_unit("kWh", 500.0) == ("kWh", 1.0)
    assert display_unit("kWh", 2_000_000.0) == ("MWh", 1000.0)
    assert display_unit("tce", 2_000_000.0) == ("tce", 1.0)
    assert [number(v) for v in (2590.4, 45.67, 3.456)] == ["2,590", "45.7", "3.46"]


def test_the_time_line_has_a_lane_a_rule_and_a_bar_an_alert():
    at = datetime(2013, 2, 1, tzinfo=ZONE)
    rows = [
        {"site_code": "S1", "rule": rule, "severity": severity, "state": state, "subject": "S1/01/<2013>",
         "opened_at": at, "acknowledged_at": acknowledged, "resolved_at": ended}
        for rule, severity, state, acknowledged, ended in (
            ("night_load", "warning", "resolved", None, at + timedelta(days=30)),
            ("quota_over", "major", "acknowledged", at + timedelta(days=3), None),
            ("a_rule_of_others", "warning", "retracted", None, at + timedelta(days=400)),
        )
    ]  # fmt: skip
    found = lanes(spans_by_site(rows, ZONE)["S1"], datetime(2014, 7, 1, tzinfo=ZONE))
    assert [rule for rule, _ in found] == ["quota_over", "night_load", "a_rule_of_others", ""]
    strips = dict(found)
    assert 'class="acknowledged"' in strips["quota_over"]
    assert "2013-02-01 – …" in strips["quota_over"]
    assert "2013-02-01 – 2013-03-03" in strips["night_load"]
    assert "gone" in strips["a_rule_of_others"]
    assert "&lt;2013&gt;" in strips["night_load"]
    assert ">2013<" in strips[""]
    assert ">2014<" in strips[""]
    assert lanes([], at) == []
