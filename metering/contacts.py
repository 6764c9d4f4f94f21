"""Addresses that a contact may be told at: e-mail addresses and the targets of webhooks. Pure: nothing is looked up.

Sources: RFC 5321 section 4.5.3.1 (lengths), RFC 5322 section 3.2.3 (dot-atom), RFC 3986 (URLs), RFC 2606 section 3
(example.com, .net and .org belong to nobody).
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z", re.ASCII)
_HOST = re.compile(
    r"(?=.{1,253}\Z)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z",
    re.ASCII,
)
_CHANNEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z", re.ASCII)
_PRINTABLE = re.compile(r"[\x21-\x7e]+\Z", re.ASCII)
#: An address at a domain that is reserved for examples, or below it; also as PostgreSQL reads it, without case.
EXAMPLE = r"^([^@:]*@|https?://)([^/@:?#]*\.)?example\.(com|net|org)\.?([/:?#]|$)"
_LONGEST_URL = 2000


def address_problem(channel: str, address: str) -> str | None:
    """Why nobody can be told at `address` by `channel`; None where it may be, and for a channel that is not known."""
    if channel == "email":
        return email_problem(address)
    if channel == "webhook":
        return webhook_problem(address)
    return None


def is_example(address: str) -> bool:
    """Whether an address is an example's, as those of simulated sites are: nobody can be told there."""
    return re.search(EXAMPLE, address, re.IGNORECASE) is not None


def email_problem(address: str) -> str | None:
    """Why `address` is no e-mail address that can be written to; None where it is one."""
    local, at, domain = address.rpartition("@")
    if not at:
        return f"{address!r} is no e-mail address such as li@example.org"
    if not address.isascii():
        return f"{address!r}: an address is ASCII; write a domain of other letters as xn--…"
    if len(local) > 64 or not _LOCAL.match(local):
        return f"{address!r}: {local!r} cannot stand before the @"
    if not _HOST.match(domain):
        return f"{address!r}: {domain!r} is no domain such as example.org"
    return None


def webhook_problem(address: str) -> str | None:
    """Why `address` is neither an https URL without a secret nor a name of a channel in the settings; None where it
    is one.
    """
    if _CHANNEL_NAME.match(address):
        return None
    return url_problem(address, ("https",))


def url_problem(url: str, schemes: tuple[str, ...]) -> str | None:
    """Why `url` cannot be called; None where it can. A user name, a password or a fragment has no place in it."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    parts = _split(url)
    if parts is None or parts.scheme not in schemes:
        return f"{url!r} is no {wanted} URL, nor a name of a webhook in the settings"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return (
            f"{parts.scheme}://{parts.hostname}/…: an address that holds a secret is not kept in the registry; "
            "name it in NENGLIU_WEBHOOKS and write that name here"
        )
    if not parts.hostname:
        return f"{url!r} names no host"
    return None


def _split(url: str) -> SplitResult | None:
    """The parts of a URL that is written soundly."""
    if len(url) > _LONGEST_URL or not _PRINTABLE.match(url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            return None
    except ValueError:
        return None
    return parts
