"""A small run and what a platform made of it, for tests of the score: seven points over the last day of 2013 and on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from simulators.score.findings import Finding, Rejected
from simulators.score.hours import PlatformHours
from simulators.score.platform import Platform
from simulators.score.result import Score
from simulators.score.run import ScoreOptions, score_run
from simulators.truth import TrueFault, TruePoint, TruthFile

HOUR = timedelta(hours=1)
#: Midnight, local, of 31 December.
T0 = datetime(2013, 12, 30, 16, tzinfo=UTC)
FIRST, HOURS = int(T0.timestamp()) // 3600, 72
CODES = ("well", "gap", "reset", "late", "larger", "water", "none")


class PlatformOfATest(Platform):
    """Figures by point_code (float64[hours], energy), instead of a database."""

    def __init__(self, energy: dict[str, np.ndarray], estimated: dict[str, np.ndarray] | None = None) -> None:
        self.energy, self.estimated = energy, estimated or {}
        self.found: list[Finding] = []
        self.rejected: list[Rejected] = []
        self.beyond: dict[str, tuple[int, float]] = {}

    def hours(self, points: Sequence[str], first_hour: int, hours: int) -> dict[str, PlatformHours]:
        at = slice(first_hour - FIRST, first_hour - FIRST + hours)
        return {
            code: PlatformHours(
                self.energy[code][at],
                self.estimated.get(code, np.zeros(HOURS))[at],
                np.where(np.isnan(self.energy[code][at]), 0.0, 1.0),
            )
            for code in points
            if code in self.energy
        }

    def outside(self, points: Sequence[str], first_hour: int, hours: int) -> dict[str, tuple[int, float]]:
        return {code: self.beyond[code] for code in points if code in self.beyond}

    def findings(self) -> list[Finding]:
        return self.found

    def rejects(self, since: datetime) -> list[Rejected]:
        return [r for r in self.rejected if r.first >= since]


def true_point(code: str, **more: object) -> TruePoint:
    facts = {
        "site_code": "A", "item_code": "01", "unit": "kWh", "parent_code": None, "meter": f"m-{code}",
        "register": "1.8.0", "gateway": f"g-{code}", "display_step": 0.01,
    }  # fmt: skip
    return TruePoint(code, **{**facts, **more})  # type: ignore[arg-type]


def true_fault(kind: str, code: str, begin: float, end: float, **more: object) -> TrueFault:
    """A fault of a point, between hours after T0."""
    facts = {
        "label": kind, "is_fault": True, "site_code": "A", "point_code": code, "meter": None, "gateway": None,
        "starts": T0 + begin * HOUR, "ends": T0 + end * HOUR,
    }  # fmt: skip
    return TrueFault(kind, **{**facts, **more})  # type: ignore[arg-type]


def finding(kind: str, code: str, begin: float, end: float | None) -> Finding:
    return Finding(
        "A",
        code,
        f"m-{code}",
        None,
        kind,
        T0 + begin * HOUR,
        None if end is None else T0 + end * HOUR,
        "open",
    )


def write_truth(path: Path) -> TruthFile:
    """The truth: 10 kWh an hour everywhere, and a fault of its own on most points."""
    truth = TruthFile(path)
    truth.set_run(timezone="Asia/Shanghai", labels=json.dumps({"none": "none"}))
    water = {"item_code": "02", "unit": "m3"}
    truth.add_points([true_point(c, **(water if c == "water" else {})) for c in CODES])
    truth.add_hours(FIRST, np.full((len(CODES), HOURS), 10.0))
    silence = {"found_by": ("silent_meter", "silent_gateway")}
    truth.add_faults(
        [
            true_fault("outage", "gap", 20, 27, label="outage_7h", **silence),
            true_fault("outage", "water", 30, 33, **silence),
            true_fault("reset", "reset", 40, 40, found_by=("register_reset",)),
            true_fault("late_batch", "late", 10, 34, may_find=("silent_meter",)),
            true_fault("extension", "larger", 36, 72, is_fault=False),
            true_fault(
                "unknown_meter", None, 4, 8, meter="mX", gateway="g-well", found_by=("reject:unknown_meter",)
            ),
        ]
    )
    truth.save()
    return truth


def made_platform() -> PlatformOfATest:
    """Its figures: right but for a gap told evenly, a reset that cost an hour, a day that is late and not there yet."""
    energy = {code: np.full(HOURS, 10.0) for code in CODES}
    energy["gap"][20:27] = (8, 8, 8, 10, 12, 12, 12)
    energy["reset"][40] = 0.0
    energy["late"][10:34] = np.nan
    energy["water"][50] = 10.5
    estimated = {"gap": np.zeros(HOURS), "none": np.zeros(HOURS)}
    estimated["gap"][20:27] = energy["gap"][20:27]
    estimated["none"][60] = 10.0
    made = PlatformOfATest(energy, estimated)
    made.found = [
        finding("silent_meter", "gap", 20.25, 27),
        finding("silent_meter", "late", 11, None),
        finding("silent_meter", "larger", 50, 52),
        finding("spike", "larger", 55, 56),
        finding("silent_meter", "well", 72, None),
    ]
    made.rejected = [
        Rejected(
            "g-well", "unknown_meter", "meter 'mX': no installation", T0 + 900 * HOUR, T0 + 900 * HOUR, 16
        )
    ]
    return made


def made_score(folder: Path, platform: Platform | None = None, **options: object) -> Score:
    """The score of the run."""
    truth = write_truth(folder / "truth.sqlite")
    try:
        return score_run(platform or made_platform(), truth, ScoreOptions(**options))  # type: ignore[arg-type]
    finally:
        truth.close()
