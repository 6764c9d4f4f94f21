"""The `nengliu` command: puts the groups of commands together and turns errors into messages and exit codes.

A command's module is imported only when that command is asked for, so that each starts fast and one that cannot
be imported harms no other. Exit codes: 0 done, 1 found wanting, 2 wrong use.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from metering.errors import InputFileError, NengliuError, SettingError


@dataclass(frozen=True, slots=True)
class Source:
    """Where a command is: a module of this folder, the attribute there, one line of help."""

    module: str
    attribute: str
    help: str


#: Command -> where it is. The attribute is a typer app (a group) or a function (a single command).
COMMANDS: dict[str, Source] = {
    "up": Source("stack_commands", "up", "Start the local stack: servers, migrations, services."),
    "down": Source("stack_commands", "down", "Stop the local stack."),
    "status": Source("stack_commands", "status", "Show servers, services and what they do."),
    "logs": Source("stack_commands", "logs", "Show the log of a server or service."),
    "migrate": Source("stack_commands", "migrate", "Bring the database to the newest schema."),
    "settings": Source("stack_commands", "settings", "Show the settings in force and where they come from."),
    "demo": Source("demo_commands", "demo", "Replay four real buildings and show their quota alerts."),
    "registry": Source("registry_commands", "registry", "Import, export and check the registry."),
    "factors": Source("factor_commands", "factors", "Import, check and show conversion factors."),
    "readings": Source("readings_commands", "readings", "Import readings from files; judge those in doubt."),
    "energy": Source("energy_commands", "energy", "Export energy to files."),
    "rejects": Source("reject_commands", "rejects", "List, show and put in again what could not be used."),
    "reconcile": Source("reconcile_commands", "reconcile", "Prove what came in, and name what is missing."),
    "findings": Source("finding_commands", "findings", "List what is silent and what stays missing."),
    "retention": Source("retention_commands", "retention", "Show and apply how long raw readings are kept."),
    "gateway": Source("gateway_commands", "gateway", "Add and remove gateways."),
    "collect": Source("service_commands", "collect", "Run a bridge: MQTT to Kafka."),
    "edge": Source("edge_commands", "edge", "Run an edge collector: poll meters, publish over MQTT."),
    "write": Source("service_commands", "write", "Run a writer: Kafka to the database."),
    "work": Source("service_commands", "work", "Run a worker: energy, assessment, alerts."),
    "derive": Source("work_commands", "derive", "Derive energy again, by hand."),
    "simulate": Source("simulate_commands", "simulate", "Simulate meters and gateways."),
    "quota": Source("quota_commands", "quota", "Import, show and assess quotas."),
    "alerts": Source("alert_commands", "alerts", "List, show, acknowledge and close alerts."),
    "bench": Source("bench_commands", "bench", "Measure speed."),
    "report": Source("report_commands", "report", "Write the HTML report."),
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names of the commands whose modules exist."""
        return [name for name, source in COMMANDS.items() if _exists(source)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command, imported now."""
        source = COMMANDS.get(cmd_name)
        if source is None or not _exists(source):
            return None
        found = getattr(importlib.import_module(f"deploy.cli.{source.module}"), source.attribute, None)
        return None if found is None else _as_command(cmd_name, found, source.help)


def _exists(source: Source) -> bool:
    return importlib.util.find_spec(f"deploy.cli.{source.module}") is not None


def _as_command(name: str, found: Any, text: str) -> Any:
    if isinstance(found, typer.Typer):
        command = get_command(found)
    else:
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name=name)(found)
        command = get_command(single)
    command.name = name
    command.help = command.help or text
    command.short_help = text
    return command


def main() -> None:
    """Entry point of the console script."""
    app = typer.Typer(
        cls=LazyGroup,
        name="nengliu",
        help="能流: from smart meters to building energy-quota alerts.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)
    try:
        get_command(app)(prog_name="nengliu")
    except NengliuError as e:
        print(f"nengliu: {e}", file=sys.stderr)  # noqa: T201
        sys.exit(2 if isinstance(e, SettingError | InputFileError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except (PermissionError, IsADirectoryError, NotADirectoryError, FileNotFoundError, FileExistsError) as e:
        if e.filename is None:
            raise
        print(f"nengliu: {e.filename}: {e.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
