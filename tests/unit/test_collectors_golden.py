"""Golden payloads: what each decoder makes of given bytes. A new case is a new folder and needs no code.

tests/golden/<decoder>/<case>/: input.* (the payload; input.hex: bytes as hexadecimal digits, # begins a
comment), settings.json (gateway, received_at, user_properties), expected.json (readings, rejected with reason
and payload, outbox, seq, and failure: the reason if nothing could be decoded). Beside input.hex the payload of
a reject is in hexadecimal digits, too. tests/golden/<any name>/format.toml declares a vendor's format for the
cases beside it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collectors.decoders import native_json
from collectors.decoders.base import Decoded, Decoder
from collectors.decoders.declared_formats import load_format
from collectors.routes import DECODERS

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(p.parent for p in GOLDEN.glob("*/*/expected.json"))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def iso(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def payload_of(folder: Path) -> bytes:
    [file] = folder.glob("input.*")
    if file.suffix != ".hex":
        return file.read_bytes()
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in file.read_text().splitlines()))


def decoder_of(folder: Path) -> Decoder:
    declared = folder.parent / "format.toml"
    return load_format(declared).decode if declared.exists() else DECODERS[folder.parent.name]


def described(decoded: Decoded, binary: bool) -> dict[str, Any]:
    readings = [
        {"meter": m, "register": r, "ts": iso(t), "value": v} | ({"correction": True} if c else {})
        for m, r, t, v, c in native_json.pieces(decoded)
    ]
    out: dict[str, Any] = {
        "readings": readings,
        "rejected": [
            {"reason": r.reason, "payload": r.payload.hex(" ") if binary else r.payload.decode()}
            for r in decoded.rejected
        ],
        "outbox": decoded.outbox,
        "seq": decoded.seq,
    }
    if decoded.sent_us is not None:
        out["sent_at"] = iso(decoded.sent_us)
    if decoded.failure is not None:
        out["failure"] = decoded.failure[0]
    return out


@pytest.mark.parametrize("folder", CASES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_payload_is_decoded_as_agreed(folder: Path) -> None:
    given = json.loads((folder / "settings.json").read_text())
    decoded = decoder_of(folder)(
        given["gateway"],
        payload_of(folder),
        tuple((k, v) for k, v in given["user_properties"]),
        microseconds(given["received_at"]),
    )
    binary = (folder / "input.hex").exists()
    assert described(decoded, binary) == json.loads((folder / "expected.json").read_text())
    for r in decoded.rejected:
        assert r.detail


def test_every_decoder_has_golden_payloads() -> None:
    folders = {p.parent for p in CASES}
    assert {f.name for f in folders if not (f / "format.toml").exists()} == set(DECODERS)
