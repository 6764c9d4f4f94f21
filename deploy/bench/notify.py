"""`bench notify`: notifications through servers that fail at random, sent by workers that are killed every few seconds.

Everything that was enqueued must arrive; what arrives again must carry the key that it had; what a rolled-back
transaction enqueued must never arrive.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from typing import Any

import psycopg

from alerts.notify.signing import target_secret
from alerts.notify.store import enqueue_transition
from deploy.bench.notify_servers import MAIL_FAULTS, WEB_FAULTS, Chance, Taken, failing_mail, failing_web
from deploy.bench.rig import BenchError, bench_database, require_local_stack
from deploy.clients import connect_database, database_url
from deploy.services import work
from deploy.settings import Settings, load_settings
from deploy.sql import query
from deploy.stack.steps import Steps

Connection = psycopg.Connection[tuple[Any, ...]]

#: Half of them by mail, half by webhook, of these each half to one of two servers.
_CONTACTS = 20
_STALL_S = 400.0
_LOOK_S = 0.2

#: Workers are forked from a process that has imported everything: one that is killed is replaced at once.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@dataclass(frozen=True, slots=True)
class NotifyBench:
    """count: notifications, rounded up to whole alerts; fail_share: of tries that a server spoils; kill_every_s:
    between two kill -9 of a worker, more or less by half; with_chart: alerts with energy and a quota, for a chart;
    least_kills: goes on until so many were killed.
    """

    count: int = 10_000
    workers: int = 3
    fail_share: float = 0.2
    kill_every_s: float = 3.0
    seed: int = 1
    with_chart: int = 50
    least_kills: int = 0

    @property
    def alerts(self) -> int:
        """How many alerts there are."""
        return -(-self.count // _CONTACTS)


def run_notify(settings: Settings, options: NotifyBench, steps: Steps) -> dict[str, Any]:
    """Enqueue, send, kill; and what came of it. lost: enqueued and never arrived; other_key: repeats under another key;
    unknown: what arrived and was never enqueued.
    """
    require_local_stack(settings, "notify")
    name = f"bench_notify_{secrets.token_hex(4)}"
    secret = secrets.token_hex(32)
    stop, taken = Event(), Taken()
    with ExitStack() as stack:
        stack.enter_context(bench_database(settings, name))
        stack.callback(stop.set)
        chances = [
            Chance(options.seed + n, options.fail_share, kinds, taken)
            for n, kinds in enumerate((MAIL_FAULTS, WEB_FAULTS, WEB_FAULTS))
        ]
        mail = stack.enter_context(failing_mail(taken, chances[0], stop))
        web = [
            stack.enter_context(
                failing_web(
                    taken,
                    chance,
                    stop,
                    lambda url: target_secret(secret.encode(), url),
                    lambda: int(time.time()),
                )
            )
            for chance in chances[1:]
        ]
        conn = stack.enter_context(connect_database(settings, "pipeline", autocommit=True, database=name))
        _fill(conn, options, web)
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        crew = _Crew(_environment(settings, name, secret, mail), logs, random.Random(options.seed))
        stack.callback(crew.end)
        began = time.monotonic()
        with steps.step("发送并不断杀掉进程", "Send, and kill workers all the time", long=True) as step:
            _enqueue(conn, 0, options.alerts // 2)
            crew.start(options.workers)
            _enqueue(conn, options.alerts // 2, options.alerts)
            for sent in _until_all_are_sent(conn, crew, options):
                step.advance(sent, options.alerts * _CONTACTS)
        seconds = time.monotonic() - began
        crew.end()
        return _report(conn, options, taken, crew, seconds)


def _fill(conn: Connection, options: NotifyBench, web: list[int]) -> None:
    """Sites, each with an alert and its transition; contacts that listen to the whole city."""
    contacts = [
        ("email", f"c{n}@bench.example")
        if n % 2 == 0
        else ("webhook", f"http://127.0.0.1:{web[(n // 2) % len(web)]}/c{n}")
        for n in range(_CONTACTS)
    ]
    languages = ["zh" if n % 4 < 2 else "en" for n in range(_CONTACTS)]
    keys = {
        "alerts": options.alerts,
        "with_chart": options.with_chart,
        "names": [f"C{n}" for n in range(_CONTACTS)],
        "channels": [channel for channel, _ in contacts],
        "addresses": [address for _, address in contacts],
        "languages": languages,
    }
    for statement in query("bench_notify_fill").split(";"):
        if statement.strip():
            conn.execute(statement, keys)


def _enqueue(conn: Connection, first: int, last: int) -> None:
    """Each alert's notifications in a transaction of its own; before it one that is rolled back."""
    ids = conn.execute(
        "select alert_id from nengliu.alert order by alert_id offset %s limit %s", (first, last - first)
    )
    for (alert_id,) in ids.fetchall():
        if alert_id % 10 == 0:
            with conn.transaction(force_rollback=True):
                enqueue_transition(conn, alert_id)
        with conn.transaction():
            if enqueue_transition(conn, alert_id) != _CONTACTS:
                raise BenchError(f"alert {alert_id} was not told to {_CONTACTS} contacts")


def _environment(settings: Settings, database: str, secret: str, mail: int) -> dict[str, str]:
    """The settings of the workers: no pauses for people, short ones for servers."""
    return {
        "NENGLIU_STATE_DIR": str(settings.state_dir.absolute()),
        "NENGLIU_TIMEZONE": settings.timezone,
        "NENGLIU_DATABASE_URL": database_url(settings, "worker", database),
        "NENGLIU_LINK_SECRET": secret,
        "NENGLIU_PUBLIC_URL": "https://nengliu.example",
        "NENGLIU_SMTP_URL": f"smtp://127.0.0.1:{mail}",
        "NENGLIU_SMTP_FROM": "alerts@nengliu.example",
        "NENGLIU_SMTP_STARTTLS": "false",
        "NENGLIU_WEBHOOK_INSIDE": json.dumps(["127.0.0.1"]),
        "NENGLIU_NOTIFY_PER_HOUR": "100000",
        "NENGLIU_NOTIFY_QUIET": "",
        "NENGLIU_NOTIFY_RETRY": "0.2",
        "NENGLIU_NOTIFY_TIMEOUT": "1",
        "NENGLIU_LOG_LEVEL": "info",
    }


def _run_worker(environment: dict[str, str], log: str) -> None:
    """What a worker's process does: `nengliu work`, with settings of its own."""
    for name in [name for name in os.environ if name.startswith("NENGLIU_")]:
        del os.environ[name]
    os.environ.update(environment)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    work.main(load_settings())


@dataclass
class _Worker:
    """A worker's process and its log."""

    process: BaseProcess
    log: Path

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.join()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


@dataclass
class _Crew:
    """Workers, of which one is killed now and then and replaced by another."""

    environment: dict[str, str]
    logs: Path
    random: random.Random
    workers: list[_Worker] = field(default_factory=list)
    kills: int = 0
    _made: int = 0

    def start(self, size: int) -> None:
        """Begin with so many."""
        self.workers = [self._worker() for _ in range(size)]

    def _worker(self) -> _Worker:
        self._made += 1
        log = self.logs / f"worker-{self._made}"
        log.touch()
        process = _FORKS.Process(target=_run_worker, args=(self.environment, str(log)), daemon=True)
        process.start()
        return _Worker(process, log)

    def kill_one(self) -> None:
        """Kill one, and put another in its place. Raises BenchError where one ended by itself."""
        for worker in self.workers:
            if worker.process.exitcode is not None:
                raise BenchError(f"a worker ended by itself ({worker.process.exitcode}):\n{worker.tail()}")
        n = self.random.randrange(len(self.workers))
        self.workers[n].kill()
        self.kills += 1
        self.workers[n] = self._worker()

    def tail(self) -> str:
        """The ends of their logs."""
        return "\n".join(worker.tail() for worker in self.workers)

    def end(self) -> None:
        """Kill them all."""
        for worker in self.workers:
            worker.kill()
        self.workers = []


def _states(conn: Connection, state: str) -> int:
    row = conn.execute("select count(*) from nengliu.notification where state = %s", (state,)).fetchone()
    assert row is not None  # an aggregate yields one row
    return int(row[0])


def _until_all_are_sent(conn: Connection, crew: _Crew, options: NotifyBench) -> Iterator[int]:
    """Kill a worker every few seconds, where something was sent since the last kill, until nothing waits; yields how
    many are sent. Raises BenchError at a stall.
    """
    before, last, since = 0, 0, time.monotonic()
    kill_at = since + options.kill_every_s
    while True:
        sent, waiting, now = _states(conn, "sent"), _states(conn, "waiting"), time.monotonic()
        yield sent
        if not waiting and crew.kills >= options.least_kills:
            return
        if sent > last:
            last, since = sent, now
        if now >= kill_at and (sent > before or not waiting):
            crew.kill_one()
            before, kill_at = sent, now + options.kill_every_s * crew.random.uniform(0.5, 1.5)
        if now - since > _STALL_S:
            raise BenchError(f"nothing was sent for {_STALL_S:.0f} s, {waiting} wait:\n{crew.tail()}")
        time.sleep(_LOOK_S)


def _report(
    conn: Connection, options: NotifyBench, taken: Taken, crew: _Crew, seconds: float
) -> dict[str, Any]:
    rows = conn.execute("select key, state, attempts from nengliu.notification").fetchall()
    took = conn.execute(
        "select percentile_cont(array[0.5, 0.95]) within group (order by extract(epoch from sent_at - created_at)) "
        "from nengliu.notification where state = 'sent'"
    ).fetchone()
    p50, p95 = (took and took[0]) or (None, None)
    enqueued = {key for key, _, _ in rows}
    arrived = taken.all_keys()
    report = {
        "notifications": len(rows),
        "arrived": len(enqueued & arrived.keys()),
        "lost": len(enqueued - arrived.keys()),
        "not_sent": sum(state != "sent" for _, state, _ in rows),
        "repeats": arrived.total() - len(arrived),
        "other_key": sum(len(keys) - 1 for keys in taken.keys.values()),
        "unknown": len(arrived.keys() - enqueued),
        "not_genuine": taken.wrong,
        "attempts": sum(attempts for _, _, attempts in rows),
        "kills": crew.kills,
        "faults": dict(taken.faults),
        "seconds": round(seconds, 1),
        "per_s": round(len(rows) / seconds, 1),
        "written_to_sent_p50_s": p50 and round(p50, 1),
        "written_to_sent_p95_s": p95 and round(p95, 1),
        "seed": options.seed,
    }
    wrong = ("lost", "not_sent", "other_key", "unknown", "not_genuine")
    return report | {"passed": len(rows) >= options.count and not any(report[name] for name in wrong)}
