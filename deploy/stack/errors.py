"""Errors of the local stack; each says what to do next."""

from __future__ import annotations

from metering.errors import NengliuError


class StackError(NengliuError):
    """The local stack cannot do what was asked; the message says what to do."""


class InstallError(StackError):
    """A program could not be installed; the message says what is missing and how to get it."""
