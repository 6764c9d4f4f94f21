"""`nengliu alerts notifications`, `test-notify`, `resend`, `webhook-secret`: who was told, and whether that works."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.settings import Settings, load_settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_STATES = {
    "waiting": "待发",
    "held": "暂存",
    "sent": "已发",
    "digested": "已入日报",
    "failed": "失败",
    "dropped": "未发",
}


def notifications(
    state: Annotated[
        list[str] | None, typer.Option(help=f"Only this state; may be given again: {', '.join(_STATES)}.")
    ] = None,
    alert: Annotated[int | None, typer.Option(metavar="ID", help="Only of this alert.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many at most.")] = 200,
    as_json: AsJson = False,
) -> None:
    """List notifications, newest first: to whom, what became of them, and why something was not sent."""
    settings = load_settings()
    if unknown := [s for s in state or () if s not in _STATES]:
        raise typer.BadParameter(f"--state {unknown[0]!r}: want one of {', '.join(_STATES)}")
    keys = {"states": state or None, "alert_id": alert, "limit": limit}
    found = _rows(settings, "notify_listed", keys)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, default=_plain))
        return
    _print(found, settings)


def try_contact(
    contact: Annotated[str, typer.Argument(help="A contact's address or name, as in contacts.csv.")],
    as_json: AsJson = False,
) -> None:
    """Send a contact an example, at once and marked as a test; exit code 1 where it was not taken."""
    from alerts.notify.errors import DeliveryError
    from deploy.notify_test import send_test

    settings = load_settings()
    results = []
    for row in _contacts(settings, contact):
        try:
            send_test(settings, row)
        except DeliveryError as e:
            results.append({**row, "ok": False, "problem": str(e)})
        else:
            results.append({**row, "ok": True, "problem": None})
    if as_json:
        typer.echo(json.dumps(results, ensure_ascii=False))
    else:
        for r in results:
            typer.echo(f"{r['channel']} {r['name']} <{r['address']}>: {r['problem'] or 'ok'}")
    if not all(r["ok"] for r in results):
        raise typer.Exit(1)


def resend(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]…", help="Notifications that failed or were dropped.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let notifications that were given up be tried again, under the same key."""
    if bool(ids) == failed:
        raise typer.BadParameter("name notifications, or --failed for all that failed")
    found = _rows(load_settings(), "notify_again", {"ids": ids or None})
    again = sorted(r["notification_id"] for r in found)
    typer.echo(json.dumps(again) if as_json else f"{len(again)} wait to be sent again")
    if ids and set(ids) != set(again):
        raise typer.Exit(1)


def webhook_secret(
    address: Annotated[str, typer.Argument(help="A webhook's address or name, as in contacts.csv.")],
) -> None:
    """Print the secret that calls of a webhook are signed with, for its receiver to check them by."""
    from alerts.notify.errors import DeliveryError
    from alerts.notify.signing import secret_text
    from deploy.clients import connect_database
    from deploy.notifying import open_notifying, read_notify_settings
    from metering.contacts import webhook_problem

    settings = load_settings()
    if (problem := webhook_problem(address)) is not None:
        raise typer.BadParameter(problem)
    made = open_notifying(
        settings, read_notify_settings(settings), lambda: connect_database(settings, "pipeline")
    )
    try:
        _, secret = made.webhooks.options.resolve(address)
    except DeliveryError as e:
        raise typer.BadParameter(str(e)) from e
    typer.echo(secret_text(secret))


def _contacts(settings: Settings, contact: str) -> list[dict[str, Any]]:
    text = (
        "select distinct on (channel, address, name) name, language, channel, address from nengliu.contact "
        "where name = %(contact)s or address = %(contact)s order by channel, address, name"
    )
    found = _fetched(settings, text, {"contact": contact})
    if not found:
        raise typer.BadParameter(f"no contact {contact!r} in the registry")
    return found


def _rows(settings: Settings, name: str, keys: dict[str, Any]) -> list[dict[str, Any]]:
    from alerts.sql import query

    return _fetched(settings, query(name), keys)


def _fetched(settings: Settings, text: str, keys: dict[str, Any]) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    from deploy.clients import connect_database

    with (
        connect_database(settings, "pipeline") as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(text, keys).fetchall()


def _print(found: list[dict[str, Any]], settings: Settings) -> None:
    zh = settings.language == "zh"
    heads = (
        ("编号", "预警", "事件", "状态", "收件人", "渠道", "地址", "时间", "次数", "说明")
        if zh
        else ("id", "alert", "about", "state", "to", "channel", "address", "at", "tries", "why")
    )
    table = Table(*heads, box=None)
    for r in found:
        about = r["subject"] or ("日报" if zh else "digest")
        at = r["sent_at"] or (r["next_try"] if r["state"] == "waiting" else r["created_at"])
        table.add_row(
            str(r["notification_id"]), str(r["alert_id"] or ""), f"{about} {r['to_state'] or ''}".strip(),
            _STATES[r["state"]] if zh else r["state"], r["name"], r["channel"], r["address"], _local(at, settings),
            str(r["attempts"]), r["reason"] or "",
        )  # fmt: skip
    Console(highlight=False).print(table)


def _local(at: datetime, settings: Settings) -> str:
    from zoneinfo import ZoneInfo

    return at.astimezone(ZoneInfo(settings.timezone)).strftime("%m-%d %H:%M")


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
