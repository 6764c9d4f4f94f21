"""`bench assess`: how long it takes to assess a city, what changed buildings cost, and how soon an alert is there
and its mail has left. See docs/decisions/bench-assess.md.
"""

from __future__ import annotations

import random
import secrets
import statistics
import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
from pydantic import SecretStr

from deploy.bench.assess_city import AssessCity, lay_days, register
from deploy.bench.assess_process import Assessed, Assessing, assessing
from deploy.bench.derive_store import Store, mark, put_readings
from deploy.bench.notify_servers import Chance, Taken, failing_mail
from deploy.bench.rig import BenchError, bench_database, machine_facts, require_local_stack
from deploy.clients import connect_database
from deploy.settings import Settings
from deploy.sql import query
from deploy.stack.steps import Steps
from simulators.city import DECIMALS, City, CityOptions

GOALS = {"changed_share": 0.02, "mail_p95_s": 60.0}
_YEARS = 3
#: Sites of a transaction of the limit: as many as a set of the assessor has.
_SITES = 1000
_COLUMNS = "site_id, period, consumption, covered_s"
_PACKED = "int4send(site_id) || date_send(period) || float8send(consumption) || float8send(covered_s)"
_DAYS = "from nengliu.site_period where grain = 'day' and item_code = '01' and site_id = any (%s)"
_ALERT_TIMEOUT_S = 300.0
_LOOK_S = 0.02
#: Who is told of every alert.
_CONTACT = "city@bench.example"


@dataclass(frozen=True, slots=True)
class AssessBench:
    """What to measure: sites; changed: how many of them change at a time; rounds: days' ends; turns: changes; tries:
    readings that put a site over its limit.
    """

    sites: int = 11_258
    changed: int = 100
    rounds: int = 3
    turns: int = 5
    tries: int = 20

    @classmethod
    def scaled(cls, scale: float, tries: int = 20) -> AssessBench:
        """With a share of the buildings, and of those that change."""
        whole = cls()
        return cls(
            max(4, round(whole.sites * scale)), max(1, round(whole.changed * min(scale, 1))), tries=tries
        )


@dataclass(frozen=True, slots=True)
class Told:
    """Seconds from a reading's commit to that of its alert's event, and to the mail in the server's hands."""

    alert_s: float
    mail_s: float

    @property
    def after_alert_s(self) -> float:
        """From the alert's event, as it was seen, to its mail."""
        return max(0.0, self.mail_s - self.alert_s)


def run_assess(settings: Settings, options: AssessBench, steps: Steps) -> dict[str, Any]:
    """Measure; the report. Raises BenchError, DependencyAwayError."""
    require_local_stack(settings, "assess")
    today = datetime.now(ZoneInfo(settings.timezone)).date()
    start = date(today.year - _YEARS, 1, 1)
    city = City(CityOptions(start, (today - start).days, options.sites, 1, 1, 3600, settings.timezone))
    made = AssessCity(city, min(options.tries, options.sites // 2))
    with bench_database(settings, f"bench_{secrets.token_hex(3)}_assess") as database:
        with steps.step("台账", "The registry", long=True):
            store = register(settings, database, made)
        first = city.options.days - options.rounds - 1
        with steps.step("天、小时与读数", "Days, hours and readings", long=True) as step:
            lay_days(store, made, 0, first - 1, step)
            store.settle()
        with assessing(store.url) as process:
            bench = _Bench(store, made, process, options, steps)
            full = bench.full(first)
            limit = bench.limit()
            changed = bench.changed()
            report = _report(options, full, limit, changed, bench.alerts(), bench.wrong)
    return {**report, "goals": GOALS, "missed": missed(report), "machine": machine_facts()}


def missed(report: dict[str, Any]) -> list[str]:
    """The goals that are missed, and what came out wrong."""
    found = [
        f"{name} {report[name]:g}, want at most {goal:g}"
        for name, goal in GOALS.items()
        if report[name] > goal
    ]
    return found + [f"wrong: {name} {count}" for name, count in report["wrong"].items() if count]


class _Bench:
    """The parts, in their order: each goes on from what the one before left."""

    def __init__(
        self, store: Store, made: AssessCity, process: Assessing, options: AssessBench, steps: Steps
    ) -> None:
        self._store, self._made, self._process = store, made, process
        self._options, self._steps = options, steps
        self._zone = ZoneInfo(made.city.options.timezone)
        self._sites = store.series.site_id[:, 0]
        self.wrong = {
            "not_assessed": 0,
            "not_the_sum": 0,
            "changed_not_assessed": 0,
            "no_alert": 0,
            "no_mail": 0,
        }

    def full(self, first: int) -> list[Assessed]:
        """All sites at the end of each of some days; of the first, when limits are written too, nothing is said."""
        rounds = []
        with self._steps.step("全部评估", "Everything assessed", long=True):
            for day in range(first, self._made.city.options.days):
                lay_days(self._store, self._made, day, day)
                rounds.append(self._process.assess(self._after(day)))
                self._check(day)
        return rounds[1:]

    def _after(self, day: int) -> datetime:
        """Some minutes after the end of a day."""
        begin = datetime.combine(self._made.day(day + 1), datetime.min.time(), self._zone)
        return (begin + timedelta(minutes=5)).astimezone(UTC)

    def _check(self, day: int) -> None:
        with self._store.connect() as connection:
            row = connection.execute(query("bench_assess_wrong"), {"day": self._made.day(day)}).fetchone()
        assert row is not None  # counts
        self.wrong["not_assessed"] += row[0]
        self.wrong["not_the_sum"] += row[1]

    def limit(self) -> list[float]:
        """The same days read and the assessments of the last round written, with nothing computed between: seconds,
        read row by row and packed into one value.
        """
        with self._steps.step("不计算的极限", "The limit, without computing", long=True):
            sets = [self._sites[n : n + _SITES].tolist() for n in range(0, len(self._sites), _SITES)]
            with self._store.connect() as connection:
                rows = [self._dumped(connection, some) for some in sets]
            rounds = range(self._options.rounds)
            return [
                statistics.median(self._limit(sets, rows, packed=packed) for _ in rounds)
                for packed in (False, True)
            ]

    def _dumped(self, connection: psycopg.Connection[Any], sites: list[int]) -> bytes:
        statement = (
            "copy (select * from nengliu.quota_assessment where site_id = any (%s)"
            " and assessed_at = (select max(assessed_at) from nengliu.quota_assessment)) to stdout (format binary)"
        )
        with connection.cursor() as cursor, cursor.copy(statement, (sites,)) as copy:
            return b"".join(copy)

    def _limit(self, sets: list[list[int]], rows: list[bytes], *, packed: bool) -> float:
        with connect_database(self._store.settings, "superuser", database=self._store.database) as owner:
            owner.execute(query("bench_assess_limit"))
        began = time.perf_counter()
        with self._store.connect() as connection:
            for sites, written in zip(sets, rows, strict=True):
                with connection.transaction(), connection.cursor() as cursor:
                    if packed:
                        cursor.execute(
                            f"select string_agg({_PACKED}, ''::bytea) {_DAYS}", (sites,), binary=True
                        )
                        cursor.fetchone()
                    else:
                        with cursor.copy(
                            f"copy (select {_COLUMNS} {_DAYS}) to stdout (format binary)", (sites,)
                        ) as copy:
                            b"".join(copy)
                    with cursor.copy("copy bench.quota_assessment from stdin (format binary)") as copy:
                        copy.write(written)
        return time.perf_counter() - began

    def changed(self) -> list[Assessed]:
        """Yesterday of some sites changes, again and again."""
        last = self._made.city.options.days - 1
        now = self._after(last)
        turns = []
        with self._steps.step("部分变化", "Some changed", long=True):
            for turn in range(self._options.turns):
                # From the end: the first ones are kept near their limit.
                end = len(self._sites) - turn * self._options.changed % max(1, len(self._sites) // 2)
                some = self._sites[max(0, end - self._options.changed) : end].tolist()
                with self._store.connect() as connection:
                    connection.execute(
                        query("bench_assess_change"), {"day": self._made.day(last), "sites": some}
                    )
                now += timedelta(seconds=30)
                turns.append(self._process.assess(now))
                self.wrong["changed_not_assessed"] += abs(turns[-1].assessed - 2 * len(some))
            self._check(last)
        return turns

    def alerts(self) -> list[Told]:
        """From the commit of a reading that puts a site over its limit: its alert, and the mail about it."""
        draw = random.Random(1)
        taken, stop = Taken(), Event()
        found = []
        with (
            self._steps.step("读数到邮件", "From a reading to its mail", long=True) as step,
            failing_mail(taken, Chance(1, 0.0, (), taken), stop) as port,
            self._process.working(_telling(self._store.settings, port)),
        ):
            with self._store.connect() as connection:
                connection.execute(
                    "insert into nengliu.contact values ('city', 'Bench', 'zh', 'email', %s, 'warning')",
                    (_CONTACT,),
                )
            for n in range(self._made.over):
                time.sleep(draw.uniform(0, 2))
                told = self._told(n, taken)
                if isinstance(told, str):
                    self.wrong[told] += 1
                else:
                    found.append(told)
                step.advance(n + 1, self._made.over)
            stop.set()
        if not found:
            raise BenchError("no reading over a limit became an alert that was told")
        return found

    def _told(self, n: int, taken: Taken) -> Told | str:
        """Of the site with that number; what is missing after a time, where something is."""
        alert_s = None
        with self._store.connect() as look:
            before = self._newest_alert(look, n)
            self._put_over(n)
            began = time.monotonic()
            while time.monotonic() - began < _ALERT_TIMEOUT_S:
                alert_id = self._newest_alert(look, n)
                if alert_id != before:
                    alert_s = alert_s or time.monotonic() - began
                    if (at := taken.first_at(str(alert_id), _CONTACT)) is not None:
                        return Told(alert_s, at - began)
                time.sleep(_LOOK_S)
        return "no_alert" if alert_s is None else "no_mail"

    def _put_over(self, n: int) -> None:
        """Commit a reading of now that puts a site over its limit, with its mark."""
        o, series = self._made.city.options, self._store.series.series_id[n : n + 1, 0]
        last = o.days - 1
        begin_us = int(self._made.city.day_start_us[-1])
        now_us = time.time_ns() // 1000
        hours = max((now_us - begin_us) / 3.6e9, 0.05)
        hour_kwh = self._made.ticks[n, last] / 24 / 10**DECIMALS
        value = self._made.shown(last)[n] / 10**DECIMALS + max(hour_kwh * hours, 0.05)
        with self._store.connect(autocommit=False) as connection, connection.cursor() as cursor:
            put_readings(cursor, series, np.array([now_us]), np.array([round(value, DECIMALS)]))
            mark(cursor, self._sites[n : n + 1], series, now_us, now_us)

    def _newest_alert(self, connection: psycopg.Connection[Any], n: int) -> int | None:
        """The newest alert of a site whose event is in the outbox: of the year before there may be one, too."""
        row = connection.execute(
            "select max((value ->> 'alert_id')::bigint) from nengliu.event_outbox "
            "where key = %s and value ->> 'rule' = 'quota_over'",
            (self._made.city.sites[n].site_code,),
        ).fetchone()
        assert row is not None  # an aggregate yields one row
        return None if row[0] is None else int(row[0])


def _telling(settings: Settings, port: int) -> Settings:
    """Settings by which everything is told at once, to a mail server on a port of this machine."""
    own = {
        "smtp_url": SecretStr(f"smtp://127.0.0.1:{port}"),
        "smtp_from": "alerts@nengliu.example",
        "smtp_starttls": False,
        "public_url": "https://nengliu.example",
        "page_port": 0,
        "notify_quiet": "",
        "notify_per_hour": 100_000,
        "notify_templates": None,
        "webhooks": {},
    }
    return settings.model_copy(update=own)


def _report(
    options: AssessBench,
    full: list[Assessed],
    limit: list[float],
    changed: list[Assessed],
    told: list[Told],
    wrong: dict[str, int],
) -> dict[str, Any]:
    seconds = statistics.median(run.seconds for run in full)
    some = statistics.median(run.seconds for run in changed)
    limit_s, packed_s = limit
    return {
        "sites": options.sites,
        "years": _YEARS,
        "seconds": round(seconds, 3),
        "sites_per_s": round(options.sites / seconds, 1),
        "cpu_s": round(statistics.median(run.cpu_s for run in full), 3),
        "limit_seconds": round(limit_s, 3),
        "ratio": round(limit_s / seconds, 3),
        "packed_limit_seconds": round(packed_s, 3),
        "packed_ratio": round(packed_s / seconds, 3),
        "changed": options.changed,
        "changed_seconds": round(some, 4),
        "changed_cpu_s": round(statistics.median(run.cpu_s for run in changed), 4),
        "changed_share": round(some / seconds, 4),
        "alerts": len(told),
        **{
            f"{name}_p{share}_s": round(
                float(np.percentile([getattr(t, f"{name}_s") for t in told], share)), 2
            )
            for name in ("alert", "mail", "after_alert")
            for share in (50, 95)
        },
        "peak_rss_mb": max(run.peak_rss_mb for run in [*full, *changed]),
        "rounds": [asdict(run) for run in full],
        "turns": [asdict(run) for run in changed],
        "wrong": wrong,
    }
