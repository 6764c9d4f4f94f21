"""Signatures of webhooks, as Standard Webhooks 1.0 has them, so that receivers find ready-made libraries to check them.

    webhook-id: KEY                       the same at every repeat
    webhook-timestamp: 1700000000         of this attempt
    webhook-signature: v1,BASE64          HMAC-SHA256 over "KEY.TIMESTAMP.BODY"

Source: standardwebhooks.com, specification 1.0, "Signature scheme".
"""

from __future__ import annotations

import base64
import binascii
import hmac

from alerts.notify.tokens import derived_key

_PREFIX = "whsec_"


def signed_headers(secret: bytes, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt. Idempotency-Key says the same as webhook-id, to those who know that name."""
    return {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{_signature(secret, key, timestamp, body)}",
        "Idempotency-Key": key,
    }


def verify(
    secret: bytes, key: str, timestamp: str, signature: str, body: bytes, now: int, tolerance_s: int = 300
) -> bool:
    """Whether a call is genuine and fresh, as a receiver checks it. signature: one or more, separated by blanks."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > tolerance_s:
        return False
    wanted = f"v1,{_signature(secret, key, int(timestamp), body)}".encode()
    return any(hmac.compare_digest(wanted, found.encode()) for found in signature.split(" "))


def target_secret(secret: bytes, address: str) -> bytes:
    """The secret that calls of an address of the registry are signed with, where no setting gives it one."""
    return derived_key(secret, f"webhook v1 {address}")


def secret_text(secret: bytes) -> str:
    """A secret as receivers' libraries want it: whsec_BASE64."""
    return _PREFIX + base64.b64encode(secret).decode()


def read_secret(text: str) -> bytes:
    """A secret as a person wrote it: whsec_BASE64, else its own bytes. Raises ValueError where it is too short."""
    if text.startswith(_PREFIX):
        try:
            secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error as e:
            raise ValueError("what follows whsec_ is no base64") from e
    else:
        secret = text.encode()
    if len(secret) < 16:
        raise ValueError("a secret wants 16 bytes at least")
    return secret


def _signature(secret: bytes, key: str, timestamp: int, body: bytes) -> str:
    signed = f"{key}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
