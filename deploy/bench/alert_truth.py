"""Buildings whose true energy is known, what their meters send of it, and what is made wrong on the way: the ground on
which `bench alerts` judges alerts. Pure: neither database nor clock; all of it follows from the options.

Each building has a limit in its last year: what it truly used in the year before, less a reduction. Some break it, some
keep it narrowly, some by far. A fault lies over every second one, whatever it does: what is late, missing or wrong then
makes some look over that are not, and some not that are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from metering.days import is_day_off

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HOUR_US = 3_600_000_000
DECIMALS = 2
#: By how much a limit is below the year before, percent.
REDUCTION = 3.0
#: Days after the last year for what is late.
TAIL_DAYS = 20
#: What a meter that is read right away shows; never: it does not come at all.
NEVER = -1
#: Kinds of faults in the order in which they are dealt.
FAULTS = (
    "outage_lost", "outage_late", "zeros", "spike", "stuck", "replaced_late", "wrong_ratio", "clock_jump",
)  # fmt: skip
#: What a building does in its last year, of its limit; and how often.
AIMS = {"over": (1.01, 1.18), "severe": (1.24, 1.5), "narrow": (0.92, 0.985), "far": (0.6, 0.85)}
_DEALT = ("over", "narrow", "severe", "far", "over", "narrow")
_SHAPES = ("steady", "step", "ramp")


@dataclass(frozen=True, slots=True)
class QualityOptions:
    """first: a 1 January; years: of days, the last of which is judged; seed: all that is drawn follows from it.

    judged_days: so many days of that year instead, under a limit that is given and less by as much: a quick look.
    """

    sites: int = 100
    years: int = 2
    seed: int = 1
    first: date = date(2013, 1, 1)
    timezone: str = "Asia/Shanghai"
    judged_days: int | None = None

    @property
    def judged(self) -> int:
        """The year that is judged."""
        return self.first.year + self.years - 1


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something made wrong. first, last: number of the day on which it begins, and of the first one at whose end all is
    right again, or known; size: see `_Laying`.
    """

    kind: str
    first: int
    last: int
    size: float = 0.0

    def touches(self, first: int, last: int, slack: int) -> bool:
        """Whether it lies in these days or up to `slack` days before or after them."""
        return self.first - slack <= last and first <= self.last + slack


@dataclass(frozen=True, slots=True)
class Installed:
    """A row of installations.csv, times in hours from the first day's begin (None: still there)."""

    begin_h: int
    start_value: float
    ratio: float
    end_h: int | None = None
    end_value: float | None = None


@dataclass(frozen=True, slots=True)
class Building:
    """A building of one meter. true_kwh: each hour; rated: per hour, None if the registry does not say; aim: of AIMS.

    shown, stamp_h, arrival: of each hour's end what the meter shows, the stamp in hours from the first day's begin, and
    the number of the day at whose end it arrives, or NEVER. entered: rows of the registry by the number of the day at
    whose end they are entered (NEVER: from the begin).
    """

    number: int
    aim: str
    true_kwh: Floats
    limit_kwh: float
    rated: float | None
    shown: Floats
    stamp_h: Floats
    arrival: Ints
    flaw: Flaw | None
    entered: dict[int, list[Installed]] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Of the site; names of the point and the meter begin with it."""
        return f"Q{self.number:04d}"

    @property
    def gateway(self) -> str:
        """Ten buildings have one."""
        return f"QG{self.number // 10:03d}"


class Quality:
    """The buildings."""

    def __init__(self, options: QualityOptions) -> None:
        self.options = options
        self.zone = ZoneInfo(options.timezone)
        whole = (date(options.judged, 12, 31) - options.first).days + 1
        self.judged_from = (date(options.judged, 1, 1) - options.first).days
        judged = options.judged_days
        self.days = whole if judged is None else self.judged_from + judged
        #: Days after the last one that is judged: for what is late; of a quick look, in the same year, hardly any.
        self.tail_days = TAIL_DAYS if judged is None else 2
        self._share = (self.days - self.judged_from) / (whole - self.judged_from)

    def day(self, index: int) -> date:
        """The local day of that number."""
        return self.options.first + timedelta(days=index)

    @cached_property
    def begin_us(self) -> int:
        """Where the first day begins."""
        begin = datetime.combine(self.options.first, datetime.min.time(), self.zone)
        return round(begin.timestamp()) * 1_000_000

    @property
    def _base(self) -> slice:
        """Hours of the year that the limit rests on."""
        first = (date(self.options.judged - 1, 1, 1) - self.options.first).days
        return slice(first * 24, self.judged_from * 24)

    @cached_property
    def buildings(self) -> list[Building]:
        """All of them."""
        return [self._building(n) for n in range(self.options.sites)]

    def _building(self, n: int) -> Building:
        rng = np.random.default_rng([self.options.seed, n])
        # Dealt, so that in a hundred buildings every fault meets every aim about once.
        turn = n // 2 + self.options.seed
        aim = _DEALT[turn % len(_DEALT)]
        kind = FAULTS[(turn + turn // 24) % len(FAULTS)] if n % 2 else None
        true = self._true(rng, aim)
        limit = true[self._base].sum() * self._share * (1 - REDUCTION / 100)
        rated = None if rng.random() < 1 / 3 else round(float(true.max()) * 1.5, 1)
        return _Laying(rng, true, self.judged_from, self.days).building(n, aim, float(limit), rated, kind)

    def _true(self, rng: np.random.Generator, aim: str) -> Floats:
        """True energy of each hour, with what is after the last year; the last year's sum is what the aim says."""
        count = self.days + self.tail_days
        days = [self.day(i) for i in range(count)]
        turn = np.array([d.timetuple().tm_yday for d in days]) * (2 * np.pi / 365)
        level = 1 + rng.uniform(0.05, 0.35) * np.cos(turn - rng.uniform(0, 2 * np.pi))
        level *= np.where([is_day_off(d) for d in days], rng.uniform(0.4, 1.0), 1.0)
        weather = np.zeros(count)
        for i in range(1, count):  # warm and cold spells last
            weather[i] = 0.7 * weather[i - 1] + rng.normal(0.0, 0.05)
        level *= np.exp(weather)
        last = np.arange(count) >= self.judged_from
        before = level[self._base.start // 24 : self.judged_from].sum()
        low, high = AIMS[aim]
        wanted = rng.uniform(low, high) * before * self._share * (1 - REDUCTION / 100)
        level = np.where(last, level * self._change(rng, level, wanted), level)
        hours = np.clip(1 + rng.uniform(0.2, 1.0) * np.sin((np.arange(24) - 8) * np.pi / 12), 0.2, None)
        each = level[:, None] * hours / hours.sum() * np.exp(rng.normal(0.0, 0.15, (count, 24)))
        each *= level[:, None] / each.sum(axis=1, keepdims=True)
        return np.asarray(np.round(each.ravel() * 24 * float(np.exp(rng.uniform(3.0, 5.5))), 3))

    def _change(self, rng: np.random.Generator, level: Floats, wanted: float) -> Floats:
        """By what each day's level is multiplied in the last year, so that it sums up to `wanted`."""
        inside = np.arange(len(level)) - self.judged_from
        year = (inside >= 0) & (inside < self.days - self.judged_from)
        kind = _SHAPES[int(rng.integers(len(_SHAPES)))]
        begin = int(rng.integers(60, 220) * self._share)
        shape = {
            "steady": np.ones(len(level)),
            "step": (inside >= begin).astype(np.float64),
            "ramp": np.clip(inside, 0, None) / 365,
        }[kind]
        by = (wanted - level[year].sum()) / (level * shape)[year].sum()
        if by < -0.6:  # nobody uses so little after a step
            shape, by = np.ones(len(level)), wanted / level[year].sum() - 1
        return np.asarray(1 + by * shape)


class _Laying:
    """Lays a fault over what a meter shows. The size is what is drawn of it: hours, a share, a factor, or days."""

    def __init__(self, rng: np.random.Generator, true: Floats, judged_from: int, days: int) -> None:
        self._rng = rng
        self._true = true
        self._from, self._days = judged_from, days
        self._start = round(float(rng.uniform(100, 50_000)), DECIMALS)
        self._cum = np.cumsum(true)
        self.shown = np.round(self._start + self._cum, DECIMALS)
        hours = len(true)
        self.stamp_h = np.arange(1, hours + 1).astype(np.float64)
        self.arrival = np.arange(hours) // 24
        self.entered = {NEVER: [Installed(0, self._start, 1.0)]}

    def building(self, n: int, aim: str, limit: float, rated: float | None, kind: str | None) -> Building:
        flaw = None if kind is None else getattr(self, f"_{kind}")()
        return Building(
            n, aim, self._true, limit, rated, self.shown, self.stamp_h, self.arrival, flaw, self.entered
        )

    def _day(self, lasts: int = 1) -> int:
        """A day of the last year; nothing ends after it."""
        return int(self._rng.integers(self._from + 5, self._days - lasts - 1))

    def _hours(self, first: int, last: int) -> slice:
        return slice(first * 24 + int(self._rng.integers(24)), last * 24)

    def _outage_lost(self) -> Flaw:
        lasts = int(self._rng.integers(2, 21))
        first = self._day(lasts)
        self.arrival[self._hours(first, first + lasts)] = NEVER
        return Flaw("outage_lost", first, first + lasts, lasts)

    def _outage_late(self) -> Flaw:
        lasts, delay = int(self._rng.integers(2, 21)), int(self._rng.integers(0, 8))
        first = self._day(lasts + delay)
        self.arrival[self._hours(first, first + lasts)] = first + lasts + delay
        return Flaw("outage_late", first, first + lasts + delay, lasts)

    def _zeros(self) -> Flaw:
        first, lasts = self._day(2), int(self._rng.integers(1, 13))
        begin = first * 24 + int(self._rng.integers(24))
        self.shown[begin : begin + lasts] = 0.0
        return Flaw("zeros", first, (begin + lasts) // 24, lasts)

    def _spike(self) -> Flaw:
        first = self._day()
        # Half of them at midnight, where only the next day takes them back.
        at = first * 24 + (23 if self._rng.random() < 0.5 else int(self._rng.integers(23)))
        share = float(self._rng.uniform(0.02, 1.0))
        self.shown[at] = round(float(self.shown[at] + share * self._true[self._from * 24 :].sum()), DECIMALS)
        return Flaw("spike", first, (at + 1) // 24, share)

    def _stuck(self) -> Flaw:
        lasts = int(self._rng.integers(1, 4))
        first = self._day(lasts)
        hours = self._hours(first, first + lasts)
        self.shown[hours] = self.shown[hours.start - 1]
        return Flaw("stuck", first, first + lasts, lasts)

    def _replaced_late(self) -> Flaw:
        late = int(self._rng.integers(5, 21))
        first = self._day(late)
        at = first * 24 + int(self._rng.integers(1, 24))
        old_end = float(self.shown[at - 1])
        # The hour's end at which the old meter goes is the last that it shows.
        self.shown[at:] = np.round(self._cum[at:] - self._cum[at - 1], DECIMALS)
        self.entered[first + late] = [
            Installed(0, self._start, 1.0, at, old_end),
            Installed(at, 0.0, 1.0),
        ]
        self.shown[at - 1] = 0.0
        return Flaw("replaced_late", first, first + late, late)

    def _wrong_ratio(self) -> Flaw:
        """A new meter behind transformers of 10, entered at once, with a ratio that is another one, for weeks."""
        lasts = int(self._rng.integers(10, 60))
        first = self._day(lasts)
        at = first * 24 + int(self._rng.integers(1, 23))
        wrong = float(self._rng.choice([5.0, 15.0, 20.0, 30.0]))
        old = Installed(0, self._start, 1.0, at, float(self.shown[at - 1]))
        self.shown[at:] = np.round((self._cum[at:] - self._cum[at - 1]) / 10.0, DECIMALS)
        self.shown[at - 1] = 0.0
        self.entered[first - 1] = [old, Installed(at, 0.0, wrong)]
        self.entered[first + lasts] = [old, Installed(at, 0.0, 10.0)]
        return Flaw("wrong_ratio", first, first + lasts, wrong / 10.0)

    def _clock_jump(self) -> Flaw:
        lasts, first = int(self._rng.integers(1, 13)), self._day(2)
        begin = first * 24 + int(self._rng.integers(12))
        days = float(self._rng.choice([-300.0, -40.0, -3.0, 2.0, 30.0, 300.0]))
        self.stamp_h[begin : begin + lasts] += 24 * days + 7 / 60
        return Flaw("clock_jump", first, first + max(1, int(days) + 1), days)
