"""`nengliu findings`: what is silent, what stays missing, what meters seem to measure wrong."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from deploy.settings import Settings, load_settings

findings = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

_HEADS_ZH = ("编号", "种类", "级别", "对象", "建筑", "计量点", "开始", "结束", "状态", "说明")
_HEADS_EN = ("id", "kind", "severity", "about", "site", "point", "starts", "ends", "state", "detail")
_STATES_ZH = {"open": "未处理", "accepted": "已认可", "refused": "已否定", "withdrawn": "已撤销"}
#: What of the detail is worth a column, in this order.
_TOLD = {
    "last_reading": ("最近读数", "last reading"),
    "last_heard": ("最近通信", "last heard"),
    "meters": ("表计数", "meters"),
    "gateways": ("网关数", "gateways"),
    "missing": ("缺失报文", "missing"),
    "factor": ("倍率约", "factor about"),
    "phase": ("相", "phase"),
    "confidence": ("置信度", "confidence"),
    "note": ("备注", "note"),
}


Numbers = Annotated[list[int], typer.Argument(help="Numbers of findings, as `findings list` shows them.")]
Note = Annotated[str, typer.Option(help="Why.")]
By = Annotated[str | None, typer.Option(help="Who judges; default: the user of this machine.")]


@findings.callback()
def group() -> None:
    """Show what is silent, what stays missing, and what meters seem to measure wrong; say whether it is so."""


@findings.command(name="list")
def list_findings(
    everything: Annotated[
        bool, typer.Option("--all", help="Those that ended, were judged or withdrawn too.")
    ] = False,
    is_open: Annotated[
        bool, typer.Option("--open", help="All that nobody judged, those that ended too.")
    ] = False,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    site: Annotated[str | None, typer.Option(help="Only this site code.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List findings that last or whose energy waits for a verdict (readings review), the most severe first."""
    from metering.findings import finding_kinds
    from storage.reviews import DOUBTFUL_STEPS

    if kind is not None and kind not in finding_kinds():
        raise typer.BadParameter(f"--kind {kind!r}: want one of {', '.join(finding_kinds())}")
    settings = load_settings()
    asked = {"lasting": not everything and not is_open, "open": is_open, "asking": list(DOUBTFUL_STEPS)}
    found = _found(settings, {**asked, "kind": kind, "site": site, "limit": limit})
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, default=_plain))
    else:
        _print(found, settings)


@findings.command()
def accept(numbers: Numbers, note: Note, by: By = None) -> None:
    """Say that findings are so. They stay, whatever the data says later."""
    _judge("accepted", numbers, note, by)


@findings.command()
def refuse(numbers: Numbers, note: Note, by: By = None) -> None:
    """Say that findings are not so. They are not found again."""
    _judge("refused", numbers, note, by)


@findings.command()
def reopen(numbers: Numbers, note: Note, by: By = None) -> None:
    """Take verdicts on findings back: the data decides again."""
    _judge("open", numbers, note, by)


def _judge(verdict: Any, numbers: list[int], note: str, by: str | None) -> None:
    from deploy.cli.review_commands import person
    from deploy.clients import connect_database
    from storage.finding_reviews import judge_findings

    settings = load_settings()
    who = person(by, note)
    with connect_database(settings, "pipeline", autocommit=True) as connection:
        count = judge_findings(connection, numbers, verdict, who)
    states = {"accepted": "已认可", "refused": "已否定", "open": "已重新打开"}
    told = {"accepted": "accepted", "refused": "refused", "open": "open again"}
    typer.echo(
        f"{count} 条发现{states[verdict]}"
        if settings.language == "zh"
        else f"{count} findings {told[verdict]}"
    )


def _found(settings: Settings, asked: dict[str, Any]) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    from deploy.clients import connect_database
    from storage.sql import query

    with (
        connect_database(settings, "pipeline") as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(query("findings_listed"), asked).fetchall()


def _print(found: list[dict[str, Any]], settings: Settings) -> None:
    from deploy.cli.quota_commands import _print_table
    from metering.findings import finding_kinds

    zh = settings.language == "zh"
    rows = []
    for f in found:
        kind = finding_kinds().get(f["kind"])
        name = f["kind"] if kind is None else kind.name_zh if zh else kind.name_en
        state = _STATES_ZH[f["state"]] if zh else f["state"]
        rows.append(
            (
                str(f["finding_id"]), name, f["severity"], f["meter"] or f["gateway"] or "",
                f["site_code"] or "", f["point_code"] or "", _local(f["starts"], settings),
                _local(f["ends"], settings), state, _told(f["detail"], settings),
            )
        )  # fmt: skip
    _print_table(_HEADS_ZH if zh else _HEADS_EN, rows, right=(0,))


def _told(detail: dict[str, Any], settings: Settings) -> str:
    said = []
    for key, names in _TOLD.items():
        if detail.get(key) is not None:
            value = detail[key]
            if key.startswith("last_"):
                value = _local(datetime.fromisoformat(value), settings)
            said.append(f"{names[settings.language == 'en']} {value}")
    text = detail.get("text_zh" if settings.language == "zh" else "text_en")
    return "; ".join([*said, *([] if text is None else [text])])


def _local(at: datetime | None, settings: Settings) -> str:
    return "" if at is None else at.astimezone(ZoneInfo(settings.timezone)).strftime("%Y-%m-%d %H:%M")


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not for JSON")
