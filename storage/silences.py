"""Find the silences of the past from the readings that are stored, wherever these or the registry changed.

Whatever marks a change marks it here too (nengliu.silence_due). A look reads the readings of the changed times and
their neighbours, keeps the steps that are too long (nengliu.silent_step), and brings the findings of the gateways
concerned to what the steps say (metering/silences.py). See docs/decisions/findings.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from metering.findings import SILENT_GATEWAY, SILENT_METER, FindingState, SilenceRule
from metering.instants import from_us, to_us
from metering.silences import Judged, Known, Settled, Silence, Step, Subject, settle_silences, silences
from metering.spans import END, Span, union
from storage.finding_rows import Row, change_findings, finding_row, open_findings
from storage.sql import query

Connection = psycopg.Connection[Any]
#: (gateway, meter); of the gateway itself the meter is ''.
Who = tuple[str, str]

#: A look takes at most so many sites, and of them so much time in all, each window for at least an hour; the rest stays
#: due. So a look lasts seconds whatever waits.
_SITES = 400
_MOST_US = 200 * 86_400_000_000
_LEAST_US = 3_600_000_000
#: Windows closer together than this are looked through as one.
_JOIN_US = 86_400_000_000
_NAMED = 50


class _Installed(NamedTuple):
    gateway: str
    meter: str
    register: str
    installed_at: datetime
    removed_at: datetime | None
    interval_s: int
    point_id: int
    site_id: int
    passed: bool


@dataclass(slots=True)
class _Watched:
    """A meter behind a gateway, or the gateway: its installations, when it is to be heard, and how long it may not:
    patience now, and patiences as installations came and went.
    """

    who: Who
    interval_s: int
    patience: timedelta
    installed: list[_Installed]
    spans: list[Span] = field(default_factory=list)
    patiences: list[tuple[Span, timedelta]] = field(default_factory=list)

    def ended(self, span: Span) -> bool:
        """Whether nothing more comes of that span."""
        return span[1] != END and all(i.passed for i in self.installed if _span(i)[1] == span[1])


def find_silences(connection: Connection, rule: SilenceRule, now: datetime | None, initial: bool) -> bool:
    """One look, in the caller's transaction, who is the only one at it; whether anything was due.

    now: up to when silence that lasts is judged, None: not known. initial: whether the time between an installation
    and its first reading is a silence even where the site was not read before (else where it was, or the watch saw it).
    """
    due = connection.execute(query("silence_take"), {"sites": _SITES}).fetchall()
    if not due:
        return False
    windows = _site_windows(connection, due)
    rows = connection.execute(query("silence_installed"), {"sites": sorted(windows)}).fetchall()
    watched = _watched([_Installed(*row) for row in rows], rule)
    connection.execute(query("silence_temp"))
    _fill(connection, watched, _gateway_windows(windows, watched))
    connection.execute(query("silence_looks"), prepare=False)
    changed = {g for (g,) in connection.execute(query("silence_steps"), prepare=False).fetchall()}
    changed |= {g for (g,) in connection.execute(query("silence_concerned")).fetchall()}
    if changed:
        _settle(connection, sorted(changed), watched, now, initial)
    return True


# ---------------------------------------------------------------- where to look


def _site_windows(
    connection: Connection, due: Iterable[tuple[int, datetime, datetime]]
) -> dict[int, list[Span]]:
    """Times to look through by site, both ends included, near ones joined; what is too much is due again."""
    asked: dict[int, list[Span]] = defaultdict(list)
    for site, begin, end in due:
        asked[site].append((to_us(begin), to_us(end)))
    windows: dict[int, list[Span]] = defaultdict(list)
    again: list[Row] = []
    left = _MOST_US
    for site, spans in asked.items():
        for begin_us, end_us in _joined(spans):
            until = min(end_us, begin_us + max(left, 0))
            looked = left > 0
            if looked:
                windows[site].append((begin_us, until))
                left -= max(until - begin_us, _LEAST_US)
            if until < end_us or not looked:
                again.append({"site": site, "from": from_us(until), "to": from_us(end_us)})
    if again:
        with connection.cursor() as cursor:
            cursor.executemany(query("silence_due_again"), again)
    return windows


def _joined(spans: Iterable[Span]) -> list[Span]:
    return [(a, b - _JOIN_US) for a, b in union((a, b + _JOIN_US) for a, b in spans)]


def _gateway_windows(
    windows: dict[int, list[Span]], watched: dict[Who, _Watched]
) -> list[tuple[str, datetime, datetime]]:
    """The same by gateway, where it stands at the site; near ones joined."""
    found: dict[str, list[Span]] = defaultdict(list)
    for (gateway, meter), w in watched.items():
        if meter:
            for site in {i.site_id for i in w.installed} & windows.keys():
                found[gateway] += windows[site]
    return [(g, from_us(a), from_us(b)) for g, spans in found.items() for a, b in _joined(spans)]


def _watched(rows: Sequence[_Installed], rule: SilenceRule) -> dict[Who, _Watched]:
    """Meters and gateways; the interval of a meter is that of its newest installation, a gateway's the smallest of the
    meters that were installed last. What was silent before is held against what was installed then.
    """
    of_meter: dict[Who, list[_Installed]] = defaultdict(list)
    of_gateway: dict[Who, list[_Installed]] = defaultdict(list)
    for row in rows:
        of_meter[row.gateway, row.meter].append(row)
        of_gateway[row.gateway, ""].append(row)
    watched: dict[Who, _Watched] = {}
    for subjects, patience in ((of_meter, rule.meter), (of_gateway, rule.gateway)):
        for who, installed in subjects.items():
            interval_s = _interval(installed)
            watched[who] = _Watched(
                who,
                interval_s,
                patience(interval_s),
                installed,
                _spans(installed),
                _patiences(installed, patience),
            )
    return watched


def _interval(installed: Sequence[_Installed]) -> int:
    """The smallest of those that are open, or else ended last, in s."""
    last = max(_span(i)[1] for i in installed)
    return min(i.interval_s for i in installed if _span(i)[1] == last)


def _patiences(
    installed: Sequence[_Installed], patience: Callable[[float], timedelta]
) -> list[tuple[Span, timedelta]]:
    """When how long it may be silent by the intervals of its installations; where these overlap the shortest counts."""
    by_interval: dict[int, list[_Installed]] = defaultdict(list)
    for row in installed:
        by_interval[row.interval_s].append(row)
    return [(span, patience(s)) for s, rows in by_interval.items() for span in _spans(rows)]


def _span(installed: _Installed) -> Span:
    removed = installed.removed_at
    return to_us(installed.installed_at), END if removed is None else to_us(removed)


def _spans(installed: Sequence[_Installed]) -> list[Span]:
    return union(_span(i) for i in installed)


def _fill(
    connection: Connection, watched: dict[Who, _Watched], windows: Sequence[tuple[str, datetime, datetime]]
) -> None:
    """The work tables: subjects by span, the meters whose readings each is heard by, and the windows."""
    with connection.cursor() as cursor:
        with cursor.copy("copy pg_temp.silence_window from stdin") as copy:
            for window in windows:
                copy.write_row(window)
        numbered = list(enumerate((w, span) for w in watched.values() for span in w.spans))
        with cursor.copy("copy pg_temp.silence_subject from stdin") as copy:
            for n, (w, span) in numbered:
                shortest = min(patience for _, patience in w.patiences)
                copy.write_row((n, *w.who, *_bounds(span), w.ended(span), shortest))
        with cursor.copy("copy pg_temp.silence_patience from stdin") as copy:
            for n, (w, _) in numbered:
                for part, patience in w.patiences:
                    copy.write_row((n, *_bounds(part), patience))
        members: dict[str, list[_Watched]] = defaultdict(list)
        for (gateway, meter), w in watched.items():
            if meter:
                members[gateway].append(w)
        with cursor.copy("copy pg_temp.silence_member from stdin") as copy:
            for n, (w, span) in numbered:
                for m in [w] if w.who[1] else members[w.who[0]]:
                    for part in m.spans:
                        both = max(span[0], part[0]), min(span[1], part[1])
                        if both[0] < both[1]:
                            copy.write_row((n, m.who[1], *_bounds(both)))
        cursor.execute(
            "analyze pg_temp.silence_subject; analyze pg_temp.silence_member; analyze pg_temp.silence_patience"
        )


def _bounds(span: Span) -> tuple[datetime, datetime | str]:
    return from_us(span[0]), "infinity" if span[1] == END else from_us(span[1])


# ---------------------------------------------------------------- findings


def _settle(
    connection: Connection,
    gateways: list[str],
    watched: dict[Who, _Watched],
    now: datetime | None,
    initial: bool,
) -> None:
    """Bring the findings of the gateways and their meters to the stored steps."""
    asked = {"gateways": gateways}
    steps: dict[Who, list[Step]] = defaultdict(list)
    for gateway, meter, *step in connection.execute(query("silence_stored"), asked).fetchall():
        steps[gateway, meter].append(Step(*step))
    known: dict[Who, list[Known]] = defaultdict(list)
    for gateway, meter, finding_id, anchor, ends, judged in connection.execute(
        query("silence_known"), asked
    ).fetchall():
        known[gateway, meter].append(Known(finding_id, anchor, ends, Judged(judged)))
    last = {(g, m): at for g, m, at in connection.execute(query("silence_last"), asked).fetchall()}
    platform = [Step(*row) for row in connection.execute(query("silence_platform")).fetchall()]
    changes: list[Row] = []
    openings: list[Row] = []
    for who in sorted({*steps, *known}):
        w = watched.get(who)
        if w is None:
            changes += [_withdrawn(k, k.ends or k.anchor) for k in known[who] if k.judged is Judged.OPEN]
            continue
        subject = Subject(w.patience, last.get(who), now, joined=bool(who[1]), over=w.ended(w.spans[-1]))
        excuses = steps[who[0], ""] if who[1] else platform
        settled = settle_silences(known[who], silences(steps[who], excuses, subject), subject)
        changes += _changes(w, settled, subject)
        openings += [
            _opening(w, s)
            for s in settled.opened
            if initial or not s.initial or _was_read(connection, w, s.anchor)
        ]
    change_findings(connection, changes)
    open_findings(connection, openings)


def _was_read(connection: Connection, w: _Watched, moment: datetime) -> bool:
    """Whether the site was being read when something was installed there: then its first reading was due at once."""
    asked = {"moment": moment, "sites": sorted({i.site_id for i in w.installed})}
    row = connection.execute(query("silence_site_read"), asked, prepare=False).fetchone()
    return bool(row and row[0])


def _changes(w: _Watched, settled: Settled, subject: Subject) -> list[Row]:
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


def _starts(w: _Watched, silence: Silence) -> datetime:
    return silence.starts(w.interval_s if w.who[1] else 0)


def _opening(w: _Watched, silence: Silence) -> Row:
    gateway, meter = w.who
    there = [i for i in w.installed if _is_at(i, silence.anchor)] or w.installed
    about: Row = {"gateway": gateway, "anchor": silence.anchor, "ends": silence.ends}
    heard = None if silence.initial else silence.anchor
    if meter:
        registers = sorted({i.register for i in there})
        detail = {
            "gateway": gateway,
            "interval_s": w.interval_s,
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


def _is_at(installed: _Installed, moment: datetime) -> bool:
    return installed.installed_at <= moment < (installed.removed_at or datetime.max.replace(tzinfo=UTC))
