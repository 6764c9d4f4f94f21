"""When somebody is told: quiet hours, rate limit, daily digest, back-off. Pure functions of the time handed in."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from metering.errors import SettingError

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Local times of day in [begin, end), over midnight where end is the earlier; equal: no quiet hours."""

    begin: time = time(0)
    end: time = time(0)

    def holds(self, at: time) -> bool:
        """Whether it is quiet at a local time of day."""
        if self.begin <= self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end


class Why(StrEnum):
    """Why a notification is held back until the digest."""

    PROVISIONAL = "provisional"
    QUIET = "quiet hours"
    RATE = "rate limit"


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and when people are told. per_hour: notifications to one address within an hour; digest_at: local time
    of the daily digest; give_up_after: from the first time that something was to be sent; first_delay, most_delay:
    pauses before the second and before late attempts.
    """

    zone: ZoneInfo
    quiet: QuietHours = QuietHours()
    digest_at: time = time(8)
    per_hour: int = 12
    give_up_after: timedelta = timedelta(hours=72)
    first_delay: timedelta = timedelta(seconds=30)
    most_delay: timedelta = timedelta(hours=1)

    def is_quiet(self, now: datetime) -> bool:
        """Whether it is quiet at an instant."""
        return self.quiet.holds(now.astimezone(self.zone).time())

    def hold(self, now: datetime, severity: str, sent_within_hour: int) -> Why | None:
        """Why something that was never tried is held back now; None: it is sent. Critical passes quiet hours."""
        if severity != "critical" and self.is_quiet(now):
            return Why.QUIET
        return Why.RATE if sent_within_hour >= self.per_hour else None

    def quiet_until(self, now: datetime) -> datetime:
        """When it is no longer quiet; `now` where it is not."""
        if not self.is_quiet(now):
            return now
        local = now.astimezone(self.zone)
        for ahead in range(3):
            day = local.date() + timedelta(days=ahead)
            end = datetime.combine(day, self.quiet.end, self.zone).astimezone(UTC)
            if end > now:
                return end
        raise AssertionError("a local time of day comes once in two days at least")

    def retry_in(self, attempts: int, chance: float | None = None) -> timedelta:
        """How long to wait after the `attempts`-th failure: doubling up to most_delay, each moved by up to a fifth.
        chance: 0..1 where in that range, drawn where it is left out.
        """
        whole = min(self.first_delay * 2.0 ** min(max(attempts, 1) - 1, 30), self.most_delay)
        return whole * (0.8 + 0.4 * (random.random() if chance is None else chance))

    def gives_up(self, created_at: datetime, now: datetime) -> bool:
        """Whether a failure now is the last."""
        return now - created_at >= self.give_up_after

    def digest_cut(self, now: datetime) -> datetime:
        """The newest moment of a digest, at `now` or before: what was held before it is due."""
        local = now.astimezone(self.zone)
        for back in range(3):
            day = local.date() - timedelta(days=back)
            cut = datetime.combine(day, self.digest_at, self.zone).astimezone(UTC)
            if cut <= now:
                return cut
        raise AssertionError("a local time of day comes once in two days at least")


def parse_clock(text: str, setting: str) -> time:
    """A local time of day such as 08:00. Raises SettingError naming `setting`."""
    if not _CLOCK.match(text):
        raise SettingError(f"{setting}: want a time of day such as 08:00 (got {text!r})")
    return time.fromisoformat(text)


def parse_quiet(text: str, setting: str) -> QuietHours:
    """Quiet hours such as 22:00-07:00; empty: none. Raises SettingError naming `setting`."""
    if not text:
        return QuietHours()
    begin, dash, end = text.partition("-")
    if not dash:
        raise SettingError(f"{setting}: want hours such as 22:00-07:00, or nothing (got {text!r})")
    return QuietHours(parse_clock(begin, setting), parse_clock(end, setting))
