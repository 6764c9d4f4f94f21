"""Hours of a point: the platform's beside the true ones, and sums of what they are off. Pure; no I/O.

Energy is in the unit of the point's item. What the figures mean: docs/truth.md.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metering.errors import SettingError
from metering.records import Floats

Bools = npt.NDArray[np.bool_]

#: Estimated energy below this is the rounding error of a sum, not an estimate.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an hour may be off before it is wrong: what the display cannot show, and a share of the hour itself.

    An hour is the difference of two readings, each off by up to one step of the display. Neither figure comes from the
    platform that is judged. Raises SettingError naming the option.
    """

    display_steps: float = 2.0
    percent: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise SettingError(f"--tolerance {self.percent:g}: want percent of an hour's energy, 0 to 100")

    def of(self, truth: Floats, display_step: float) -> Floats:
        """float64[n]: how far each hour may be off."""
        return self.display_steps * display_step + self.percent / 100 * np.abs(truth) + _NOTHING


@dataclass(frozen=True, slots=True)
class PlatformHours:
    """float64[n] of a point's hours as the platform has them; consumption is NaN where it has no row."""

    consumption: Floats
    estimated: Floats
    completeness: Floats

    @classmethod
    def empty(cls, hours: int) -> PlatformHours:
        """No row at all."""
        return cls(np.full(hours, np.nan), np.zeros(hours), np.zeros(hours))


@dataclass(frozen=True, slots=True)
class JudgedHours:
    """Arrays[n] over hours of one point. missing: no row, then platform is 0; wrong: a row beyond the tolerance;
    flagged: something of it is estimated; strange: flagged although no fault is near.
    """

    truth: Floats
    platform: Floats
    estimated: Floats
    completeness: Floats
    missing: Bools
    wrong: Bools
    flagged: Bools
    strange: Bools

    def part(self, where: slice | Bools) -> JudgedHours:
        """Some of the hours."""
        return JudgedHours(
            self.truth[where], self.platform[where], self.estimated[where], self.completeness[where],
            self.missing[where], self.wrong[where], self.flagged[where], self.strange[where],
        )  # fmt: skip

    @property
    def known(self) -> bool:
        """Whether the platform has any of them."""
        return not bool(self.missing.all())


def judge_hours(truth: Floats, known: PlatformHours, allowed: Floats, near_fault: Bools) -> JudgedHours:
    """Compare hour by hour. allowed: float64[n], see Tolerance; near_fault: bool[n], see simulators/score/faults.py."""
    missing = np.isnan(known.consumption)
    platform = np.where(missing, 0.0, known.consumption)
    wrong = ~missing & (np.abs(platform - truth) > allowed)
    flagged = ~missing & (known.estimated > _NOTHING)
    return JudgedHours(
        truth, platform, known.estimated, known.completeness, missing, wrong, flagged, flagged & ~near_fault
    )


@dataclass(slots=True)
class Tally:
    """Sums over hours of points of one unit; `add` takes a point's hours, or a part of them, at a time.

    gross_error: sum of the absolute errors of what was added; hourly_error: of each single hour.
    """

    points: int = 0
    hours: int = 0
    true: float = 0.0
    platform: float = 0.0
    estimated: float = 0.0
    gross_error: float = 0.0
    hourly_error: float = 0.0
    covered: float = 0.0
    missing: int = 0
    wrong_unflagged: int = 0
    wrong_flagged: int = 0
    strange: int = 0

    def add(self, hours: JudgedHours) -> None:
        """Count a point's hours in."""
        true, platform = float(hours.truth.sum()), float(hours.platform.sum())
        self.points += 1
        self.hours += len(hours.truth)
        self.true += true
        self.platform += platform
        self.estimated += float(hours.estimated.sum())
        self.gross_error += abs(platform - true)
        self.hourly_error += float(np.abs(hours.platform - hours.truth).sum())
        self.covered += float(hours.completeness.sum())
        self.missing += int(np.count_nonzero(hours.missing))
        flagged = int(np.count_nonzero(hours.wrong & hours.flagged))
        self.wrong_flagged += flagged
        self.wrong_unflagged += int(np.count_nonzero(hours.wrong)) - flagged
        self.strange += int(np.count_nonzero(hours.strange))

    @property
    def error(self) -> float:
        """Platform less truth."""
        return self.platform - self.true

    @property
    def wrong(self) -> int:
        """Hours with a row that is beyond the tolerance."""
        return self.wrong_flagged + self.wrong_unflagged

    def percent(self, error: float) -> float | None:
        """An error in percent of the true energy; None where there was none."""
        return 100 * error / self.true if self.true else None

    def share(self, count: float) -> float | None:
        """A count as share (0..1) of the hours; None where there are none."""
        return count / self.hours if self.hours else None

    def as_json(self) -> dict[str, Any]:
        """All figures, see docs/truth.md."""
        return {
            "points": self.points,
            "hours": self.hours,
            "true": self.true,
            "platform": self.platform,
            "error": self.error,
            "error_percent": self.percent(self.error),
            "gross_error": self.gross_error,
            "gross_error_percent": self.percent(self.gross_error),
            "hourly_error": self.hourly_error,
            "hourly_error_percent": self.percent(self.hourly_error),
            "estimated": self.estimated,
            "estimated_share": self.estimated / self.platform if self.platform else None,
            "completeness": self.share(self.covered),
            "hours_missing": self.missing,
            "hours_wrong": self.wrong,
            "hours_wrong_unflagged": self.wrong_unflagged,
            "hours_wrong_flagged": self.wrong_flagged,
            "hours_flagged_without_fault": self.strange,
            "hours_missing_share": self.share(self.missing),
            "hours_wrong_share": self.share(self.wrong),
            "hours_wrong_unflagged_share": self.share(self.wrong_unflagged),
            "hours_flagged_without_fault_share": self.share(self.strange),
        }


class UnitTallies:
    """A tally for each unit: energy of different units is never added up."""

    def __init__(self) -> None:
        self._by_unit: defaultdict[str, Tally] = defaultdict(Tally)

    def add(self, unit: str, hours: JudgedHours) -> None:
        """Count a point's hours in."""
        self._by_unit[unit].add(hours)

    @property
    def units(self) -> list[tuple[str, Tally]]:
        """The tallies, that with most hours first."""
        return sorted(self._by_unit.items(), key=lambda u: (-u[1].hours, u[0]))

    @property
    def main(self) -> tuple[str, Tally]:
        """The unit with most hours; ("", nothing) where there is none."""
        return self.units[0] if self._by_unit else ("", Tally())

    def count(self, name: str) -> int:
        """A count of hours or points over all units."""
        return sum(int(getattr(t, name)) for t in self._by_unit.values())

    def as_json(self) -> dict[str, Any]:
        """By unit."""
        return {unit: tally.as_json() for unit, tally in self.units}


def within(first_hour: int, hours: int, windows: list[tuple[int, int]]) -> Bools:
    """bool[hours]: which of the hours from `first_hour` on lie in one of the windows (from, up to not included)."""
    inside = np.zeros(hours, np.bool_)
    for begin, end in windows:
        inside[max(begin - first_hour, 0) : max(end - first_hour, 0)] = True
    return inside
