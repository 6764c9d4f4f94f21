"""Links and calls cannot be forged: no change of a token or of a signed call goes unnoticed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.notify.signing import read_secret, secret_text, signed_headers, target_secret, verify
from alerts.notify.tokens import (
    BadTokenError,
    ExpiredTokenError,
    Link,
    derived_key,
    form_key,
    is_form_key,
    make_token,
    read_token,
)

SECRETS = st.binary(min_size=32, max_size=64)
IDS = st.integers(0, 2**63 - 1)
ENDS = st.datetimes(timezones=st.just(UTC)).map(
    lambda t: t.replace(year=2020 + t.year % 80, day=1 + t.day % 28, microsecond=0)
)
LINKS = st.builds(Link, IDS, IDS, ENDS)


@given(SECRETS, LINKS, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_token_stands_for_its_link_until_it_expires(secret, link, before):
    token = make_token(secret, link)
    assert token.isascii()
    assert all(c.isalnum() or c in "-_." for c in token)
    assert read_token(secret, token, link.expires - before - timedelta(seconds=1)) == link
    with pytest.raises(ExpiredTokenError):
        read_token(secret, token, link.expires + before)


@given(SECRETS, LINKS, st.data())
def test_no_change_of_a_token_goes_unnoticed(secret, link, data):
    """Not of one character, nor of one bit of what it says, nor in another way to write the same bytes."""
    token = make_token(secret, link)
    now = link.expires - timedelta(seconds=1)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != token[at]))
    changed = [
        token[:at] + other + token[at + 1 :],
        token[:at] + token[at + 1 :],
        token[:at] + other + token[at:],
    ]
    body, _, signature = token.partition(".")
    raw = bytearray(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed.append(base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode() + "." + signature)
    changed += [token + "=", token + "\n", " " + token, token.replace(".", "..")]
    for forged in changed:
        with pytest.raises(BadTokenError):
            read_token(secret, forged, now)


@given(st.text(max_size=200))
def test_whatever_comes_as_a_token_is_refused_and_breaks_nothing(text):
    with pytest.raises(BadTokenError):
        read_token(b"s" * 32, text, datetime(2020, 1, 1, tzinfo=UTC))


@given(SECRETS, SECRETS, LINKS)
def test_a_token_of_another_secret_is_refused(secret, other, link):
    if secret != other:
        with pytest.raises(BadTokenError):
            read_token(other, make_token(secret, link), link.expires - timedelta(seconds=1))


@given(SECRETS, LINKS, LINKS)
def test_a_form_key_is_good_for_its_own_link_and_says_nothing_of_the_token(secret, link, other):
    token = make_token(secret, link)
    assert is_form_key(secret, token, form_key(secret, token))
    assert not is_form_key(secret, token, token.partition(".")[2])
    assert not is_form_key(secret, token, "ü")
    if link != other:
        assert not is_form_key(secret, token, form_key(secret, make_token(secret, other)))


@given(
    SECRETS,
    st.text("0123456789abcdef", min_size=40, max_size=40),
    st.integers(0, 2**33),
    st.binary(),
    st.data(),
)
def test_a_receiver_finds_a_call_genuine_and_any_other_not(secret, key, at, body, data):
    headers = signed_headers(secret, key, at, body)
    signature = headers["webhook-signature"]
    assert headers["webhook-id"] == headers["Idempotency-Key"] == key
    assert verify(secret, key, str(at), signature, body, at)
    assert verify(secret, key, str(at), f"v1,AAAA {signature}", body, at)
    assert not verify(secret, key, str(at), signature, body, at + 301)
    assert not verify(secret, key, str(at), signature, body, at - 301)
    assert not verify(secret, key, str(at + 1), signature, body, at)
    assert not verify(secret, "f" * 39 + ("0" if key[-1] != "0" else "1"), str(at), signature, body, at)
    assert not verify(secret, key, str(at), signature, body + b"x", at)
    assert not verify(secret + b"x", key, str(at), signature, body, at)
    other = data.draw(st.text())
    assert not verify(secret, key, other, signature, body, at) or other == str(at)
    if signature not in other.split(" "):
        assert not verify(secret, key, str(at), other, body, at)


def test_the_signature_is_that_of_the_standard():
    """The example of the Standard Webhooks reference libraries."""
    secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(SECRETS, st.text(), st.text())
def test_every_use_has_a_key_of_its_own(secret, one, other):
    assert len(derived_key(secret, one)) == 32
    assert (derived_key(secret, one) == derived_key(secret, other)) == (one == other)
    assert read_secret(secret_text(target_secret(secret, one))) == target_secret(secret, one)


def test_a_secret_that_is_none_is_refused():
    for wrong in ("short", "whsec_****", "whsec_AAAA", ""):
        with pytest.raises(ValueError, match=r"16 bytes|base64"):
            read_secret(wrong)
