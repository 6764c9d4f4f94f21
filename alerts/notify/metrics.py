"""Metrics of notifications."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SENT = Counter(
    "nengliu_notifications_sent_total", "Notifications that were taken by the other side", ["channel"]
)
SECONDS = Histogram(
    "nengliu_notification_seconds",
    "From an alert's step, or the making of a digest, to the other side having taken its notification",
    ["channel"],
    buckets=(1, 2, 5, 10, 30, 60, 120, 300, 1800, 7200, 86400),
)
ATTEMPTS_FAILED = Counter("nengliu_notification_attempts_failed_total", "Attempts that failed", ["channel"])
GIVEN_UP = Counter(
    "nengliu_notifications_given_up_total", "Notifications that no attempt is made of any more", ["channel"]
)
DIGESTS = Counter("nengliu_notification_digests_total", "Digests made of what was held back")
FORGOTTEN = Counter(
    "nengliu_notifications_forgotten_total", "Notifications of long ago that were deleted, as settings say"
)
WAITING = Gauge("nengliu_notifications_waiting", "Notifications that wait to be sent")
HELD = Gauge("nengliu_notifications_held", "Notifications that are held back until the digest")
FAILED = Gauge("nengliu_notifications_failed", "Notifications given up within the last week")
OLDEST = Gauge("nengliu_notifications_oldest_seconds", "How long the oldest that waits has waited")
LATE = Gauge("nengliu_notifications_late", "1 while something has waited for an hour")
PAGES = Counter(
    "nengliu_notification_pages_total", "Requests of notifications' pages, by what came of them", ["outcome"]
)
