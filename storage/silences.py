"""Find the silences of the past from the readings that are stored, wherever these or the registry changed.

Whatever marks a change marks it here too (nengliu.silence_due). A look reads the readings of the changed times and
their neighbours (storage/silence_steps.py), keeps the steps that are too long (nengliu.silent_step), and brings the
findings of the gateways concerned to what the steps say (metering/silences.py). See docs/decisions/findings.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from metering.findings import SILENT_GATEWAY, SILENT_METER, FindingState, SilenceRule
from metering.instants import from_us, to_us
from metering.silences import Judged, Known, Settled, Silence, Step, Subject, settle_silences, silences
from metering.silent_steps import LongSteps
from metering.spans import START, Span, union
from storage.copying import PgArray
from storage.finding_rows import Row, change_findings, finding_row, open_findings
from storage.heard import Asked, lasting, newest_readings, step_patiences
from storage.silence_readings import TooManyReadingsError
from storage.silence_steps import FoundStep, Looked, Window, find_steps
from storage.silence_subjects import Connection, Installed, Watched, Who, watched_of
from storage.sql import query

#: A look takes at most so many sites, and of them so much time that about so many readings are expected; the rest stays
#: due. So a look lasts a second or two whatever waits.
_SITES = 200
_READINGS = 500_000
#: Where so many are found instead, the interval of a meter is not what the registry says: less time is taken.
_MOST = 1_000_000
_LESS = 16
#: What a window costs for each register, however short it is, in readings: the index is asked for it several times.
_LOOK_UP = 20.0
#: Windows closer together than this are looked through as one.
_JOIN_US = 86_400_000_000
_NAMED = 50


def find_silences(connection: Connection, rule: SilenceRule, now: datetime | None, initial: bool) -> bool:
    """One look, in the caller's transaction, who is the only one at it; whether anything was due.

    now: up to when silence that lasts is judged, None: not known. initial: whether the time between an installation
    and its first reading is a silence even where the site was not read before (else where it was, or the watch saw it).
    """
    due = connection.execute(query("silence_take"), {"sites": _SITES}).fetchall()
    if not due:
        return False
    asked: dict[int, list[Span]] = defaultdict(list)
    for site, begin, end in due:
        asked[site].append((to_us(begin), to_us(end)))
    watched = watched_of(connection, rule, sites=asked)
    windows, looked, found = _look(connection, rule, watched, asked)
    changed = _store(connection, windows, looked, found)
    if changed:
        _settle(connection, rule, sorted(changed), watched, now, initial)
    return True


# ---------------------------------------------------------------- where to look


def _look(
    connection: Connection, rule: SilenceRule, watched: Mapping[Who, Watched], asked: Mapping[int, list[Span]]
) -> tuple[list[Window], list[Looked], list[FoundStep]]:
    """Look through as much of what sites ask as there is time for; the rest is due again."""
    readings = float(_READINGS)
    while True:
        by_site, left = _cut(asked, _loads(watched), readings)
        windows = _gateway_windows(by_site, watched)
        try:
            looked, found = find_steps(connection, rule, watched, windows, _MOST)
        except TooManyReadingsError:
            readings /= _LESS
            continue
        if left:
            again = [{"site": site, "from": from_us(a), "to": from_us(b)} for site, (a, b) in left]
            with connection.cursor() as cursor:
                cursor.executemany(query("silence_due_again"), again)
        return windows, looked, found


class _Load(NamedTuple):
    """What looking through a time of a site costs: its registers, how many readings of them a µs are expected, and how
    far beyond the time they are read on both sides, µs.
    """

    registers: int = 1
    per_us: float = 1e-9
    beyond_us: int = 0

    def readings(self, us: int) -> float:
        """In readings."""
        return self.registers * _LOOK_UP + (us + 2 * self.beyond_us) * self.per_us


def _cut(
    asked: Mapping[int, list[Span]], loads: Mapping[int, _Load], readings: float
) -> tuple[dict[int, list[Span]], list[tuple[int, Span]]]:
    """Times to look through by site, both ends included, near ones joined, and what is too much for now."""
    windows: dict[int, list[Span]] = defaultdict(list)
    left: list[tuple[int, Span]] = []
    for site, spans in asked.items():
        load = loads.get(site, _Load())
        for begin, end in _joined(spans):
            if readings <= 0:
                left.append((site, (begin, end)))
                continue
            until = min(end, begin + int(readings / load.per_us))
            windows[site].append((begin, until))
            readings -= load.readings(until - begin)
            if until < end:
                left.append((site, (until, end)))
    return windows, left


def _joined(spans: Iterable[Span]) -> list[Span]:
    return [(a, b - _JOIN_US) for a, b in union((a, b + _JOIN_US) for a, b in spans)]


def _gateways_of(watched: Mapping[Who, Watched]) -> dict[int, set[str]]:
    """The gateways of each site."""
    found: dict[int, set[str]] = defaultdict(set)
    for (gateway, meter), w in watched.items():
        if not meter:
            for i in w.installed:
                found[i.site_id].add(gateway)
    return found


def _loads(watched: Mapping[Who, Watched]) -> dict[int, _Load]:
    """The loads of sites: those of all meters of their gateways."""
    of_gateway = {
        w.who[0]: (len(w.installed), sum(1e-6 / max(i.interval_s, 1) for i in w.installed), w.mixed_us)
        for w in watched.values()
        if not w.who[1]
    }
    found: dict[int, _Load] = {}
    for site, gateways in _gateways_of(watched).items():
        registers, per_us, beyond_us = zip(*(of_gateway[g] for g in gateways), strict=True)
        found[site] = _Load(sum(registers), sum(per_us), max(beyond_us))
    return found


def _gateway_windows(windows: Mapping[int, list[Span]], watched: Mapping[Who, Watched]) -> list[Window]:
    """The same by gateway, where it stands at the site; near ones joined."""
    found: dict[str, list[Span]] = defaultdict(list)
    for site, gateways in _gateways_of(watched).items():
        for gateway in gateways:
            found[gateway] += windows.get(site, [])
    return [Window(g, a, b) for g, spans in found.items() for a, b in _joined(spans)]


def _store(
    connection: Connection, windows: Sequence[Window], looked: Sequence[Looked], found: Sequence[FoundStep]
) -> set[str]:
    """Bring the stored steps to what was found; the gateways whose findings are to be settled."""
    columns = {
        "gateway": [w.gateway for w in windows],
        "from": _times([w.begin for w in windows]),
        "to": _times([w.end for w in windows]),
        "look_gateway": [k.who[0] for k in looked],
        "look_meter": [k.who[1] for k in looked],
        "look_from": _times([k.begin for k in looked]),
        "look_to": _times([k.end for k in looked]),
        "step_gateway": [f.who[0] for f in found],
        "step_meter": [f.who[1] for f in found],
        "step_from": _times([f.begin for f in found]),
        "step_to": _times([f.end for f in found]),
        "step_initial": [f.initial for f in found],
    }
    changed = {g for (g,) in connection.execute(query("silence_store"), columns, prepare=False).fetchall()}
    some = {name: columns[name] for name in ("gateway", "from")}
    return changed | {g for (g,) in connection.execute(query("silence_concerned"), some).fetchall()}


def _times(us: list[int]) -> PgArray:
    return PgArray("timestamptz", np.array(us, dtype=np.int64))


# ---------------------------------------------------------------- findings


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored of some gateways and their meters: steps, findings, and when they were read last."""

    steps: dict[Who, list[Step]]
    known: dict[Who, list[Known]]
    last: dict[tuple[Who, Span], int]

    def last_of(self, w: Watched) -> int:
        """The newest reading, µs; START where there is none."""
        return max(self.last.get((w.who, span), START) for span in w.spans)


def _stored(connection: Connection, gateways: list[str], watched: Mapping[Who, Watched]) -> _Stored:
    asked = {"gateways": gateways}
    steps: dict[Who, list[Step]] = defaultdict(list)
    for gateway, meter, *step in connection.execute(query("silence_stored"), asked).fetchall():
        steps[gateway, meter].append(Step(*step))
    known: dict[Who, list[Known]] = defaultdict(list)
    for gateway, meter, finding_id, anchor, ends, judged in connection.execute(
        query("silence_known"), asked
    ).fetchall():
        known[gateway, meter].append(Known(finding_id, anchor, ends, Judged(judged)))
    names = set(gateways)
    return _Stored(
        steps, known, newest_readings(connection, {who: w for who, w in watched.items() if who[0] in names})
    )


def _settle(
    connection: Connection,
    rule: SilenceRule,
    gateways: list[str],
    watched: Mapping[Who, Watched],
    now: datetime | None,
    initial: bool,
) -> None:
    """Bring the findings of the gateways and their meters to the stored steps."""
    stored = _stored(connection, gateways, watched)
    platform = [Step(*row) for row in connection.execute(query("silence_platform")).fetchall()]
    patiences = _heard_patiences(connection, rule, gateways, watched, stored, platform)
    changes: list[Row] = []
    openings: list[Row] = []
    for who in sorted({*stored.steps, *stored.known}):
        w, known = watched.get(who), stored.known[who]
        if w is None:
            changes += [_withdrawn(k, k.ends or k.anchor) for k in known if k.judged is Judged.OPEN]
            continue
        last_us = stored.last_of(w)
        last = None if last_us == START else from_us(last_us)
        patience = patiences.get((who, last), w.patience)
        subject = Subject(patience, last, now, joined=bool(who[1]), over=w.ended(w.spans[-1]))
        steps = [
            replace(s, patience=patiences.get((who, s.begin), w.patience_at(to_us(s.begin))))
            for s in stored.steps[who]
        ]
        excuses = stored.steps[who[0], ""] if who[1] else platform
        settled = settle_silences(known, silences(steps, excuses, subject), subject)
        changes += _changes(w, settled, subject)
        openings += [
            _opening(w, s)
            for s in settled.opened
            if initial or not s.initial or _was_read(connection, w, s.anchor)
        ]
    change_findings(connection, changes)
    open_findings(connection, openings)


def _heard_patiences(
    connection: Connection,
    rule: SilenceRule,
    gateways: list[str],
    watched: Mapping[Who, Watched],
    stored: _Stored,
    platform: Sequence[Step],
) -> dict[tuple[Who, datetime | None], timedelta]:
    """How long gateways of several intervals may be silent: in the steps of which the platform's own outages explain a
    part, by their begin, and from their newest reading on.
    """
    asked: list[Asked] = []
    for gateway in gateways:
        w = watched.get((gateway, ""))
        if w is None or not w.mixed_us:
            continue
        partly = [
            s for s in stored.steps[w.who] if any(p.begin < s.end and s.begin < p.end for p in platform)
        ]
        for span in w.spans:
            some = [s for s in partly if span[0] <= to_us(s.begin) < span[1]]
            columns = [[to_us(s.begin) for s in some], [to_us(s.end) for s in some]]
            begin, end = (np.array(c, dtype=np.int64) for c in columns)
            flags = np.array([s.initial for s in some], dtype=np.bool_)
            asked.append(Asked(w, span, LongSteps(begin * 0, begin, end, flags)))
            if (w.who, span) in stored.last:
                asked.append(Asked(w, span, lasting(stored.last[w.who, span])))
    patiences = step_patiences(connection, rule, watched, asked, stored.last)
    return {
        (a.watched.who, from_us(begin)): timedelta(microseconds=us)
        for a, found in zip(asked, patiences, strict=True)
        for begin, us in zip(a.steps.begin.tolist(), found.tolist(), strict=True)
    }


def _was_read(connection: Connection, w: Watched, moment: datetime) -> bool:
    """Whether the site was being read when something was installed there: then its first reading was due at once."""
    asked = {"moment": moment, "sites": sorted({i.site_id for i in w.installed})}
    row = connection.execute(query("silence_site_read"), asked, prepare=False).fetchone()
    return bool(row and row[0])


def _changes(w: Watched, settled: Settled, subject: Subject) -> list[Row]:
    return [
        {
            "finding_id": k.finding_id,
            "anchor": s.anchor,
            "starts": _starts(w, s) if s.anchor != k.anchor else None,
            "ends": s.ends,
        }
        for k, s in settled.moved
    ] + [_withdrawn(k, k.ends or subject.last or k.anchor) for k in settled.withdrawn]


def _withdrawn(known: Known, ends: datetime) -> Row:
    return {"finding_id": known.finding_id, "ends": ends, "state": FindingState.WITHDRAWN}


def _starts(w: Watched, silence: Silence) -> datetime:
    interval_s = min(i.interval_s for i in _there(w, silence.anchor))
    return silence.starts(interval_s if w.who[1] else 0)


def _there(w: Watched, moment: datetime) -> list[Installed]:
    """What was installed then, at least something."""
    return [i for i in w.installed if i.span[0] <= to_us(moment) < i.span[1]] or w.installed


def _opening(w: Watched, silence: Silence) -> Row:
    gateway, meter = w.who
    there = _there(w, silence.anchor)
    about: Row = {"gateway": gateway, "anchor": silence.anchor, "ends": silence.ends}
    heard = None if silence.initial else silence.anchor
    if meter:
        registers = sorted({i.register for i in there})
        detail = {
            "gateway": gateway,
            "interval_s": min(i.interval_s for i in there),
            "last_reading": heard,
            "registers": registers,
        }
        point_id = min(i.point_id for i in there)
        return finding_row(
            SILENT_METER, meter, _starts(w, silence), detail, **about, meter=meter, point_id=point_id
        )
    meters = sorted({i.meter for i in there})
    sites = {i.site_id for i in there}
    detail = {"gateway": gateway, "last_heard": heard, "meters": len(meters), "first_meters": meters[:_NAMED]}
    site_id = min(sites) if len(sites) == 1 else None
    return finding_row(SILENT_GATEWAY, gateway, _starts(w, silence), detail, **about, site_id=site_id)
