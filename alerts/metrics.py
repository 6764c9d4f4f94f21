"""Metrics of assessment and alerts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ASSESSED = Counter("nengliu_assessments_total", "Assessments made (site and item, as of a day)")
TRANSITIONS = Counter(
    "nengliu_alert_transitions_total", "Transitions of alerts that assessments brought about"
)
ASSESSMENT_SECONDS = Histogram("nengliu_assessment_seconds", "Time of one set of assessments, committed")
ASSESSED_THROUGH = Gauge(
    "nengliu_assessed_through_timestamp_seconds", "Last local day assessed, as its date in UTC"
)
LAST_ASSESSMENT = Gauge(
    "nengliu_last_assessment_timestamp_seconds", "Wall time of the last set of assessments"
)
EVENTS_RELAYED = Counter("nengliu_events_relayed_total", "Events published from the outbox")
