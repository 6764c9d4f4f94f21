"""Random numbers that depend on what they are for and not on when they are asked: the same in a run that is resumed."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def key(*purpose: object) -> int:
    """A 64-bit key of a purpose: of a seed, a code, a word."""
    text = "\x1f".join(map(str, purpose)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def generator(*purpose: object) -> np.random.Generator:
    """A generator of its own for a purpose, the same each time."""
    return np.random.Generator(np.random.Philox(key=key(*purpose)))


def chance(*purpose: object) -> float:
    """A number in 0..1 for a purpose, evenly spread."""
    return key(*purpose) / 2**64
