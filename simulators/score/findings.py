"""Findings and rejects of the platform against the faults of the truth: found, missed, false alarms. Pure; no I/O."""

from __future__ import annotations

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

    def is_at(self, where: Places | TouchedBy) -> bool:
        """Whether what it names most exactly (point or meter, else gateway, else site) is there; nothing named: yes."""
        if self.point_code is not None or self.meter is not None:
            return self.point_code in where.codes or self.meter in where.meters
        if self.gateway is not None:
            return self.gateway in where.gateways
        return self.site_code is None or self.site_code in where.sites

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
    """The findings and rejects of a run, and which of them the faults explain."""

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
        self._judged = {k for k, v in finding_kinds().items() if v.found_by}
        self._explained = [any(_explains(t, f) for t in faults if t.fault.is_fault) for f in self.findings]

    def of(self, touched: TouchedBy) -> FaultFound:
        """What became of a fault."""
        fault = touched.fault
        if not fault.is_fault:
            alarms = {f.kind for f in self.false_alarms if _overlaps(touched, f) and f.is_at(touched)}
            alarms -= set(fault.may_find)
            return FaultFound(Verdict.CALLED_FAULT if alarms else Verdict.LEFT_ALONE, tuple(sorted(alarms)))
        if not fault.found_by:
            return FaultFound(Verdict.NONE_EXPECTED)
        by = tuple(kind for kind in fault.found_by if self._names(kind, touched))
        if by:
            return FaultFound(Verdict.FOUND, by)
        return FaultFound(Verdict.MISSED if self.judged(fault.found_by) else Verdict.NOT_JUDGED)

    def judged(self, kinds: Iterable[str]) -> set[str]:
        """Those of the kinds that something finds already, rejects included."""
        return {k for k in kinds if k in self._judged or k.startswith(_REJECT)}

    @property
    def false_alarms(self) -> list[Finding]:
        """Findings during the run that no fault explains."""
        return [f for f, explained in zip(self.findings, self._explained, strict=True) if not explained]

    def precision(self, kinds: Iterable[str]) -> Precision:
        """Of findings and rejects of these kinds."""
        wanted = set(kinds)
        found = [e for f, e in zip(self.findings, self._explained, strict=True) if f.kind in wanted]
        reasons = {k.removeprefix(_REJECT) for k in wanted if k.startswith(_REJECT)}
        rejects = [r for r in self.rejects if r.reason in reasons]
        explained = [r for r in rejects if any(self._made(t, r) for t in self._faults)]
        return Precision(len(found) + len(rejects), sum(found) + len(explained))

    def _names(self, kind: str, touched: TouchedBy) -> bool:
        if kind.startswith(_REJECT):
            return any(kind == _REJECT + r.reason and self._made(touched, r) for r in self.rejects)
        return any(f.kind == kind and _overlaps(touched, f) and f.is_at(touched) for f in self.findings)

    def _made(self, touched: TouchedBy, rejected: Rejected) -> bool:
        """Whether the fault can have made the reject: of its gateway and, where the run was live, of its time."""
        fault = touched.fault
        if _REJECT + rejected.reason not in (*fault.found_by, *fault.may_find):
            return False
        if rejected.gateway not in touched.gateways | _named(fault):
            return False
        if not touched.points and fault.meter is not None and fault.meter not in rejected.detail:
            return False
        was_live = rejected.first <= self._run[1] + MARGIN
        return not was_live or _meets(touched, rejected.first, rejected.last)


def _explains(touched: TouchedBy, finding: Finding) -> bool:
    fault = touched.fault
    named = finding.kind in fault.found_by or finding.kind in fault.may_find
    return named and _overlaps(touched, finding) and finding.is_at(touched)


def _overlaps(touched: TouchedBy, finding: Finding) -> bool:
    return _meets(touched, finding.starts, finding.ends)


def _meets(touched: TouchedBy, starts: datetime, ends: datetime | None) -> bool:
    return any(
        starts <= end + MARGIN and (ends is None or ends >= begin - MARGIN)
        for begin, end in windows_of(touched.fault)
    )


def _during(finding: Finding, run: Window) -> bool:
    """Whether it is of the run's time: what only begins when the run ends is of the silence after it."""
    return finding.starts < run[1] - MARGIN / 2 and (finding.ends is None or finding.ends > run[0])


def _named(fault: TrueFault) -> frozenset[str]:
    """Texts of the detail: of a gateway that was swapped, the name of the other one."""
    return frozenset(v for v in fault.detail.values() if isinstance(v, str))
