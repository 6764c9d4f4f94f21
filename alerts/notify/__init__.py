"""Telling people of alerts: an outbox in the database, senders by e-mail and webhook, and a page to acknowledge on."""
