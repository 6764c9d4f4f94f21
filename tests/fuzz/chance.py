"""Cheap draws from a seeded generator. `randrange` costs ten times as much, and there are dozens in an input."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def below(rng: Random, n: int) -> int:
    """A number from 0 up to, not including, n."""
    return int(rng.random() * n)


def pick(rng: Random, some: Sequence[T]) -> T:
    """One of them."""
    return some[int(rng.random() * len(some))]


def few(rng: Random, most: int) -> int:
    """1 to `most`, mostly 1 or 2."""
    return 1 + int(rng.random() * rng.random() * most)
