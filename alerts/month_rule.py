"""The rule about monthly plans: a month that is over used more than its plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from alerts.days import end_of_day
from alerts.lifecycle import Observation

MONTHLY_OVER = "quota_monthly_over"


@dataclass(frozen=True, slots=True)
class MonthRule:
    """severity; margin: share of the plan that may be used beyond it; min_completeness: of the month, for an alert;
    judged_days: for so many days after its end a month is judged anew; an alert that stands, always. enabled: a rule
    that is not opens nothing; what it told of before ends as ever.
    """

    severity: str
    margin: float
    min_completeness: float
    judged_days: int
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Month:
    """A local calendar month."""

    year: int
    month: int

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.month, 1)

    @property
    def last(self) -> date:
        """Its last day."""
        return _first_of_next(self.first) - timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def months_ended(first: date, last: date) -> list[Month]:
    """The months whose last day lies from `first` to `last`, both included, in order."""
    found = []
    day = first.replace(day=1)
    while (month := Month(day.year, day.month)).last <= last:
        if month.last >= first:
            found.append(month)
        day = _first_of_next(day)
    return found


def judge_month(use: float, plan: float | None, completeness: float, rule: MonthRule) -> Observation:
    """What a month that is over says; use and plan in the item's unit, plan None: there is none (any more).

    An alert opens only where the month was read well enough (NaN: nothing was installed); its ground is gone where the
    use is within plan and margin.
    """
    over = plan is not None and use > plan * (1.0 + rule.margin)
    complete = completeness >= rule.min_completeness
    return Observation(holds=over and complete, complete=complete, gone=not over)


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """A version of a limit with its monthly plan, as quota_rows orders them. limit_id None: a quota without a limit;
    given: by a person, so known from effective_from on.
    """

    effective_from: date
    limit_id: int | None
    months: Sequence[Decimal] | None
    given: bool
    recorded_at: datetime | None
    superseded_at: datetime | None


def plan_in_force(
    versions: Iterable[PlanVersion], on: date, known: date | None, zone: ZoneInfo
) -> PlanVersion | None:
    """The version in force on a local day; known: by the event clock, as known at the end of that day (None: now)."""
    found = None
    for v in versions:
        if v.effective_from > on:
            continue
        if v.limit_id is None:
            found = None
        elif known is not None and not v.given:
            if v.recorded_at is not None and v.recorded_at <= end_of_day(known, zone):
                found = v
        else:
            found = None if v.superseded_at is not None else v
    return found


def _first_of_next(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
