"""Links that cannot be forged: a token names an alert, the notification it was sent with, and when it expires.

    token = base64url(version, alert_id, notification_id, expires) "." base64url(HMAC-SHA256 of that)

Each use has a key of its own, derived from the one secret, so that a signature made for one says nothing to another.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from metering.errors import NengliuError

_VERSION = 1
_BODY = struct.Struct(">BqqI")
_LONGEST = 120


class BadTokenError(NengliuError):
    """A link that was not made here, or was changed on the way."""


class ExpiredTokenError(NengliuError):
    """A link that was made here, and whose time is over."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says. The notification knows whom it was sent to; expires: whole seconds, aware."""

    alert_id: int
    notification_id: int
    expires: datetime


def derived_key(secret: bytes, use: str) -> bytes:
    """The key of one use of the secret."""
    return hmac.digest(secret, f"nengliu {use}".encode(), "sha256")


def make_token(secret: bytes, link: Link) -> str:
    """The token of a link; ASCII that needs no quoting in a URL."""
    body = _BODY.pack(_VERSION, link.alert_id, link.notification_id, int(link.expires.timestamp()))
    return f"{_text(body)}.{_text(_signature(secret, body))}"


def read_token(secret: bytes, token: str, now: datetime) -> Link:
    """The link that a token stands for. Raises BadTokenError, ExpiredTokenError."""
    body_text, _, signature = token.partition(".")
    try:
        body, signed = _bytes(body_text), _bytes(signature)
        if len(token) > _LONGEST or token != f"{_text(body)}.{_text(signed)}":  # one token has one form
            raise BadTokenError("this link was not made here")
    except (binascii.Error, ValueError) as e:
        raise BadTokenError("this link was not made here") from e
    if not hmac.compare_digest(signed, _signature(secret, body)) or len(body) != _BODY.size:
        raise BadTokenError("this link was not made here")
    version, alert_id, notification_id, expires = _BODY.unpack(body)
    if version != _VERSION:
        raise BadTokenError("this link was not made here")
    link = Link(alert_id, notification_id, datetime.fromtimestamp(expires, UTC))
    if now >= link.expires:
        raise ExpiredTokenError("this link has expired")
    return link


def form_key(secret: bytes, token: str) -> str:
    """What the form of a link's page carries, so that only somebody who was shown the page can send it."""
    return _text(hmac.digest(derived_key(secret, "page form v1"), token.encode(), "sha256"))


def is_form_key(secret: bytes, token: str, found: str) -> bool:
    """Whether `found` is the form key of the link's page."""
    return hmac.compare_digest(form_key(secret, token).encode(), found.encode())


def _signature(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(derived_key(secret, "page link v1"), body, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
