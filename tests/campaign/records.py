"""The campaign's file: a JSON line a run, which an interrupted campaign goes on from; and what it adds up to."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from .child import ROOT
from .run import Result

MEDIAN_LIMIT_S, LONGEST_LIMIT_S = 15.0, 60.0


def revision() -> str:
    """The code that is tried: the commit, with "+" where files differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD").strip()
        return head + ("+" if _git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Records:
    """The file, and the code that is tried now."""

    file: Path
    revision: str

    def append(self, result: Result) -> None:
        """Keep a run, on disk."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as f:
            f.write(json.dumps({**asdict(result), "revision": self.revision}) + "\n")
            f.flush()
            os.fsync(f.fileno())

    def runs(self, any_revision: bool = False) -> list[dict[str, Any]]:
        """The runs of this code, or of all; of one that was carried out twice, the last."""
        if not self.file.is_file():
            return []
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for line in self.file.read_text(encoding="utf-8").splitlines():
            run = _parsed(line)
            if run is not None and (any_revision or run["revision"] == self.revision):
                found[run["kind"], run["seed"]] = run
        return list(found.values())


def _parsed(line: str) -> dict[str, Any] | None:
    """A line; None for one that was being written when the campaign was killed."""
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return found


@dataclass(frozen=True, slots=True)
class Summary:
    """What runs add up to. recovery_…: to the first new row; every_recovery_…: to a new row of every gateway;
    rss_most_mb: what the largest of our services filled after a run."""

    runs: int
    kinds: int
    pairs: int
    readings: int
    messages: int
    lost: int
    doubled: int
    wrong: int
    missing: int
    rejected: int
    repeated: int
    recovery_median_s: float | None
    recovery_longest_s: float | None
    every_recovery_median_s: float | None
    every_recovery_longest_s: float | None
    rss_most_mb: float
    failed: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found wanting, recovery included."""
        return (
            bool(self.runs)
            and not self.failed
            and (self.recovery_median_s or 0) <= MEDIAN_LIMIT_S
            and (self.recovery_longest_s or 0) <= LONGEST_LIMIT_S
        )


def summarize(runs: Sequence[dict[str, Any]]) -> Summary:
    """Add runs up."""
    counts = ("readings", "messages", "lost", "doubled", "wrong", "missing", "rejected", "repeated")
    first, every = (_known(runs, name) for name in ("recovery_s", "every_recovery_s"))
    return Summary(
        runs=len(runs),
        kinds=len({run["kind"] for run in runs if not run["pair"]}),
        pairs=len({run["kind"] for run in runs if run["pair"]}),
        **{name: sum(run[name] for run in runs) for name in counts},
        recovery_median_s=statistics.median(first) if first else None,
        recovery_longest_s=max(first, default=None),
        every_recovery_median_s=statistics.median(every) if every else None,
        every_recovery_longest_s=max(every, default=None),
        rss_most_mb=max((mb for run in runs for mb in run["rss_mb"].values()), default=0.0),
        failed=tuple(f"{run['kind']} seed {run['seed']}" for run in runs if not run["ok"]),
    )


def _known(runs: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [run[name] for run in runs if run[name] is not None]


def table(runs: Iterable[dict[str, Any]]) -> Table:
    """A line a kind."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        by_kind.setdefault(run["kind"], []).append(run)
    shown = Table("fault", *(("runs", "readings", "lost", "doubled", "wrong", "missing", "recovery s", "ok")))
    for kind, its in by_kind.items():
        one = summarize(its)
        recovery = "-"
        if one.recovery_median_s is not None:
            recovery = f"{one.recovery_median_s:.1f} … {one.recovery_longest_s:.1f}"
        counts = (one.runs, one.readings, one.lost, one.doubled, one.wrong, one.missing)
        shown.add_row(kind, *map(str, counts), recovery, "no" if one.failed else "yes")
    return shown
