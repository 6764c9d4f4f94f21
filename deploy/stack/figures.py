"""The figures of the services that matter to a person, read from their metrics."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from deploy.stack.prometheus import http_ok
from deploy.stack.site import NotReadyError

Samples = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: its name in both languages, the metric, and how its samples (by label value) become a text."""

    zh: str
    en: str
    metric: str
    text: Callable[[Mapping[str, float]], str]


def _sum(samples: Mapping[str, float]) -> str:
    return f"{sum(samples.values()):,.0f}"


def _each(samples: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:,.0f}" for name, value in sorted(samples.items()) if value) or "0"


def _ago(samples: Mapping[str, float]) -> str:
    newest = max(samples.values())
    return f"{max(0.0, time.time() - newest):,.0f} s" if newest else "–"


def _day(samples: Mapping[str, float]) -> str:
    moment = max(samples.values())
    return datetime.fromtimestamp(moment, UTC).date().isoformat() if moment else "–"


def _mean_ms(samples: Mapping[str, float]) -> str:
    count = samples.get("count", 0.0)
    return f"{1000 * samples.get('sum', 0.0) / count:,.0f} ms" if count else "–"


FIGURES: dict[str, tuple[Figure, ...]] = {
    "bridge": (
        Figure("消息", "messages", "nengliu_bridge_messages_total", _sum),
        Figure("读数", "readings", "nengliu_bridge_readings_total", _sum),
        Figure("拒收", "rejected", "nengliu_bridge_rejects_total", _each),
        Figure("在途", "in flight", "nengliu_bridge_in_flight_messages", _sum),
        Figure("上次成功", "last success", "nengliu_bridge_last_success_seconds", _ago),
    ),
    "writer": (
        Figure("数值", "values", "nengliu_writer_values_total", _each),
        Figure("拒收", "rejected", "nengliu_writer_rejects_total", _each),
        Figure("积压 (记录)", "lag (records)", "nengliu_stream_lag_records", _sum),
        Figure("每批", "a batch", "nengliu_stream_batch_seconds", _mean_ms),
        Figure("上次成功", "last success", "nengliu_writer_last_success_seconds", _ago),
    ),
    "worker": (
        Figure("小时值", "hours", "nengliu_derive_hours_total", _sum),
        Figure("待推导", "waiting", "nengliu_derive_backlog_changes", _sum),
        Figure("每批", "a batch", "nengliu_derive_batch_seconds", _mean_ms),
        Figure("评估", "assessments", "nengliu_assessments_total", _sum),
        Figure("预警变化", "alert transitions", "nengliu_alert_transitions_total", _sum),
        Figure("通知已发", "notifications sent", "nengliu_notifications_sent_total", _sum),
        Figure("通知待发", "waiting", "nengliu_notifications_waiting", _sum),
        Figure("通知暂存", "held back", "nengliu_notifications_held", _sum),
        Figure("读数保留自", "readings kept from", "nengliu_retention_floor_seconds", _day),
        Figure("上次成功", "last success", "nengliu_derive_last_success_seconds", _ago),
    ),
}


def read_samples(address: str) -> Samples:
    """Samples of a service by metric name, then by the last label's value ("" without labels); {} if it is away.

    A histogram's sum and count appear under its own name as "sum" and "count".
    """
    try:
        text = http_ok(f"http://{address}/metrics").decode()
    except NotReadyError:
        return {}
    samples: dict[str, dict[str, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            part = sample.name.removeprefix(family.name).removeprefix("_")
            if family.type == "histogram" and part in ("sum", "count"):
                values, key = samples[family.name], part
            else:
                values, key = samples[sample.name], next(reversed(sample.labels.values()), "")
            values[key] = values.get(key, 0.0) + sample.value
    return samples


def describe(service: str, samples: Samples, *, zh: bool) -> str:
    """One line about a service."""
    shown = (
        f"{figure.zh if zh else figure.en} {figure.text(samples[figure.metric])}"
        for figure in FIGURES[service]
        if samples.get(figure.metric)
    )
    return ", ".join(shown)
