"""Messages that a person accepts as lost: a gap in an outbox's numbers that nobody will fill any more."""

from __future__ import annotations

from typing import Any

import psycopg

from metering.errors import InputFileError
from storage.sequences import Run
from storage.sql import query


class NothingMissingError(InputFileError):
    """The outbox is not known, or nothing of it is missing that is not accepted yet."""


def accept_loss(
    connection: psycopg.Connection[Any], gateway: str, outbox: str | None, by: str, note: str
) -> list[Run]:
    """Accept all that is missing of an outbox (None: messages that name none) as lost; the numbers, first to last.

    They stay missing in the ledger and named in `reconcile`, but no longer keep their day open, and the finding of
    them is accepted. What comes after all is taken in as ever; a new gap is a new matter. Raises NothingMissingError.
    """
    about = {"gateway": gateway, "outbox": outbox, "by": by, "note": note}
    with connection.transaction():
        lost: list[Run] = connection.execute(query("loss_accept"), about).fetchall()
        if not lost:
            raise NothingMissingError(
                [f"nothing is missing of {subject_of(gateway, outbox)}; `nengliu reconcile` names what is"]
            )
        connection.execute(query("loss_finding"), {**about, "subject": subject_of(gateway, outbox)})
    return sorted(lost)


def subject_of(gateway: str, outbox: str | None) -> str:
    """How findings and people name an outbox."""
    return f"{gateway}/{outbox or '-'}"
