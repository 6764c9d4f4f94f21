"""What goes wrong with the database, as types: away (wait and try again) is not the same as in each other's
way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from metering.errors import DependencyAwayError

#: Two transactions were in each other's way; the same one again will do.
TRY_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)

#: What else than psycopg's OperationalError means "not now": we slept in a transaction; a stand-by took over.
_NOT_NOW = (errors.IdleInTransactionSessionTimeout, errors.ReadOnlySqlTransaction)


class DatabaseAwayError(DependencyAwayError):
    """The database cannot be reached, is shutting down, or is out of room. Nothing is lost: try again
    later.
    """


@contextmanager
def away_as_typed() -> Iterator[None]:
    """Turn psycopg's errors that mean "not now" into DatabaseAwayError; those of TRY_AGAIN pass."""
    try:
        yield
    except TRY_AGAIN:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError, *_NOT_NOW) as e:
        raise DatabaseAwayError(
            f"the database cannot take anything now: {str(e).strip()}; is it up (nengliu status), "
            "does NENGLIU_DATABASE_URL point at it?"
        ) from e
