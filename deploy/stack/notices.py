"""What the services say of themselves that a person should know although everything runs, from their metrics."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.stack.figures import Samples
from deploy.stack.steps import Steps


@dataclass(frozen=True, slots=True)
class Notice:
    """A metric that is 0 while all is well, and what it means otherwise; {n} is its sum, {of} the labels not at 0."""

    metric: str
    zh: str
    en: str


NOTICES: dict[str, tuple[Notice, ...]] = {
    "bridge": (
        Notice(
            "nengliu_bridge_kafka_away",
            "采集桥连不上 Kafka, 正在等待; 消息留在 MQTT 服务器和网关里",
            "the bridge waits for Kafka; messages stay at the broker and in the gateways",
        ),
        Notice(
            "nengliu_bridge_paused",
            "采集桥在途数据已到上限, 正在等 Kafka",
            "the bridge reads nothing more: too much in flight until Kafka takes it",
        ),
        Notice(
            "nengliu_bridge_throttled_total",
            "{n} 条消息超过了网关限速, 留给网关重发 (NENGLIU_GATEWAY_MESSAGES_PER_S, NENGLIU_GATEWAY_READINGS_PER_S)",
            "{n} messages were over their gateway's limit and left to it to send again "
            "(NENGLIU_GATEWAY_MESSAGES_PER_S, NENGLIU_GATEWAY_READINGS_PER_S)",
        ),
        Notice(
            "nengliu_stream_poison_records_total",
            "采集桥略过了 {n} 条无法解码的确认记录 ({of})",
            "the bridge left out {n} acknowledgements that cannot be decoded ({of})",
        ),
    ),
    "writer": (
        Notice(
            "nengliu_stream_sink_away",
            "写入服务连不上数据库, 正在等待; 数据留在 Kafka 里",
            "the writer waits for the database; readings stay in Kafka",
        ),
        Notice(
            "nengliu_stream_offsets_skipped_total",
            "Kafka 的保留期超过了写入进度: {n} 条记录已丢失 ({of})",
            "Kafka's retention passed the writer: {n} records are gone ({of})",
        ),
        Notice(
            "nengliu_stream_log_shortened_total",
            "Kafka 的日志短于已写入的位置 {n} 次 ({of}): 它丢了记录, 已从头再读",
            "Kafka's log ended before the stored offset {n} times ({of}): it lost records; all is read again",
        ),
        Notice(
            "nengliu_stream_topic_recreated_total",
            "主题被重建 {n} 次 ({of}): 旧主题里未写入的记录已丢失, 已从新主题开头读起",
            "topics were made anew {n} times ({of}): what the old ones still held is gone; read from the beginning",
        ),
        Notice(
            "nengliu_stream_poison_records_total",
            "{n} 条无法解码的记录进了死信 ({of})",
            "{n} records that cannot be decoded went to the dead letters ({of})",
        ),
    ),
    "worker": (
        Notice(
            "nengliu_derive_away",
            "推导服务连不上数据库或 Kafka, 正在等待",
            "the worker waits for the database or Kafka",
        ),
        Notice(
            "nengliu_retention_waits",
            "有读数已到保留年限, 但其中尚有待推导的变化, 推导完后才删除 (nengliu retention show)",
            "readings are old enough to go, and something there is still to be derived first (nengliu retention show)",
        ),
        Notice(
            "nengliu_notifications_failed",
            "近一周有 {n} 条通知发送失败并已放弃 (nengliu alerts notifications --state failed)",
            "{n} notifications of the last week were given up (nengliu alerts notifications --state failed)",
        ),
        Notice(
            "nengliu_notifications_late",
            "有通知等了一小时以上仍未发出 (nengliu alerts notifications --state waiting)",
            "notifications have waited for more than an hour (nengliu alerts notifications --state waiting)",
        ),
        Notice(
            "nengliu_notification_links_stay_here",
            "邮件中的链接只能在本机打开: 请用 NENGLIU_PUBLIC_URL 写明外部地址",
            "links in mails open on this machine only: say in NENGLIU_PUBLIC_URL how people reach its pages",
        ),
    ),
}


def notices(service: str, samples: Samples, steps: Steps) -> list[str]:
    """A line for each of the service's metrics that is not 0."""
    lines = []
    for notice in NOTICES.get(service, ()):
        found = {label: value for label, value in samples.get(notice.metric, {}).items() if value}
        if found:
            text = steps.text(notice.zh, notice.en)
            lines.append(text.format(n=f"{sum(found.values()):,.0f}", of=", ".join(sorted(found))))
    return lines
