"""Findings and rejects of the platform against the faults of the truth: found, missed, false alarms. Pure; no I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from metering.findings import FindingState, finding_kinds
from simulators.scenario.kinds import REJECT
from simulators.score.faults import MARGIN, Places, TouchedBy, Window, windows_of
from simulators.truth import TrueFault

#: What a real change of energy may be mistaken for; silence and clocks at its site have nothing to do with it.
_OF_VALUES = "values"
#: Says that something is wrong among several meters, not which: no fault is found by it, nor is it a false alarm.
_OF_FAMILIES = "balance"


class Verdict(StrEnum):
    """Of a fault. not_judged: nothing finds such a thing yet; none_expected: it should make no finding, only its
    energy counts; left_alone, called_fault: a real change that no finding, or one, named.
    """

    FOUND = "found"
    MISSED = "missed"
    NOT_JUDGED = "not_judged"
    NONE_EXPECTED = "none_expected"
    LEFT_ALONE = "left_alone"
    CALLED_FAULT = "called_fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row of api.finding. gateway: of its detail; ends None: it lasts."""

    site_code: str | None
    point_code: str | None
    meter: str | None
    gateway: str | None
    kind: str
    starts: datetime
    ends: datetime | None
    state: str

    @property
    def places(self) -> list[tuple[str, str]]:
        """What it names most exactly, as (codes, meters, gateways or sites; which): point and meter, else gateway,
        else site, else nothing."""
        exact = [("codes", self.point_code), ("meters", self.meter)]
        for named in (exact, [("gateways", self.gateway)], [("sites", self.site_code)]):
            found = [(what, name) for what, name in named if name is not None]
            if found:
                return found
        return []

    def is_at(self, where: Places, gateways: Set[str]) -> bool:
        """Whether it names a place there, or none at all; gateways: those there, and those put in their place."""
        places = self.places
        return not places or any(
            name in (gateways if what == "gateways" else getattr(where, what)) for what, name in places
        )

    def as_json(self) -> dict[str, Any]:
        """As the JSON has a false alarm."""
        return {
            "kind": self.kind,
            "site_code": self.site_code,
            "point_code": self.point_code,
            "meter": self.meter,
            "gateway": self.gateway,
            "starts": self.starts.isoformat(),
            "ends": self.ends and self.ends.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Rejected:
    """Rows of api.reject that are alike: received_at from first to last, by the wall clock."""

    gateway: str
    reason: str
    detail: str
    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Precision:
    """Of findings of a kind, or of some: how many a fault explains."""

    findings: int
    explained: int

    @property
    def ratio(self) -> float | None:
        """0..1, None where there is no finding."""
        return self.explained / self.findings if self.findings else None


@dataclass(frozen=True, slots=True)
class FaultFound:
    """What became of a fault, and the kinds of finding that named it."""

    verdict: Verdict
    by: tuple[str, ...] = ()


class Findings:
    """The findings and rejects of a run, and which of them the faults explain. Faults go by their number."""

    def __init__(
        self,
        run: Window,
        places: Places,
        faults: Sequence[TouchedBy],
        findings: Iterable[Finding],
        rejects: Iterable[Rejected],
    ) -> None:
        gateways = places.gateways.union(*(f.senders for f in faults))
        standing = [
            f
            for f in findings
            if f.state != FindingState.WITHDRAWN
            and f.kind not in _of(_OF_FAMILIES)
            and f.is_at(places, gateways)
        ]
        self.findings = [f for f in standing if _during(f, run)]
        self.outside = len(standing) - len(self.findings)
        self.rejects = [r for r in rejects if r.gateway in gateways]
        self._run = run
        self._faults = faults
        self._known = {k for k, v in finding_kinds().items() if v.found_by}
        self._of_values = _of(_OF_VALUES)
        near = _Nearby(faults)
        self._near = [near.to(f) for f in self.findings]
        self._explained = [
            any(_may_name(faults[n].fault, f.kind) for n in numbers)
            for f, numbers in zip(self.findings, self._near, strict=True)
        ]
        senders = _by_sender(faults)
        self._made_by = [[n for n in senders[r.gateway] if self._made(faults[n], r)] for r in self.rejects]
        self._counts = self._count()
        self._named_by = self._names()

    @property
    def false_alarms(self) -> list[Finding]:
        """Findings during the run that no fault explains."""
        return [f for f, explained in zip(self.findings, self._explained, strict=True) if not explained]

    def of(self, number: int) -> FaultFound:
        """What became of a fault."""
        fault, by = self._faults[number].fault, self._named_by[number]
        if not fault.is_fault:
            return FaultFound(Verdict.CALLED_FAULT if by else Verdict.LEFT_ALONE, by)
        if not fault.found_by:
            return FaultFound(Verdict.NONE_EXPECTED)
        if by:
            return FaultFound(Verdict.FOUND, by)
        return FaultFound(Verdict.MISSED if self.judged(fault.found_by) else Verdict.NOT_JUDGED)

    def judged(self, kinds: Iterable[str]) -> set[str]:
        """Those of the kinds that something finds already, rejects included."""
        return {k for k in kinds if k in self._known or k.startswith(REJECT)}

    def precision(self, kinds: Iterable[str]) -> Precision:
        """Of findings and rejects of these kinds."""
        counts = [self._counts[k] for k in set(kinds) if k in self._counts]
        return Precision(sum(c.findings for c in counts), sum(c.explained for c in counts))

    def _count(self) -> dict[str, Precision]:
        """By kind of finding, and of reject."""
        told = [(f.kind, e) for f, e in zip(self.findings, self._explained, strict=True)]
        told += [(REJECT + r.reason, bool(by)) for r, by in zip(self.rejects, self._made_by, strict=True)]
        explained = Counter(kind for kind, e in told if e)
        return {k: Precision(n, explained[k]) for k, n in Counter(kind for kind, _ in told).items()}

    def _names(self) -> list[tuple[str, ...]]:
        """By fault, the kinds that named it: of those that should; of a real change, false alarms that blame it."""
        named: list[set[str]] = [set() for _ in self._faults]
        for finding, numbers, explained in zip(self.findings, self._near, self._explained, strict=True):
            for n in numbers:
                fault, kind = self._faults[n].fault, finding.kind
                blamed = not explained and kind in self._of_values and kind not in fault.may_find
                if kind in fault.found_by if fault.is_fault else blamed:
                    named[n].add(kind)
        for rejected, numbers in zip(self.rejects, self._made_by, strict=True):
            for n in numbers:
                named[n] |= {REJECT + rejected.reason} & set(self._faults[n].fault.found_by)
        return [tuple(sorted(kinds)) for kinds in named]

    def _made(self, touched: TouchedBy, rejected: Rejected) -> bool:
        """Whether the fault can have made a reject of its gateway: that reason, of its meter if it is one's, and of
        its time where the run was live.
        """
        fault = touched.fault
        if not _may_name(fault, REJECT + rejected.reason):
            return False
        if fault.meter is not None and not any(repr(m) in rejected.detail for m in touched.meters):
            return False
        was_live = rejected.first <= self._run[1] + MARGIN
        return not was_live or _meets(windows_of(fault), rejected.first, rejected.last)


class _Nearby:
    """Faults by the places that they touch, so that a finding is not held against each of them."""

    def __init__(self, faults: Sequence[TouchedBy]) -> None:
        self._windows = [windows_of(t.fault) for t in faults]
        #: Where nothing at all is received: faults of whole gateways or sites.
        self._wide = {n for n, t in enumerate(faults) if t.gateways or t.sites}
        self._at: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for n, t in enumerate(faults):
            for what in ("codes", "meters", "gateways", "sites"):
                for name in getattr(t, what):
                    self._at[what, name].add(n)

    def to(self, finding: Finding) -> list[int]:
        """Numbers of the faults at the finding's place and time."""
        places = finding.places
        there = self._wide if not places else set().union(*(self._at[p] for p in places))
        return sorted(n for n in there if _meets(self._windows[n], finding.starts, finding.ends))


def _of(about: str) -> set[str]:
    """The kinds of finding about such a thing."""
    return {k for k, v in finding_kinds().items() if v.about == about}


def _by_sender(faults: Sequence[TouchedBy]) -> defaultdict[str, list[int]]:
    """Numbers of the faults by the gateways that their rejects can name."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for n, touched in enumerate(faults):
        for gateway in touched.senders:
            found[gateway].append(n)
    return found


def _may_name(fault: TrueFault, kind: str) -> bool:
    return fault.is_fault and (kind in fault.found_by or kind in fault.may_find)


def _meets(windows: Iterable[Window], starts: datetime, ends: datetime | None) -> bool:
    return any(starts <= end + MARGIN and (ends is None or ends >= begin - MARGIN) for begin, end in windows)


def _during(finding: Finding, run: Window) -> bool:
    """Whether it is of the run's time: what only begins when the run ends is of the silence after it."""
    return finding.starts < run[1] - MARGIN / 2 and (finding.ends is None or finding.ends > run[0])
