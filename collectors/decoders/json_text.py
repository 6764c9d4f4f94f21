"""JSON read exactly: nothing is lost on the way, so that one bad value can be told from its neighbours.

Objects keep every key-value pair in order, doubled keys too. Numbers that no float can hold (NaN,
Infinity, 1e999, integers of thousands of digits) are kept as the text they came as.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

#: Every integer of so many digits is a finite float.
_SURE_DIGITS = 300


class Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, in order."""

    __slots__ = ()

    def get(self, key: str) -> list[Any]:
        """All values of a key."""
        return [v for k, v in self if k == key]


class OddNumber:
    """A number token that is not a finite float; `text` is the token."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _parse_float(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else OddNumber(text)


def _parse_int(text: str) -> Any:
    if len(text) <= _SURE_DIGITS or math.isfinite(float(text)):
        return int(text)
    return OddNumber(text)


_decoder = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_float=_parse_float, parse_int=_parse_int, parse_constant=OddNumber
)


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def number_in(text: str) -> Any:
    """The number that a text is, as JSON writes it (RFC 8259, 6); any other text as it came."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    return _parse_int(text) if found[1] is None and found[2] is None else _parse_float(text)


class NotJsonError(ValueError):
    """The bytes are not JSON; the message says why."""


def loads(data: bytes) -> Any:
    """Read JSON text (UTF-8, no byte order mark); NaN and Infinity are taken as OddNumber. Raises
    NotJsonError.
    """
    try:
        return _decoder.decode(data.decode())
    except UnicodeDecodeError as e:
        raise NotJsonError(f"not UTF-8 at byte {e.start}") from e
    except RecursionError as e:
        raise NotJsonError("nested too deeply") from e
    except ValueError as e:
        raise NotJsonError(f"not JSON: {e}") from e


_encode = json.JSONEncoder(allow_nan=False).encode


class _Raw(str):
    """Text that is JSON already."""

    __slots__ = ()


def dumps(value: Any) -> str:
    """JSON text of what `loads` gave, odd numbers as they came. ASCII, so half surrogates are escaped.

    Without recursion: what could be read can be written, however deep.
    """
    out: list[str] = []
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, _Raw):
            out.append(item)
        elif isinstance(item, OddNumber):
            out.append(item.text)
        elif isinstance(item, Pairs):
            todo.append(_Raw("}"))
            for i, (k, v) in reversed(list(enumerate(item))):
                todo += (v, _Raw(("," if i else "") + json.dumps(k) + ":"))
            out.append("{")
        elif isinstance(item, list):
            todo.append(_Raw("]"))
            for i, v in reversed(list(enumerate(item))):
                todo += (v, _Raw(",")) if i else (v,)
            out.append("[")
        else:
            out.append(_encode(item))
    return "".join(out)
