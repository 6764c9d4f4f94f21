"""The registry's types refuse what cannot be, and name all of it at once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metering.instants import from_us, parse_instant, to_us
from metering.meters import ImpossibleError, Installation, Interval, Reading, gateway_name_problem

NOON = datetime(2014, 3, 1, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)


def installation(**changed) -> Installation:
    return Installation(
        **{
            "meter": "m",
            "point_code": "p",
            "register": "1.8.0",
            "gateway": "g",
            "protocol": "json",
            "unit": "kWh",
            "digits": 6,
            "decimals": 2,
            "ratio": 1.0,
            "installed_at": NOON,
            **changed,
        }
    )


def test_naive_times_are_refused_everywhere():
    for make in (
        lambda: installation(installed_at=NAIVE),
        lambda: installation(removed_at=NAIVE),
        lambda: Reading("m", "1.8.0", NAIVE, 1.0),
        lambda: Interval(NAIVE, NAIVE, 1.0),
    ):
        with pytest.raises(ImpossibleError, match="has no offset"):
            make()


def test_every_problem_is_named_at_once():
    with pytest.raises(ImpossibleError) as caught:
        installation(register="x", digits=0, ratio=float("nan"), start_value=-1.0, gateway="a/b")
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_reading_of_a_cumulative_register_is_a_number_of_zero_or_more(value):
    with pytest.raises(ImpossibleError):
        Reading("m", "1.8.0", NOON, value)


def test_an_instant_register_may_be_negative():
    assert Reading("m", "16.7.0", NOON, -5.0).value == -5.0


def test_a_void_installation_covers_no_time():
    void = installation(removed_at=NOON)
    assert void.is_void
    assert void.span[0] == void.span[1]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a+", "#", "$SYS", "大楼", "x" * 65, "-a"])
def test_a_gateway_name_must_fit_a_topic_and_a_user_name(name):
    assert gateway_name_problem(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-03-01T00:15:00+08:00", datetime(2014, 2, 28, 16, 15, tzinfo=UTC)),
        ("2014-03-01 00:15:00Z", datetime(2014, 3, 1, 0, 15, tzinfo=UTC)),
        ("2014-03-01T00:15:00.1234567-00:30", datetime(2014, 3, 1, 0, 45, 0, 123456, tzinfo=UTC)),
    ],
)
def test_instants_are_read_with_their_offset(text, expected):
    assert parse_instant(text) == expected
    assert from_us(to_us(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2014-03-01T00:15:00",
        "2014-03-01",
        "2014-W09-6T00:00:00Z",
        "2014-03-01T24:00:00Z",
        "2014-13-01T00:00:00Z",
        "1393632000",
        "2014-03-01T00:15+08:00",
        "２０１４-03-01T00:15:00Z",
        "2014-03-01T00:15:00+25:00",
    ],
)
def test_other_forms_of_time_are_refused(text):
    with pytest.raises(ValueError, match="time"):
        parse_instant(text)
