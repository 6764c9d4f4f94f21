"""`make fuzz`: throws hostile inputs at every decoder, and says what became of them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import found, report
from .campaign import Ending, carry_out, chunks
from .chunks import Chunk, Tally
from .targets import targets

_OUT = Path(__file__).parent.parent.parent / "out/fuzz"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=…", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000, help="how many in all (10000000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same inputs (1)")
    parser.add_argument("--formats", help=f"only these, comma-separated: {', '.join(targets())}")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes; default: all cores"
    )
    parser.add_argument("--folder", type=Path, default=_OUT, help="where findings are written (out/fuzz)")
    parser.add_argument("--json", action="store_true", help="print nothing but the summary, as JSON")
    options = parser.parse_args()
    options.formats = options.formats.split(",") if options.formats else list(targets())
    if unknown := sorted(set(options.formats) - targets().keys()):
        parser.error(f"unknown format: {', '.join(unknown)}")
    if options.inputs < 1 or options.workers < 1:
        parser.error("--inputs and --workers are 1 or more")
    return options


def main() -> int:
    """0: nothing was found; 1: something was, or it was broken off; 2: wrong use."""
    options = _arguments()
    console = Console(stderr=options.json)
    todo = chunks(options.inputs, options.formats)
    tallies = {name: Tally() for name in options.formats}
    began = time.monotonic()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        bar = progress.add_task("inputs", total=options.inputs)

        def say(chunk: Chunk, tally: Tally) -> None:
            tallies[chunk.target].add(tally)
            progress.advance(bar, tally.inputs)

        ending = carry_out(todo, options.seed, options.workers, say)
    return _tell(console, options, tallies, ending, time.monotonic() - began)


def _tell(
    console: Console,
    options: argparse.Namespace,
    tallies: dict[str, Tally],
    ending: Ending,
    wall_s: float,
) -> int:
    cases = [
        str(found.write(found.smaller(targets()[name], f), options.folder))
        for name, tally in tallies.items()
        for f in tally.findings
    ]
    total = report.summed(tallies)
    ok = not (cases or total.exceptions or total.breaches or ending.died)
    summary = {
        "seed": options.seed,
        "workers": options.workers,
        "wall_s": round(wall_s, 1),
        "broken_off": ending.broken_off,
        "died": [f"{c.target} {c.number}" for c in ending.died],
        "ok": ok,
        "total": report.described(total),
        "targets": {name: report.described(t) for name, t in tallies.items()},
        "cases": cases,
    }
    if options.json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return 0 if ok and not ending.broken_off else 1
    console.print(report.table(tallies))
    console.print_json(json.dumps(summary))
    for case in cases:
        console.print(f"[red]found[/]: {case}", highlight=False)
    if ending.died:
        console.print("[red]a process died; one of these took it down: " + ", ".join(summary["died"]))
    if ending.broken_off:
        console.print(f"broken off after {total.inputs:,} of {options.inputs:,} inputs", highlight=False)
    return 0 if ok and not ending.broken_off else 1


if __name__ == "__main__":
    sys.exit(main())
