"""`nengliu edge`: the building-side collector."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.settings import Settings, load_settings

_HEADS_ZH = ("总线", "表计", "状态", "最近应答", "连续失败", "时钟偏差/s", "说明")
_HEADS_EN = ("bus", "meter", "state", "last answer", "failures", "clock off/s", "error")


def edge(
    config: Annotated[
        Path | None, typer.Option(help="Buses and meters, a TOML file; default: NENGLIU_EDGE_CONFIG.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the configuration.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show the outbox and how each meter answers; nothing is started.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Print a configuration to start from; it explains its keys.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check or --status: print JSON.")] = False,
) -> None:
    """Poll meters over Modbus, DL/T 645 and CJ/T 188, keep what they say in an outbox, and publish it.

    A message leaves the outbox only when the platform's database has it. Stops at SIGTERM.

    NENGLIU_EDGE_MQTT_URL=mqtt://GATEWAY:password@host:port says where to, with what `gateway add` printed.

    Over TLS it is mqtts://, with NENGLIU_EDGE_MQTT_CA_FILE, and _CERT_FILE and _KEY_FILE for a login by certificate.
    """
    if example:
        typer.echo(files("collectors.edge").joinpath("example.toml").read_text(encoding="utf-8"), nl=False)
        return
    settings = load_settings()
    if config is not None:
        settings = settings.model_copy(update={"edge_config": config})
    if check:
        _check(settings, as_json)
    elif status:
        _status(settings, as_json)
    elif as_json:
        raise typer.BadParameter("--json goes with --check or --status")
    else:
        from deploy.services import edge as service

        service.main(settings)


def _check(settings: Settings, as_json: bool) -> None:
    from collectors.edge.config import load_config
    from deploy.services.edge import edge_endpoint, edge_outbox

    buses = load_config(settings.edge_config).buses
    endpoint = edge_endpoint(settings)
    if as_json:
        told = [{"bus": b.name, "protocol": b.protocol, "meters": [m.meter for m in b.meters]} for b in buses]
        typer.echo(json.dumps({"gateway": endpoint.username, "buses": told}, ensure_ascii=False))
        return
    zh = settings.language == "zh"
    for bus in buses:
        typer.echo(f"  {bus.name}  {bus.protocol}  {len(bus.meters)} {'块表' if zh else 'meters'}")
    outbox = edge_outbox(settings)
    typer.echo(
        f"配置正确。网关 {endpoint.username},发件箱 {outbox}"
        if zh
        else f"The configuration is good. Gateway {endpoint.username}, outbox {outbox}"
    )


def _status(settings: Settings, as_json: bool) -> None:
    from collectors.edge.outbox import outbox_state
    from deploy.services.edge import edge_outbox, health_file

    path = edge_outbox(settings)
    state = outbox_state(path)
    health: dict[str, Any] = {}
    if health_file(path).is_file():
        health = json.loads(health_file(path).read_text(encoding="utf-8"))
    if as_json:
        told = {
            "outbox": {
                "path": str(path),
                "name": state.name,
                "waiting": state.waiting,
                "last_seq": state.last_seq,
                "oldest": None if state.oldest is None else state.oldest.isoformat(),
                "refused": state.refused,
            },
            "health": health or None,
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    zh = settings.language == "zh"
    oldest = _moment(None if state.oldest is None else state.oldest.isoformat())
    typer.echo(
        f"发件箱 {path}:待发 {state.waiting} 条,最早 {oldest or '–'},最后编号 {state.last_seq}"
        if zh
        else f"Outbox {path}: {state.waiting} wait, the oldest since {oldest or '–'}; last number {state.last_seq}"
    )
    for reason, count in state.refused.items():
        typer.echo(f"  {'平台拒收' if zh else 'rejected by the platform'} {reason}: {count}")
    if not health:
        typer.echo("采集器尚未运行过。" if zh else "The collector has not run yet.")
        return
    _print_health(health, zh)


def _print_health(health: dict[str, Any], zh: bool) -> None:
    from deploy.cli.quota_commands import _print_table

    link = {True: ("已连接", "connected"), False: ("未连接", "not connected")}[bool(health["connected"])]
    extras = (
        ("", "")
        if health["extras_allowed"]
        else (",磁盘将满,只采总量", ", the disk is nearly full: totals only")
    )
    typer.echo(f"{_moment(health['at'])}  {link[not zh]}{extras[not zh]}")
    rows = []
    for m in health["meters"]:
        state = ("正常", "answers") if m["last_ok"] and not m["failures_in_a_row"] else ("无应答", "silent")
        offset = "" if m["clock_offset_s"] is None else str(round(m["clock_offset_s"]))
        rows.append(
            (
                m["bus"], m["meter"], state[not zh], _moment(m["last_ok"]), str(m["failures_in_a_row"]),
                offset, m["last_error"] or "",
            )
        )  # fmt: skip
    _print_table(_HEADS_ZH if zh else _HEADS_EN, rows, right=(4, 5))


def _moment(text: str | None) -> str:
    return "" if text is None else datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
