"""`nengliu alerts`: list, show, acknowledge, snooze, close, reopen."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.notification_commands import notifications, resend, try_contact, webhook_secret
from deploy.cli.quota_commands import _number
from deploy.settings import Settings, load_settings

if TYPE_CHECKING:
    from alerts.lifecycle import Transition
    from alerts.provenance import Provenance

alerts = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

alerts.command()(notifications)
alerts.command("test-notify")(try_contact)
alerts.command()(resend)
alerts.command()(webhook_secret)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AlertId = Annotated[int, typer.Argument(metavar="ID", help="Number of the alert, as `alerts list` shows it.")]
By = Annotated[str | None, typer.Option("--by", help="Who does this.", show_default="who is logged in")]
Note = Annotated[str | None, typer.Option("--note", help="A word on why, kept with the alert.")]


def _local_day(text: str) -> date:
    """A date as people write it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date; want one like 2026-12-31") from None


_STATES = ("provisional", "confirmed", "acknowledged", "resolved", "retracted")
_STATES_ZH = ("待确认", "已确认", "已受理", "已解除", "已撤回")
_ACTIONS_ZH = {
    "opened": "产生",
    "confirmed": "确认",
    "acknowledged": "受理",
    "promised": "承诺整改日期",
    "snoozed": "暂缓提醒",
    "reminded": "提醒",
    "escalated": "升级",
    "resolved": "解除",
    "retracted": "撤回",
    "reopened": "重新打开",
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
    traced = _traced(alert, settings)
    if as_json:
        _print_json({**alert, "provenance": asdict(traced) if traced else None})
        return
    _print_alert(alert, settings)
    if traced is not None:
        _print_traced(traced, None, settings)


@alerts.command()
def verify(alert_id: AlertId, as_json: AsJson = False) -> None:
    """Assess a quota alert's day again from what was known then, and say whether the verdict is the same.

    Readings, verdicts on readings, limits, factors and registry rows that came later are taken away, the site is
    derived anew and assessed, all of it in a transaction that is rolled back. Exit code 1 where the verdict differs.
    """
    from alerts.provenance import same, verify
    from deploy.assessing import hand_options
    from deploy.clients import connect_database
    from storage.derivation import Deriver

    settings = load_settings()
    found = _listed(settings, alert_id=alert_id)
    if not found:
        raise typer.BadParameter(f"there is no alert {alert_id}; `nengliu alerts list` shows those there are")
    traced = _traced(found[0], settings)
    if traced is None:
        raise typer.BadParameter(f"alert {alert_id} ({found[0]['rule']}) is not about a quota")
    deriver = Deriver(lambda: connect_database(settings, "pipeline"))
    try:
        again = verify(deriver, found[0], traced, hand_options(settings))
    finally:
        deriver.close()
    verdict = same(traced.then, again)
    if as_json:
        _print_json({"alert_id": alert_id, "same": verdict, "again": again, "provenance": asdict(traced)})
    else:
        _print_traced(traced, (again, verdict), settings)
    if not verdict:
        raise typer.Exit(1)


@alerts.command()
def ack(
    alert_id: AlertId,
    promise: Annotated[
        date | None,
        typer.Option(parser=_local_day, metavar="DATE", help="Local day by which it will be put right."),
    ] = None,
    by: By = None,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge an alert: somebody knows and acts; or give one that is acknowledged a (new) promised date."""
    from alerts.alert_hand import acknowledge_alert

    _step(acknowledge_alert, alert_id, by, note, as_json, lambda _: {"promised_on": promise})


@alerts.command()
def snooze(
    alert_id: AlertId,
    until: Annotated[
        date | None,
        typer.Option(parser=_local_day, metavar="DATE", help="Quiet until this local day begins."),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="Or for so many days from now.")] = None,
    by: By = None,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Hold reminders and escalations of an alert back until a day; then it is reminded of."""
    from alerts.alert_hand import snooze_alert

    if (until is None) == (days is None):
        raise typer.BadParameter("say either --until or --days")
    _step(snooze_alert, alert_id, by, note, as_json, lambda moment: {"until": moment(until, days)})


@alerts.command()
def close(alert_id: AlertId, by: By = None, note: Note = None, as_json: AsJson = False) -> None:
    """Close an alert: the matter is settled. It is not opened again for the same year."""
    from alerts.alert_hand import close_alert

    _step(close_alert, alert_id, by, note, as_json)


@alerts.command()
def reopen(alert_id: AlertId, by: By = None, note: Note = None, as_json: AsJson = False) -> None:
    """Take up an alert again that was resolved."""
    from alerts.alert_hand import reopen_alert

    _step(reopen_alert, alert_id, by, note, as_json)


#: The moment that a local day begins, or so many days from now.
_Moment = Callable[[date | None, float | None], datetime]


def _step(
    act: Any,
    alert_id: int,
    by: str | None,
    note: str | None,
    as_json: bool,
    further: Callable[[_Moment], dict[str, Any]] = lambda _: {},
) -> None:
    from alerts.alert_hand import ByPerson
    from alerts.alert_rows import FollowUp
    from alerts.rolling import local_zone
    from deploy.assessing import hand_options
    from deploy.clients import connect_database
    from deploy.notifying import act_time

    settings = load_settings()
    by = getpass.getuser() if by is None else by
    if not by.strip():
        raise typer.BadParameter("--by: say who")
    with connect_database(settings, "pipeline") as connection:
        zone, now = local_zone(connection), act_time(connection, settings)

        def moment(day: date | None, days: float | None) -> datetime:
            return datetime.combine(day, time(), zone) if day else now + timedelta(days=days or 0)

        person, follow_up = (
            ByPerson(by, now, note),
            FollowUp(hand_options(settings).parameters.care, zone),
        )
        step = act(connection, alert_id, person, follow_up, **further(moment))
    if as_json:
        _print_json(
            {
                "alert_id": alert_id,
                "action": step.action,
                "from_state": step.from_state,
                "to_state": step.to_state,
            }
        )
        return
    typer.echo(_told(alert_id, step, settings))


def _told(alert_id: int, step: Transition, settings: Settings) -> str:
    action = _action(step.action, settings)
    if step.from_state is step.to_state:
        return f"{alert_id}: {_state(step.to_state, settings)}, {action}"
    return f"{alert_id}: {_state(step.from_state, settings)} -> {_state(step.to_state, settings)}"


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
                *_use_and_limit(e), _number((e.get("forecast") or {}).get("p50")),
                str(e.get("exhaustion_date") or ""),
            )
        )  # fmt: skip
    _print_table(heads, rows, right=(0, 7, 8, 9))


def _use_and_limit(e: dict[str, Any]) -> tuple[str, str]:
    """Used and limit of a quota; of a load its mean and habit in an hour."""
    if "habit" in e:
        return f"{_number(e['actual'])}/h", f"{_number(e['habit'])}/h"
    return _number(e.get("used")), _number(e.get("limit_value"))


def _print_alert(alert: dict[str, Any], settings: Settings) -> None:
    from alerts.notify.words import note_in

    zh = settings.language == "zh"
    typer.echo(
        f"{alert['alert_id']}  {alert['subject']}  {_rule(alert['rule'], settings)}  {alert['severity']}"
    )
    typer.echo(("状态: " if zh else "state: ") + _state(alert["state"], settings))
    if alert["promised_on"]:
        typer.echo(("承诺整改日期: " if zh else "promised for: ") + str(alert["promised_on"]))
    if alert["snoozed_until"]:
        typer.echo(("暂缓至: " if zh else "snoozed until: ") + _local(alert["snoozed_until"], settings))
    typer.echo("依据:" if zh else "evidence:")
    typer.echo(json.dumps(alert["evidence"], ensure_ascii=False, indent=2))
    typer.echo("经过:" if zh else "history:")
    for t in alert["transitions"]:
        before = _state(t["from_state"], settings) if t["from_state"] else "·"
        note = f"  {note_in(t['note'], settings.language)}" if t["note"] else ""
        step = f"{before} -> {_state(t['to_state'], settings)}"
        if t["from_state"] == t["to_state"]:
            step = f"{before}, {_action(t['action'], settings)}"
        typer.echo(f"  {_local(t['at'], settings)}  {step}  {t['actor']}{note}")


def _traced(alert: dict[str, Any], settings: Settings) -> Provenance | None:
    """What became of a quota alert's ground; None for other alerts."""
    from alerts.provenance import NotOfAQuotaError, trace
    from deploy.assessing import hand_options
    from deploy.clients import connect_database

    with connect_database(settings, "pipeline") as connection:
        try:
            return trace(connection, alert, hand_options(settings), datetime.now(UTC))
        except NotOfAQuotaError:
            return None


_FIGURES = (
    ("used", "已用"),
    ("limit_value", "限值"),
    ("forecast_p10", "预测 p10"),
    ("forecast_p50", "预测 p50"),
    ("forecast_p90", "预测 p90"),
    ("completeness", "完整率"),
    ("exhaustion_date", "用尽日"),
    ("level", "等级"),
)
_SINCE = (
    ("readings", "后来到达的读数"),
    ("corrected", "被更正的读数"),
    ("reviews", "人工判定"),
    ("limits", "限值版本"),
    ("registry", "档案变更"),
    ("factors", "折算系数"),
)


def _print_traced(
    traced: Provenance, again: tuple[dict[str, Any] | None, bool] | None, settings: Settings
) -> None:
    """What was known then beside what is known now, and beside what comes out when assessed again as known then."""
    from deploy.cli.quota_commands import _print_table

    zh = settings.language == "zh"
    at, day = _local(traced.known_at, settings), traced.as_of
    typer.echo(
        f"\n截至 {day}, 当时 ({at}) 与现在所知:" if zh else f"\nas of {day}, as known then ({at}) and now:"
    )
    heads = ["", "当时", "现在"] if zh else ["", "then", "now"]
    if again is not None:
        heads.append("按当时所知重算" if zh else "again, as known then")
    sources = [traced.then, traced.now or {}, *([again[0] or {}] if again else [])]
    rows = [
        (chinese if zh else name, *(_figure(source.get(name)) for source in sources))
        for name, chinese in _FIGURES
    ]
    _print_table(tuple(heads), rows, right=tuple(range(1, len(heads))))
    came = [f"{zh_ if zh else name} {n}" for name, zh_ in _SINCE if (n := getattr(traced.since, name))]
    nothing = "无变化" if zh else "nothing came"
    typer.echo(("此后: " if zh else "since then: ") + ("; ".join(came) or nothing))
    if again is not None and again[1]:
        typer.echo("按当时所知重算, 结论一致。" if zh else "Assessed again as known then: the same verdict.")
    elif again is not None:
        typer.echo(
            "按当时所知重算, 结论不同!" if zh else "Assessed again as known then: the verdict DIFFERS."
        )


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) <= 1 else f"{value:,.2f}"
    return "" if value is None else str(value)


def _rule(name: str, settings: Settings) -> str:
    from alerts.rule_names import rule_name

    return rule_name(name, settings.language)


def _state(name: str | None, settings: Settings) -> str:
    if name is None:
        return ""
    return _STATES_ZH[_STATES.index(name)] if settings.language == "zh" else str(name)


def _action(name: str, settings: Settings) -> str:
    return _ACTIONS_ZH[name] if settings.language == "zh" else str(name)


def _local(at: datetime, settings: Settings) -> str:
    from zoneinfo import ZoneInfo

    return at.astimezone(ZoneInfo(settings.timezone)).strftime("%Y-%m-%d %H:%M")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
