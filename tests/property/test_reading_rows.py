"""Rows of files: none makes the decoder raise, each is a reading or a reject, and times are what the calendar says."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.decoders import native_json
from collectors.decoders.json_text import dumps, number_in
from collectors.decoders.reading_rows import Row, decode_rows, kind_of_time

NOW_US = 1_700_000_000_000_000
LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TIMES = st.datetimes(datetime.fromisoformat("2000-01-02"), datetime.fromisoformat("2023-11-13"))
CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=70),
    st.sampled_from(
        ["m1", "1.8.0", "16.7.0", "1", "-0.0", "1e999", "NaN", "true", "2014-03-01T00:00:00Z", "24:00"]
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False),
    TIMES,
    st.datetimes(timezones=st.just(UTC)),
)
ROWS = st.lists(st.builds(Row, st.integers(1), st.lists(CELLS, min_size=5, max_size=7)), max_size=8)


@given(ROWS, st.sampled_from([None, LONDON]))
@example([Row(1, ["m1", "1.8.0", datetime.fromisoformat("9999-12-31"), 1.0, None])], LONDON)
@example([Row(1, ["m1", "1.8.0", datetime.fromisoformat("0001-01-01"), 1.0, None])], LONDON)
@example([Row(1, ["m1", "1.8.0", "9999-12-31T23:59:59", Decimal("1e999"), None])], LONDON)
def test_every_row_is_a_reading_or_a_reject_and_none_raises(rows, zone):
    out = decode_rows(rows, zone, NOW_US)
    assert sorted([*out.rows, *(r.index for r in out.rejected)]) == list(range(len(rows)))
    lengths = {
        len(c) for c in (out.columns.meters, out.columns.registers, out.columns.ts_us, out.columns.values)
    }
    assert lengths == {len(out.rows)}
    assert all(math.isfinite(v) for v in out.columns.values)
    assert all(r.reason and r.detail for r in out.rejected)


@given(TIMES, st.integers(-14 * 60, 14 * 60), st.sampled_from("T "))
def test_a_time_with_offset_is_its_moment(local, minutes, between):
    aware = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (aware - EPOCH) // timedelta(microseconds=1)
    for ts in (aware, aware.isoformat(sep=between)):
        out = decode_rows([Row(2, ["m1", "1.8.0", ts, "1", ""])], None, NOW_US)
        assert out.columns.ts_us == [expected]
        assert kind_of_time(ts) == kind_of_time(aware)


@given(TIMES)
@example(datetime.fromisoformat("2014-03-30T01:30"))
@example(datetime.fromisoformat("2014-10-26T01:30"))
def test_a_local_time_is_a_moment_where_the_clocks_show_it_once(local):
    moments = {
        m
        for m in (local.replace(tzinfo=LONDON, fold=f).astimezone(UTC) for f in (0, 1))
        if m.astimezone(LONDON).replace(tzinfo=None) == local
    }
    for ts in (local, local.isoformat(), local.isoformat(sep=" ")):
        out = decode_rows([Row(2, ["m1", "1.8.0", ts, "1", None])], LONDON, NOW_US)
        if len(moments) == 1:
            assert out.columns.ts_us == [(moments.pop() - EPOCH) // timedelta(microseconds=1)]
            moments.add(EPOCH + timedelta(microseconds=out.columns.ts_us[0]))
        else:
            [reject] = out.rejected
            assert reject.reason == "bad_timestamp"
            assert ("twice" if moments else "skip") in reject.detail


@given(st.sampled_from(["1.8.0", "16.7.0", "9.9.9"]), st.one_of(st.floats().map(repr), st.text(max_size=9)))
@example("1.8.0", "-1")
@example("16.7.0", "-1")
def test_values_are_judged_as_in_a_message(register, text):
    row = decode_rows([Row(2, ["m1", register, "2014-03-01T00:00:00Z", text, ""])], None, NOW_US)
    value = dumps(number_in(text))
    message = f'{{"v":1,"readings":[{{"meter":"m1","ts":"2014-03-01T00:00:00Z","values":{{"{register}":{value}}}}}]}}'
    native = native_json.decode("gw", message.encode(), (), NOW_US)
    assert row.columns.values == native.values
    assert [(r.reason, r.detail) for r in row.rejected] == [(r.reason, r.detail) for r in native.rejected]


@pytest.mark.parametrize(
    ("cell", "correction"),
    [("", False), (None, False), ("0", False), ("False", False), ("1", True), ("TRUE", True), (True, True)],
)
def test_a_correction_is_said_in_these_ways(cell, correction):
    out = decode_rows([Row(2, ["m1", "1.8.0", 1_393_603_200, 1, cell])], None, NOW_US)
    assert out.columns.corrections == [correction]
