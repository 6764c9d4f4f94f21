"""Findings and rejects of the platform against the faults of the truth: found, missed, false alarms. Pure; no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from metering.findings import FindingState, finding_kinds
from simulators.score.faults import MARGIN, Places, TouchedBy, Window, windows_of
from simulators.truth import TrueFault

_REJECT = "reject:"


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

    def is_at(self, where: Places) -> bool:
        """Whether it names a place there, or none at all."""
        places = self.places
        return not places or any(name in getattr(where, what) for what, name in places)

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
        standing = [f for f in findings if f.state != FindingState.WITHDRAWN and f.is_at(places)]
        self.findings = [f for f in standing if _during(f, run)]
        self.outside = len(standing) - len(self.findings)
        gateways = places.gateways.union(*(f.gateways | _named(f.fault) for f in faults))
        self.rejects = [r for r in rejects if r.gateway in gateways]
        self._run = run
        self._faults = faults
        self._known = {k for k, v in finding_kinds().items() if v.found_by}
        near = _Nearby(faults)
        self._near = [near.to(f) for f in self.findings]
        self._explained = [
            any(_may_name(faults[n].fault, f.kind) for n in numbers)
            for f, numbers in zip(self.findings, self._near, strict=True)
        ]
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
        return {k for k in kinds if k in self._known or k.startswith(_REJECT)}

    def precision(self, kinds: Iterable[str]) -> Precision:
        """Of findings and rejects of these kinds."""
        wanted = set(kinds)
        found = [e for f, e in zip(self.findings, self._explained, strict=True) if f.kind in wanted]
        rejects = [r for r in self.rejects if _REJECT + r.reason in wanted]
        explained = [r for r in rejects if any(self._made(t, r) for t in self._faults)]
        return Precision(len(found) + len(rejects), sum(found) + len(explained))

    def _names(self) -> list[tuple[str, ...]]:
        """By fault, the kinds that named it: of those that should; of a real change, false alarms that blame it."""
        named: list[set[str]] = [set() for _ in self._faults]
        for finding, numbers, explained in zip(self.findings, self._near, self._explained, strict=True):
            for n in numbers:
                fault = self._faults[n].fault
                blamed = not explained and finding.kind not in fault.may_find
                if finding.kind in fault.found_by if fault.is_fault else blamed:
                    named[n].add(finding.kind)
        for n, touched in enumerate(self._faults):
            if any(kind.startswith(_REJECT) for kind in touched.fault.found_by):
                made = {_REJECT + r.reason for r in self.rejects if self._made(touched, r)}
                named[n] |= made & set(touched.fault.found_by)
        return [tuple(sorted(kinds)) for kinds in named]

    def _made(self, touched: TouchedBy, rejected: Rejected) -> bool:
        """Whether the fault can have made the reject: of its gateway and, where the run was live, of its time."""
        fault = touched.fault
        if not _may_name(fault, _REJECT + rejected.reason):
            return False
        if rejected.gateway not in touched.gateways | _named(fault):
            return False
        if not touched.points and fault.meter is not None and fault.meter not in rejected.detail:
            return False
        was_live = rejected.first <= self._run[1] + MARGIN
        return not was_live or _meets(windows_of(fault), rejected.first, rejected.last)


class _Nearby:
    """Faults by the places that they touch, so that a finding is not held against each of them."""

    def __init__(self, faults: Sequence[TouchedBy]) -> None:
        self._faults = faults
        self._windows = [windows_of(t.fault) for t in faults]
        self._at: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for n, t in enumerate(faults):
            for what in ("codes", "meters", "gateways", "sites"):
                for name in getattr(t, what):
                    self._at[what, name].add(n)

    def to(self, finding: Finding) -> list[int]:
        """Numbers of the faults at the finding's place and time."""
        places = finding.places
        there = set(range(len(self._faults))) if not places else set().union(*(self._at[p] for p in places))
        return sorted(n for n in there if _meets(self._windows[n], finding.starts, finding.ends))


def _may_name(fault: TrueFault, kind: str) -> bool:
    return fault.is_fault and (kind in fault.found_by or kind in fault.may_find)


def _meets(windows: Iterable[Window], starts: datetime, ends: datetime | None) -> bool:
    return any(starts <= end + MARGIN and (ends is None or ends >= begin - MARGIN) for begin, end in windows)


def _during(finding: Finding, run: Window) -> bool:
    """Whether it is of the run's time: what only begins when the run ends is of the silence after it."""
    return finding.starts < run[1] - MARGIN / 2 and (finding.ends is None or finding.ends > run[0])


def _named(fault: TrueFault) -> frozenset[str]:
    """Texts of the detail: of a gateway that was swapped, the name of the other one."""
    return frozenset(v for v in fault.detail.values() if isinstance(v, str))
