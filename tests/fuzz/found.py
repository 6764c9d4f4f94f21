"""What was found, made smaller and written as the folder of a golden case, but for what is expected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from .chunks import Finding, bounded, end, try_one
from .inputs import RECEIVED_AT, Input, Message
from .targets import Target

#: Inputs that are tried to make a finding smaller.
_TRIES = 3000


def smaller(target: Target, found: Finding) -> Finding:
    """The finding with pieces left out as long as it stays the same finding."""
    tries = 0
    shrunk = True
    with bounded() as next_one:
        while shrunk:
            shrunk = False
            for given in _less(found.given):
                tries += 1
                if tries > _TRIES:
                    return found
                next_one()
                again = _again(target, given)
                if again is not None and again.what == found.what:
                    found, shrunk = again, True
                    break
    return found


def _again(target: Target, given: Input) -> Finding | None:
    result = try_one(target, given)
    put_off = end(target)
    return result if isinstance(result, Finding) else put_off


def _less(given: Input) -> Iterator[Input]:
    """The input with a message, properties or a stretch of a payload left out; large pieces first."""
    if len(given) > 1:
        for i in range(len(given)):
            yield given[:i] + given[i + 1 :]
    for i, message in enumerate(given):
        for p in range(len(message.properties)):
            kept = message.properties[:p] + message.properties[p + 1 :]
            yield (*given[:i], message._replace(properties=kept), *given[i + 1 :])
        for payload in _shorter(message.payload):
            yield (*given[:i], message._replace(payload=payload), *given[i + 1 :])


def _shorter(payload: bytes) -> Iterator[bytes]:
    size = len(payload)
    while size:
        size = (size + 1) // 2 if size > 1 else 0
        for at in range(0, len(payload) if size else 0, size or 1):
            yield payload[:at] + payload[at + size :]
        if size == 1:
            return


def write(found: Finding, folder: Path) -> Path:
    """Write the case's folder, which bears the target's name and a digest of the input; returns it."""
    digest = blake2b(repr(found.given).encode(), digest_size=4).hexdigest()
    words = "".join(c if c.isalnum() else "_" for c in found.what)
    case = folder / found.target / f"{words}_{digest}"
    case.mkdir(parents=True, exist_ok=True)
    (case / "found.txt").write_text(f"{found.what}\n\n{found.told}\n", encoding="utf-8")
    if len(found.given) == 1 and not found.given[0].topic:
        _write_message(found.given[0], case)
    else:
        _write_sequence(found.given, case)
    return case


def _write_message(message: Message, case: Path) -> None:
    try:
        message.payload.decode()
        (case / "input.json").write_bytes(message.payload)
    except UnicodeDecodeError:
        (case / "input.hex").write_text(message.payload.hex(" ") + "\n")
    told = {
        "gateway": "gw-1",
        "received_at": RECEIVED_AT,
        "user_properties": [list(p) for p in message.properties],
    }
    _write_json(case / "settings.json", told)


def _write_sequence(given: Input, case: Path) -> None:
    messages = [
        {"topic": m.topic, "payload": m.payload.hex()}
        | ({"user_properties": [list(p) for p in m.properties]} if m.properties else {})
        for m in given
    ]
    _write_json(case / "messages.json", {"received_at": RECEIVED_AT, "messages": messages})


def _write_json(file: Path, told: object) -> None:
    file.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
