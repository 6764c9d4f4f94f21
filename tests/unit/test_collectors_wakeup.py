"""A thread that waits is woken by every call that comes after it last looked."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from collectors.wakeup import WakeUp


@pytest.fixture
def wake_up() -> Iterator[WakeUp]:
    made = WakeUp()
    yield made
    made.close()


def rings(wake_up: WakeUp) -> bool:
    return bool(select.select([wake_up], [], [], 0)[0])


def test_it_rings_once_called_until_heard(wake_up):
    assert not rings(wake_up)
    wake_up.call()
    wake_up.call()
    assert rings(wake_up)
    wake_up.hear()
    assert not rings(wake_up)
    wake_up.call()
    assert rings(wake_up)


def test_a_call_while_it_is_being_heard_does_not_silence_those_after_it(wake_up):
    """Between the steps of `hear` another thread may call at any point."""
    reader = wake_up._reader

    class CalledMeanwhile:
        def recv(self, size: int) -> bytes:
            wake_up.call()
            try:
                return reader.recv(size)
            finally:
                wake_up.call()

    wake_up.call()
    wake_up._reader = CalledMeanwhile()  # type: ignore[assignment]
    wake_up.hear()
    wake_up._reader = reader
    while rings(wake_up):
        wake_up.hear()
    wake_up.call()
    assert rings(wake_up)


def test_hearing_nothing_and_calling_what_is_closed_do_no_harm():
    wake_up = WakeUp()
    wake_up.hear()
    wake_up.close()
    wake_up.call()
