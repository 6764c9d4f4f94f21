"""`nengliu alerts`: list, show, acknowledge, close."""

from __future__ import annotations

import getpass
import json
from datetime import date, datetime
from typing import Annotated, Any

import typer

from deploy.cli.notification_commands import notifications, resend, try_contact, webhook_secret
from deploy.settings import Settings, load_settings

alerts = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

alerts.command()(notifications)
alerts.command("test-notify")(try_contact)
alerts.command()(resend)
alerts.command()(webhook_secret)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AlertId = Annotated[int, typer.Argument(metavar="ID", help="Number of the alert, as `alerts list` shows it.")]
By = Annotated[str | None, typer.Option("--by", help="Who does this.", show_default="who is logged in")]
Note = Annotated[str | None, typer.Option("--note", help="A word on why, kept with the alert.")]

_STATES = ("provisional", "confirmed", "acknowledged", "resolved", "retracted")
_STATES_ZH = ("待确认", "已确认", "已受理", "已解除", "已撤回")
_RULES = {
    "quota_forecast_over": ("预测将超限额", "forecast over the limit"),
    "quota_over": ("已超限额", "over the limit"),
    "quota_severe": ("超限额 20% 以上", "over by more than 20%"),
    "quota_enforcement": ("连续两年超 20% 以上", "over by more than 20%, two years running"),
}


@alerts.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this state; may be given again: {', '.join(_STATES)}, or open."),
    ] = None,
    site: Annotated[str | None, typer.Option(help="Only this site code.")] = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, oldest first."""
    settings = load_settings()
    states = _states(state)
    if site is not None and not _rows(settings, "site_known", {"site": site}):
        raise typer.BadParameter(f"no site {site!r} in the registry")
    found = _listed(settings, states=states, site=site)
    if as_json:
        _print_json(found)
        return
    _print_alerts(found, settings)


@alerts.command()
def show(alert_id: AlertId, as_json: AsJson = False) -> None:
    """Show an alert: its evidence as it stood when it opened, and everything that happened to it since."""
    settings = load_settings()
    found = _listed(settings, alert_id=alert_id)
    if not found:
        raise typer.BadParameter(f"there is no alert {alert_id}; `nengliu alerts list` shows those there are")
    alert = {**found[0], "transitions": _rows(settings, "transitions_of_alert", {"alert_id": alert_id})}
    if as_json:
        _print_json(alert)
        return
    _print_alert(alert, settings)


@alerts.command()
def ack(alert_id: AlertId, by: By = None, note: Note = None, as_json: AsJson = False) -> None:
    """Acknowledge an alert: somebody knows and acts."""
    from alerts.alert_store import acknowledge_alert

    _step(acknowledge_alert, alert_id, by, note, as_json)


@alerts.command()
def close(alert_id: AlertId, by: By = None, note: Note = None, as_json: AsJson = False) -> None:
    """Close an alert: the matter is settled. It is not opened again for the same year."""
    from alerts.alert_store import close_alert

    _step(close_alert, alert_id, by, note, as_json)


def _step(act: Any, alert_id: int, by: str | None, note: str | None, as_json: bool) -> None:
    from deploy.clients import connect_database
    from deploy.notifying import act_time

    settings = load_settings()
    by = getpass.getuser() if by is None else by
    if not by.strip():
        raise typer.BadParameter("--by: say who")
    with connect_database(settings, "pipeline") as connection:
        step = act(connection, alert_id, by, note, act_time(connection, settings))
    if as_json:
        _print_json({"alert_id": alert_id, "from_state": step.from_state, "to_state": step.to_state})
        return
    typer.echo(f"{alert_id}: {_state(step.from_state, settings)} -> {_state(step.to_state, settings)}")


def _states(asked: list[str] | None) -> list[str] | None:
    if not asked:
        return None
    states: list[str] = []
    for name in asked:
        if name == "open":
            states += _STATES[:3]
        elif name in _STATES:
            states.append(name)
        else:
            raise typer.BadParameter(f"--state {name!r}: want open or one of {', '.join(_STATES)}")
    return states


def _listed(
    settings: Settings, states: list[str] | None = None, site: str | None = None, alert_id: int | None = None
) -> list[dict[str, Any]]:
    return _rows(settings, "alerts_listed", {"states": states, "site": site, "alert_id": alert_id})


def _rows(settings: Settings, name: str, keys: dict[str, Any]) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    from alerts.sql import query
    from deploy.clients import connect_database

    with (
        connect_database(settings, "pipeline") as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(query(name), keys).fetchall()


def _print_alerts(found: list[dict[str, Any]], settings: Settings) -> None:
    from deploy.cli.quota_commands import _print_table

    zh = settings.language == "zh"
    heads = (
        ("编号", "建筑/分项/年", "规则", "级别", "状态", "开始", "截至", "已用", "限值", "预测 p50", "用尽日")
        if zh
        else (
            "id",
            "site/item/year",
            "rule",
            "severity",
            "state",
            "opened",
            "as of",
            "used",
            "limit",
            "p50",
            "exhausted",
        )
    )
    rows = []
    for a in found:
        e = a["evidence"]
        rows.append(
            (
                str(a["alert_id"]), a["subject"], _rule(a["rule"], settings), a["severity"],
                _state(a["state"], settings), _local(a["opened_at"], settings), str(e.get("as_of") or ""),
                _number(e.get("used")), _number(e.get("limit_value")), _number((e.get("forecast") or {}).get("p50")),
                str(e.get("exhaustion_date") or ""),
            )
        )  # fmt: skip
    _print_table(heads, rows, right=(0, 7, 8, 9))


def _print_alert(alert: dict[str, Any], settings: Settings) -> None:
    zh = settings.language == "zh"
    typer.echo(
        f"{alert['alert_id']}  {alert['subject']}  {_rule(alert['rule'], settings)}  {alert['severity']}"
    )
    typer.echo(("状态: " if zh else "state: ") + _state(alert["state"], settings))
    typer.echo("依据:" if zh else "evidence:")
    typer.echo(json.dumps(alert["evidence"], ensure_ascii=False, indent=2))
    typer.echo("经过:" if zh else "history:")
    for t in alert["transitions"]:
        before = _state(t["from_state"], settings) if t["from_state"] else "·"
        note = f"  {t['note']}" if t["note"] else ""
        typer.echo(
            f"  {_local(t['at'], settings)}  {before} -> {_state(t['to_state'], settings)}  {t['actor']}{note}"
        )


def _rule(name: str, settings: Settings) -> str:
    zh, en = _RULES.get(name, (name, name))
    return zh if settings.language == "zh" else en


def _state(name: str | None, settings: Settings) -> str:
    if name is None:
        return ""
    return _STATES_ZH[_STATES.index(name)] if settings.language == "zh" else str(name)


def _local(at: datetime, settings: Settings) -> str:
    from zoneinfo import ZoneInfo

    return at.astimezone(ZoneInfo(settings.timezone)).strftime("%Y-%m-%d %H:%M")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
