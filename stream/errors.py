"""What can go wrong with a record, as types."""

from __future__ import annotations

from metering.errors import NengliuError


class CodecError(NengliuError):
    """A record's bytes are not what its topic promises; the record belongs in the dead letters."""


class UnknownVersionError(CodecError):
    """A record was written by a newer version of the house than this one reads."""


class RecordTooLargeError(NengliuError):
    """A record is larger than the topic takes; nothing was sent."""


class ProducerFailedError(NengliuError):
    """Kafka refused a record for good, or the producer is dead: it must be made anew; the record's fate is
    not known.
    """
