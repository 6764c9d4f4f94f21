"""A test of one contact: an example of a notification, sent at once, beside the outbox."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from alerts.notify.content import mail_message, sample_call, sample_text
from alerts.notify.errors import DeliveryError
from alerts.notify.smtp import SmtpSession
from alerts.notify.store import Leased
from deploy.clients import connect_database
from deploy.notifying import open_notifying, read_notify_settings
from deploy.settings import Settings
from metering.contacts import is_example


def send_test(settings: Settings, contact: Mapping[str, Any]) -> str:
    """Send `contact` (name, language, channel, address) an example; its key. Raises DeliveryError, SettingError."""
    if is_example(contact["address"]):
        raise DeliveryError("an address for examples (RFC 2606): nobody is told there", for_good=True)
    options = read_notify_settings(settings)
    made = open_notifying(settings, options, lambda: connect_database(settings, "pipeline"))
    key = secrets.token_hex(20)
    name, language, address = contact["name"], contact["language"], contact["address"]
    text = sample_text(options.templates, made.content_options, name, language, key)
    if contact["channel"] == "webhook":
        made.webhooks.send(address, key, sample_call(text, made.content_options, name, language, key))
        return key
    if contact["channel"] != "email":
        raise DeliveryError(f"there is no channel {contact['channel']!r}", for_good=True)
    if options.smtp is None:
        raise DeliveryError("NENGLIU_SMTP_URL is not set: there is no server to hand mail in at")
    row = Leased(0, key, "test", None, None, None, "warning", name, language, "email", address, "email",
                 datetime.now(UTC), 1, "")  # fmt: skip
    with SmtpSession(options.smtp) as session:
        session.send(mail_message(text, row, made.content_options, None), options.sender, address)
    return key
