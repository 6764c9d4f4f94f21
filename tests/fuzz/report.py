"""What a campaign says in the end: a table, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from .chunks import Tally


def summed(tallies: Mapping[str, Tally]) -> Tally:
    """All targets together."""
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    return total


def table(tallies: Mapping[str, Tally]) -> Table:
    """A row for each target. read: share of the inputs that gave readings; raised, broken: inputs; ms: the slowest."""
    out = Table(title="Decoders", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    out.add_column("target", no_wrap=True)
    for name in ("inputs", "inputs/s", "read", "refused", "raised", "broken", "ms", "of bytes"):
        out.add_column(name, justify="right", no_wrap=True)
    for name, t in [*tallies.items(), ("all", summed(tallies))]:
        ms, size = t.slowest
        out.add_row(
            name,
            f"{t.inputs:,}",
            f"{_rate(t):,}",
            _share(t.with_readings, t.inputs),
            _share(t.refused.total(), t.inputs),
            str(t.exceptions),
            str(t.breaches),
            f"{ms:.0f}",
            f"{size:,}",
            style="bold red" if t.exceptions or t.breaches else "",
        )
    return out


def described(t: Tally) -> dict[str, Any]:
    """A tally as JSON. inputs_per_s: a second of processor time, checks included; refused: inputs by reason; rejected:
    values by reason.
    """
    return {
        "inputs": t.inputs,
        "payload_bytes": t.payload_bytes,
        "seconds": round(t.seconds, 1),
        "inputs_per_s": _rate(t),
        "with_readings": t.with_readings,
        "readings": t.readings,
        "refused": _sorted(t.refused),
        "rejected": _sorted(t.rejected),
        "exceptions": t.exceptions,
        "breaches": t.breaches,
        "slowest_ms": round(t.slowest[0], 2),
        "slowest_bytes": t.slowest[1],
        "slowest_large_ms_per_kb": round(t.slowest_per_kb, 3),
    }


def _rate(t: Tally) -> int:
    return round(t.inputs / t.seconds) if t.seconds else 0


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())
