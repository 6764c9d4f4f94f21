"""Figures of other platforms on the same faults, joined by the scenario's label. Data: simulators/data/peers/."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from metering.errors import SettingError
from simulators.score.hours import Tally
from simulators.score.result import Score


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """A peer's figures of a meter with one fault; loose, tight: its hourly limit far away, or at the rated power.

    None: not measured. true_kwh: the meter's energy over the run.
    """

    label: str
    loose_error_kwh: float | None
    loose_hours_wrong: float | None
    tight_error_kwh: float | None
    true_kwh: float
    note: str
    source: str

    def percent(self, error_kwh: float | None) -> float | None:
        """An error in percent of the true energy."""
        return None if error_kwh is None else 100 * error_kwh / self.true_kwh


@dataclass(frozen=True, slots=True)
class Beside:
    """A label's figures a meter: the peer's, and ours as a sum over its meters (None where the run has no such)."""

    peer: PeerFigures
    ours: Tally | None

    def as_json(self) -> dict[str, Any]:
        """As the JSON has it; ours are means a meter."""
        ours, p = self.ours, self.peer
        return {
            "label": p.label,
            "peer_loose_error_percent": p.percent(p.loose_error_kwh),
            "peer_loose_hours_wrong": p.loose_hours_wrong,
            "peer_tight_error_percent": p.percent(p.tight_error_kwh),
            "meters": ours.points if ours else 0,
            "error_percent": ours and ours.percent(ours.error),
            "hours_wrong": ours and (ours.wrong + ours.missing) / ours.points,
            "note": p.note,
            "source": p.source,
        }


@cache
def peer_names() -> list[str]:
    """The peers of whom there are figures."""
    folder = files("simulators").joinpath("data", "peers")
    return sorted(f.name.removesuffix(".csv") for f in folder.iterdir() if f.name.endswith(".csv"))


def peer_figures(name: str) -> list[PeerFigures]:
    """The figures of a peer, in the file's order. Raises SettingError where there are none."""
    if name not in peer_names():
        raise SettingError(f"--beside {name}: want one of {', '.join(peer_names())}")
    with files("simulators").joinpath("data", "peers", f"{name}.csv").open(encoding="utf-8") as f:
        return [_figures(row) for row in csv.DictReader(f)]


def beside(score: Score, name: str) -> list[Beside]:
    """A peer's figures with ours of the same label: over the whole run, of points with that fault alone."""
    found = []
    for figures in peer_figures(name):
        group = score.labels.get(figures.label)
        _, ours = group.whole.main if group else ("", Tally())
        found.append(Beside(figures, ours if ours.points else None))
    return found


def _figures(row: dict[str, str]) -> PeerFigures:
    def figure(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return PeerFigures(
        row["label"], figure("loose_error_kwh"), figure("loose_hours_wrong"), figure("tight_error_kwh"),
        float(row["true_kwh"]), row["note"], row["source"],
    )  # fmt: skip
