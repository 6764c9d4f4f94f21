"""The error tree of the house and the reason codes of rejected input."""

from __future__ import annotations

from enum import StrEnum


class NengliuError(Exception):
    """Base of every error that a person can act on. The message says what is wrong and what to do next."""


class SettingError(NengliuError):
    """A setting is wrong or missing; the message names it."""


class InputFileError(NengliuError):
    """A file that a person handed in cannot be used; every problem is named by file and line.

    `problems` is a list of ``"sites.csv:3: …"`` lines, at least one.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DependencyAwayError(NengliuError):
    """A server is not to be reached; the message names it and the setting that points at it."""


class RejectReason(StrEnum):
    """Why an input value, or a whole message, could not be used. The list is open: new codes break nothing."""

    MALFORMED = "malformed"
    UNKNOWN_VERSION = "unknown_version"
    TOO_LARGE = "too_large"
    BAD_TIMESTAMP = "bad_timestamp"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    BAD_VALUE = "bad_value"
    UNKNOWN_REGISTER = "unknown_register"
    UNKNOWN_ALIAS = "unknown_alias"
    UNKNOWN_METER = "unknown_meter"
    UNAUTHORIZED = "unauthorized"
    OLDER_THAN_RETENTION = "older_than_retention"
    RATE_LIMITED = "rate_limited"
    BAD_CHECKSUM = "bad_checksum"
    TRUNCATED_FRAME = "truncated_frame"
    BAD_BCD = "bad_bcd"
    BAD_UNIT = "bad_unit"
    ERROR_ANSWER = "error_answer"
    NOT_AN_ANSWER = "not_an_answer"
    JUNK = "junk"
    DECODER_FAULT = "decoder_fault"
