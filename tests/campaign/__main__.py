"""`make campaign`: carries out what was not carried out yet of this code, then says what it all adds up to."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from .campaign import Task, carry_out
from .child import ROOT
from .faults import KINDS, PAIRS, make_fault
from .records import Records, revision, summarize, table
from .rig import enter_own_mounts, may_mount
from .run import Result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make campaign ARGS=…", description=__doc__)
    parser.add_argument("--kinds", help="only these faults, comma-separated; default: all")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each kind (5)")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help=f"pairs of faults ({len(PAIRS)})")
    parser.add_argument("--readings", type=int, default=12_000, help="about how many readings a run (12000)")
    parser.add_argument("--folder", type=Path, default=ROOT / "out/campaign", help="where all is kept")
    parser.add_argument(
        "--again", action="store_true", help="also what this code has passed or failed already"
    )
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="add up this file and end")
    options = parser.parse_args()
    unknown = {part for kind in (options.kinds or "").split(",") if kind for part in kind.split("+")} - {
        *KINDS
    }
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; --list lists the faults")
    return options


def _tasks(options: argparse.Namespace) -> list[Task]:
    if options.kinds:
        kinds = options.kinds.split(",")
        return [(kind, seed) for seed in range(1, options.seeds + 1) for kind in kinds]
    singles = [(kind, seed) for seed in range(1, options.seeds + 1) for kind in KINDS]
    return singles + [("+".join(pair), 1) for pair in PAIRS[: options.pairs]]


def main() -> int:
    """0: all runs are good and recovery is within its limits; 1: something was found wanting; 2: wrong use."""
    options = _arguments()
    console = Console()
    if options.list:
        console.print("\n".join([*KINDS, *("+".join(pair) for pair in PAIRS)]), highlight=False)
        return 0
    if options.summary:
        return _tell(console, Records(options.summary, revision=""), any_revision=True)
    enter_own_mounts([sys.executable, "-m", "tests.campaign", *sys.argv[1:]])
    return _campaign(console, options)


def _campaign(console: Console, options: argparse.Namespace) -> int:
    folder = options.folder.absolute()
    records = Records(folder / "runs.jsonl", revision())
    done = set() if options.again else {(run["kind"], run["seed"]) for run in records.runs()}
    tasks = _tasks(options)
    left = [task for task in tasks if task not in done]
    impossible = [] if may_mount() else [t for t in left if "disks" in make_fault(*t).needs]
    left = [task for task in left if task not in impossible]
    console.print(f"{len(tasks)} runs, {len(left)} to do; {records.file}", highlight=False)
    number = len(tasks) - len(left)

    def say(result: Result) -> None:
        nonlocal number
        number += 1
        records.append(result)
        console.print(_line(number, len(tasks), result), highlight=False)

    carry_out(left, folder, options.readings, say)
    for kind, seed in impossible:
        console.print(f"[red]not carried out: {kind} seed {seed}: no file system may be mounted here")
    return _tell(console, records) or bool(impossible)


def _line(number: int, of: int, r: Result) -> str:
    mark = "[green]ok[/]" if r.ok else "[red]FAILED[/]"
    recovery = "never" if r.recovery_s is None else f"{r.recovery_s:.1f} s"
    text = (
        f"{number:3}/{of} {mark} {r.kind} seed {r.seed}: {r.readings} readings, recovery {recovery}, "
        f"{r.duration_s:.0f} s"
    )
    if r.ok:
        return text
    counts = f"lost {r.lost}, doubled {r.doubled}, wrong {r.wrong}, missing {r.missing}"
    return "\n        ".join([text, counts, *r.problems])


def _tell(console: Console, records: Records, any_revision: bool = False) -> int:
    runs = records.runs(any_revision)
    console.print(table(runs))
    summary = summarize(runs)
    console.print_json(json.dumps({**asdict(summary), "ok": summary.ok}))
    return 0 if summary.ok else 1


if __name__ == "__main__":
    sys.exit(main())
