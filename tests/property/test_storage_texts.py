"""Whatever a gateway says, what goes into SQL is text, numbers and times that PostgreSQL holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.texts import KEY_LENGTH, finite_or_none, int8_or_none, key_text, storable, time_or_none

anything = st.text(st.characters(codec=None, exclude_categories=())) | st.text()


@given(anything)
def test_text_is_utf8_without_nul_and_unchanged_where_it_can_be(text):
    kept = storable(text)
    assert "\x00" not in kept
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert len(key_text(text * 50)) <= KEY_LENGTH
    if kept != text:
        assert "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text)


@given(st.integers(), st.floats())
def test_numbers_are_kept_where_their_columns_hold_them(number, real):
    assert int8_or_none(number) in (None, number)
    assert (int8_or_none(number) is None) == (not -(2**63) <= number < 2**63)
    assert (finite_or_none(real) is None) == (real - real != 0)


@given(st.integers(-(2**70), 2**70))
def test_times_outside_the_calendar_are_none(us):
    moment = time_or_none(us)
    assert moment is None or moment.utcoffset().total_seconds() == 0
