"""Scores a simulated run: waits until the platform has all of it, then compares as the read-only role."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from deploy.clients import connect_database
from deploy.settings import Settings
from deploy.stack.steps import Steps
from metering.errors import DependencyAwayError
from simulators.score.platform import Platform
from simulators.score.result import Score
from simulators.score.run import ScoreOptions, score_run
from simulators.truth import TruthFile

_PATIENCE_S = 180.0
#: Looks in a row, so far apart, at which nothing is left and nothing new came.
_QUIET_LOOKS, _BETWEEN_S = 3, 0.5


def score_truth(settings: Settings, steps: Steps, path: Path, options: ScoreOptions, *, wait: bool) -> Score:
    """Score the run whose truth file is `path`. Raises InputFileError where it is none."""
    with _opened(path) as truth:
        if wait:
            _wait(settings, steps, sorted({p.gateway for p in truth.points()}))
        with (
            connect_database(settings, "read", autocommit=True) as connection,
            steps.step("与真值比较", "Compare with the truth", long=True) as step,
        ):
            return score_run(Platform(connection), truth, options, step.advance)


def why_nothing(settings: Settings, steps: Steps, path: Path) -> str:
    """What to do where the platform has no energy of the run's points."""
    with _opened(path) as truth, connect_database(settings, "read", autocommit=True) as connection:
        waits = Platform(connection).has_readings([p.meter for p in truth.points()])
    if waits:
        return steps.text(
            "读数已入库，但没有推算出能耗：请确认台账已导入（nengliu registry import），worker 在运行"
            "（nengliu status），并用 --wait 等待推算完成",
            "its readings are there but no energy: check that its registry is imported (nengliu registry import DIR) "
            "and the worker runs (nengliu status), and give --wait to wait for it",
        )
    return steps.text(
        "数据库中没有这次模拟的任何读数：请先导入其台账并发布（nengliu simulate fleet …），"
        "或检查 NENGLIU_STATE_DIR、NENGLIU_DATABASE_URL 是否指向同一平台",
        "nothing of this run is in the database: import its registry and publish it (nengliu simulate fleet …), "
        "or check that NENGLIU_STATE_DIR or NENGLIU_DATABASE_URL points at the platform that it was sent to",
    )


@contextmanager
def _opened(path: Path) -> Iterator[TruthFile]:
    truth = TruthFile(path, must_exist=True)
    try:
        yield truth
    finally:
        truth.close()


def _wait(settings: Settings, steps: Steps, gateways: list[str]) -> None:
    """Wait until nothing is left to derive and nothing more comes in."""
    with (
        connect_database(settings, "pipeline", autocommit=True) as connection,
        steps.step("等待推算完成", "Wait until everything is derived", long=True) as step,
    ):
        seen, moved, quiet, most = None, time.monotonic(), 0, 1
        while quiet < _QUIET_LOOKS:
            now = _progress(connection, gateways)
            if now != seen:
                seen, moved, quiet = now, time.monotonic(), 0
            elif time.monotonic() - moved > _PATIENCE_S:
                raise DependencyAwayError(
                    f"nothing moved for {_PATIENCE_S:.0f} s with {now[0]} changes to derive; "
                    "`nengliu logs worker` tells more"
                )
            most = max(most, now[0])
            step.advance(most - now[0], most)
            quiet = 0 if now[0] else quiet + 1
            time.sleep(_BETWEEN_S)


def _progress(connection: psycopg.Connection[Any], gateways: list[str]) -> tuple[int, int]:
    from deploy.sql import query

    row = connection.execute(query("score_progress"), {"gateways": gateways}).fetchone()
    assert row is not None
    return row[0], row[1]
