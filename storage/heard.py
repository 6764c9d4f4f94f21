"""How long gateways may be silent whose meters send at different intervals: by those that are heard.

See metering/silent_steps.py, gateway_patience; here are the readings that it asks for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from metering.findings import SilenceRule
from metering.silent_steps import Ints, LongSteps, Register, gateway_patience
from metering.spans import END, START, Span, intersect, union
from storage.silence_readings import newest, slices_of, times_between, to_last
from storage.silence_subjects import Connection, Installed, Watched, Who, series_of, watched_of

_MICROSECOND = timedelta(microseconds=1)
_NO_LIMIT = 2**31 - 2


@dataclass(frozen=True, slots=True)
class Asked:
    """Steps of a gateway within one of its spans."""

    watched: Watched
    span: Span
    steps: LongSteps


def lasting(begin_us: int) -> LongSteps:
    """The step from a gateway's newest reading on: nothing follows."""
    return LongSteps(
        np.zeros(1, np.int64), np.array([begin_us]), np.array([END]), np.zeros(1, dtype=np.bool_)
    )


def newest_readings(
    connection: Connection, watched: Mapping[Who, Watched], until_us: int = END
) -> dict[tuple[Who, Span], int]:
    """The newest reading, not after `until_us`, of each meter and gateway in each of its spans that has any."""
    spans = [(w, span) for w in watched.values() if w.who[1] for span in w.spans]
    series = series_of(connection, {w.who[1] for w, _ in spans})
    rows = [(w, span, s) for w, span in spans for s in series[w.who[1]].values()]
    with connection.cursor() as cursor:
        slices = slices_of([(s, span[0], min(to_last(span[1]), until_us)) for _, span, s in rows])
        times = newest(cursor, slices, START)
    found: dict[tuple[Who, Span], int] = {}
    for (w, span, _), ts_us in zip(rows, times.tolist(), strict=True):
        if ts_us == START:
            continue
        gateway = watched[w.who[0], ""]
        for key in ((w.who, span), (gateway.who, gateway.span_at(span[0]))):
            found[key] = max(ts_us, found.get(key, START))
    return found


def lasting_patiences(
    connection: Connection, rule: SilenceRule, gateways: Iterable[str], until_us: int
) -> dict[str, timedelta]:
    """How long gateways may be silent after their newest reading that is not after `until_us`; those without any
    as long as the most frequent of their meters says.
    """
    watched = watched_of(connection, rule, gateways=gateways)
    last = newest_readings(connection, watched, until_us)
    newest_of = {
        who[0]: (w, span, us)
        for who, w in watched.items()
        if not who[1]
        for span, us in [max(((s, last.get((who, s), START)) for s in w.spans), key=lambda found: found[1])]
    }
    heard = [(w, span, us) for w, span, us in newest_of.values() if us != START]
    asked = [Asked(w, span, lasting(us)) for w, span, us in heard]
    patiences = step_patiences(connection, rule, watched, asked, last)
    found = {g: w.patience for g, (w, _, _) in newest_of.items()}
    for a, us in zip(asked, patiences, strict=True):
        found[a.watched.who[0]] = int(us[0]) * _MICROSECOND
    return found


def step_patiences(
    connection: Connection,
    rule: SilenceRule,
    watched: Mapping[Who, Watched],
    asked: Sequence[Asked],
    last: Mapping[tuple[Who, Span], int],
    most: int = _NO_LIMIT,
) -> list[Ints]:
    """How long each gateway may be silent in each of its steps, µs; last: its newest readings by span. Raises
    TooManyReadingsError where more than `most` are to be read for it.
    """
    series = series_of(connection, {i.meter for a in asked for i in a.watched.installed})
    wanted = [(a, i, _heard_in(a, i, rule, watched)) for a in asked for i in a.watched.installed]
    slices = [
        (n, series_id, begin, to_last(end))
        for n, (_, i, near) in enumerate(wanted)
        for series_id in [series[i.meter].get(i.register)]
        if series_id is not None
        for begin, end in near
    ]
    with connection.cursor() as cursor:
        ix, ts_us = times_between(cursor, slices_of([s[1:] for s in slices]), most)
    owner = np.array([s[0] for s in slices], dtype=np.int64)[ix]
    order = np.lexsort((ts_us, owner))
    ts_us = ts_us[order]
    bounds = np.searchsorted(owner[order], np.arange(len(wanted) + 1)).tolist()
    registers: dict[int, list[Register]] = defaultdict(list)
    for n, (a, i, _) in enumerate(wanted):
        times = ts_us[bounds[n] : bounds[n + 1]]
        registers[id(a)].append(Register(i.span, _patience_us(rule, i), times))
    return [
        gateway_patience(a.steps, registers[id(a)], last.get((a.watched.who, a.span), START)) for a in asked
    ]


def _patience_us(rule: SilenceRule, installed: Installed) -> int:
    return rule.gateway(installed.interval_s) // _MICROSECOND


def _heard_in(
    asked: Asked, installed: Installed, rule: SilenceRule, watched: Mapping[Who, Watched]
) -> list[Span]:
    """When it is to be known whether the register was read; never, where no patience of the gateway is longer."""
    patience_us = _patience_us(rule, installed)
    if patience_us == max(us for _, us in asked.watched.patiences):
        return []
    there = intersect(watched[installed.gateway, installed.meter].spans, [asked.span])
    return intersect(_near(asked.steps, patience_us), there)


def _near(steps: LongSteps, patience_us: int) -> list[Span]:
    """Where readings are to be known for steps that are longer than the patience."""
    some = steps.take(steps.end - steps.begin > patience_us)
    return union(
        (b - patience_us, e + patience_us + 1)
        for b, e in zip(some.begin.tolist(), some.end.tolist(), strict=True)
    )
