"""`nengliu registry history`: every version of the registry's rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from deploy.settings import Settings, load_settings

_HEADS_ZH = ("版本", "时间", "导入人", "种类", "对象", "变化", "说明")
_HEADS_EN = ("version", "at", "by", "kind", "row", "what changed", "note")
_KINDS_ZH = {
    "site": "建筑", "point": "计量点", "installation": "安装", "rule": "规则", "quota": "限额", "contact": "联系人",
}  # fmt: skip


def history(
    site: Annotated[
        str | None, typer.Option(help="Only this site code, with its points and their meters.")
    ] = None,
    point: Annotated[str | None, typer.Option(help="Only this point code, with its meters.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every version, oldest first: when, by whom, and what changed from what to what."""
    from deploy.cli.quota_commands import _print_json
    from deploy.clients import connect_database
    from storage.registry_history import registry_history

    settings = load_settings()
    with connect_database(settings, "pipeline", autocommit=True) as connection:
        found = [asdict(row) for row in registry_history(connection, site, point, meter)]
    if as_json:
        _print_json(found)
        return
    _print_history(found, settings)


def _print_history(found: list[dict[str, Any]], settings: Settings) -> None:
    from deploy.cli.finding_commands import _local
    from deploy.cli.quota_commands import _print_table

    zh = settings.language == "zh"
    rows = [
        (
            str(f["version"]), _local(f["imported_at"], settings), f["actor"],
            _KINDS_ZH.get(f["kind"], f["kind"]) if zh else f["kind"], " ".join(map(str, f["key"])),
            _changes(f, zh), f["note"] or "",
        )
        for f in found
    ]  # fmt: skip
    _print_table(_HEADS_ZH if zh else _HEADS_EN, rows, right=(0,))


def _changes(row: dict[str, Any], zh: bool) -> str:
    if row["new"]:
        said = ", ".join(f"{c} {new}" for c, (_, new) in row["changed"].items() if new is not None)
        return f"{'新增' if zh else 'new'}: {said}"
    return ", ".join(f"{c}: {_shown(old)} -> {_shown(new)}" for c, (old, new) in row["changed"].items())


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
