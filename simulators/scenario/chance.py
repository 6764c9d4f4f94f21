"""Random numbers that depend on what they are for and not on when they are asked: the same in a run that is resumed."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*purpose: object) -> np.random.Generator:
    """A generator of its own for a purpose, the same each time."""
    digest = hashlib.blake2b("/".join(map(str, purpose)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def chance(*purpose: object) -> float:
    """A number in 0..1 for a purpose, evenly spread."""
    digest = hashlib.blake2b("/".join(map(str, purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
