"""The supervisor that starts the stack's processes and restarts what dies: supervisord, spoken to over its socket."""

from __future__ import annotations

import hashlib
import http.client
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ProtocolError, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from deploy.stack.errors import StackError
from deploy.stack.leftovers import MARK
from deploy.stack.site import Process
from deploy.stack.state import StackState, write_private

#: Not for what is supervised: a user's own client settings would mislead servers, and ours come in full.
_HIDDEN_PREFIXES = ("PG", "KAFKA_", "NENGLIU_", "CLASSPATH", "JAVA_TOOL_OPTIONS", "LD_", "SUPERVISOR_")


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the supervisor says of a process: its own word for the state (RUNNING, BACKOFF …), pid or None."""

    name: str
    state: str
    pid: int | None
    detail: str


class Supervisor:
    """The supervisor of one stack."""

    def __init__(self, state: StackState) -> None:
        self._state = state
        self._config = state.run / "supervisord.conf"

    def processes(self) -> dict[str, ProcessState] | None:
        """All processes by name; None where no supervisor runs."""
        try:
            found = self._call("getAllProcessInfo")
        except OSError:
            return None
        return {
            p["name"]: ProcessState(
                p["name"], p["statename"], p["pid"] or None, p["spawnerr"] or p["description"]
            )
            for p in found
        }

    def apply(self, processes: Sequence[Process]) -> None:
        """Make the supervisor run and know exactly these processes; changed ones are stopped, none is started."""
        write_private(self._config, self._text(processes))
        if self.processes() is None:
            self._start()
            return
        ((added, changed, removed),) = self._call("reloadConfig")
        # What uses the servers first: a bridge cannot settle its messages with a Kafka that is gone.
        priority = {p.name: p.priority for p in processes}
        for name in sorted([*changed, *removed], key=lambda n: -priority.get(n, 0)):
            self._stop_and_forget(name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)

    def start(self, name: str) -> None:
        """Start a process unless it runs already; does not wait until it is ready."""
        try:
            self._call("startProcess", name, False)
        except Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise StackError(
                    f"{name} could not be started: {fault.faultString}; see `nengliu logs {name}`"
                ) from None

    def stop(self, name: str) -> None:
        """Stop a process and wait until it is gone."""
        try:
            self._call("stopProcess", name, True)
        except Fault as fault:
            if fault.faultCode not in (Faults.NOT_RUNNING, Faults.BAD_NAME):
                raise

    def shutdown(self) -> int | None:
        """Ask the supervisor to stop everything and end; its pid, None where none runs."""
        try:
            pid = int(self._call("getPID"))
            self._call("shutdown")
        except OSError:
            return None
        return pid

    def _stop_and_forget(self, name: str) -> None:
        with suppress(Fault):
            self._call("stopProcessGroup", name, True)
        self._call("removeProcessGroup", name)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._state.socket}")
        with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except (http.client.HTTPException, ProtocolError) as e:
                raise ConnectionError(str(e)) from e

    def _start(self) -> None:
        hidden = {name for name in os.environ if name.startswith(_HIDDEN_PREFIXES)}
        env = {name: value for name, value in os.environ.items() if name not in hidden}
        env[MARK] = str(self._state.folder)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
        done = subprocess.run(
            command,
            env=env,
            cwd=self._state.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            umask=0o077,
        )
        if done.returncode != 0:
            raise StackError(f"the supervisor did not start: {(done.stdout + done.stderr).strip()[-800:]}")

    def _text(self, processes: Sequence[Process]) -> str:
        run = self._state.run
        user = "user=root\n" if os.geteuid() == 0 else ""
        head = (
            "; Written by `nengliu up`.\n"
            f"[unix_http_server]\nfile={_value(self._state.socket)}\nchmod=0600\n\n"
            f"[supervisord]\nlogfile={_value(self._state.logs / 'supervisor.log')}\nlogfile_maxbytes=5MB\n"
            f"logfile_backups=1\npidfile={_value(run / 'supervisord.pid')}\n"
            f"childlogdir={_value(self._state.logs)}\nidentifier=nengliu\numask=077\nminfds=1024\n{user}\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        )
        return head + "".join(self._section(p) for p in processes)

    def _section(self, process: Process) -> str:
        command, digest = process.command, process.digest
        if process.environment:
            # Not in `environment`, whose values cannot hold quotes; nor in the arguments, which everybody may read.
            text = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in sorted(process.environment.items()))
            file = self._state.run / f"{process.name}.env"
            write_private(file, text)
            command = ["sh", "-c", '. "$0" && exec "$@"', str(file), *command]
            digest += hashlib.sha256(text.encode()).hexdigest()[:16]
        lines = {
            "command": _value(shlex.join(command)),
            "directory": _value(process.folder),
            # Only so that another configuration of the server makes another section, which restarts it.
            "environment": f'NENGLIU_CONFIG_DIGEST="{digest}"',
            "priority": process.priority,
            "autostart": "false",
            "autorestart": "true",
            "startsecs": 1,
            # Waits one second longer after each failure; never gives up for good.
            "startretries": 1000000,
            "stopsignal": process.stop_signal,
            "stopwaitsecs": process.stop_wait_s,
            # Relative to where supervisord is started: it expands a % in this one twice.
            "stdout_logfile": f"{self._state.logs.name}/{process.name}.log",
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": 2,
            "redirect_stderr": "true",
        }
        return f"\n[program:{process.name}]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())


def _value(text: str | Path) -> str:
    """Escape what the supervisor would expand, and what it takes for a comment."""
    if "\n" in str(text) or " ;" in str(text):
        raise StackError(
            f"{str(text)!r}: a line break or ' ;' cannot be used in paths or settings of the local stack"
        )
    return str(text).replace("%", "%%")
