"""However readings arrive, split, repeat, conflict or are corrected: the database says what a simple model says."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

pytestmark = pytest.mark.integration

RECEIVED_US = 1_393_632_000_000_000
HOUR_US = 3_600_000_000
JANUARY_US = 1_388_505_600_000_000

#: meter -> gateways that may send it; "void" has no installation in force.
GRANTED = {"m1": {"gw1"}, "m2": {"gw1"}, "m3": {"gw2"}}

values = st.tuples(
    st.sampled_from(["m1", "m2", "m3", "void"]),
    st.sampled_from(["1.8.0", "16.7.0"]),
    st.sampled_from([0, 1, 2, 700, 31 * 24, 33 * 24]).map(lambda h: JANUARY_US + h * HOUR_US),
    st.sampled_from([0.0, -0.0, 1.0, 2.5]),
    st.booleans(),
)
messages = st.tuples(
    st.sampled_from(["gw1", "gw2"]),
    st.lists(values, max_size=6),
    st.none() | st.integers(1, 3),
)
intakes = st.lists(st.lists(messages, min_size=1, max_size=3), min_size=1, max_size=4)


class Model:
    """The contract's rules, one value at a time."""

    def __init__(self):
        self.current = {}
        self.others = {}
        self.rejects = Counter()
        self.seen = set()
        self.ledger = Counter()
        self.changed = set()

    def take(self, gateway, given_values, seq):
        """A message; what its outbox is told."""
        inside, reason = not given_values, None
        for value in given_values:
            outcome = self.value(gateway, value, seq)
            self.ledger[gateway, "repeated" if outcome == "resent" else outcome] += 1
            if outcome in ("rejected", "resent"):
                reason = reason or ("unknown_meter" if value[0] not in GRANTED else "unauthorized")
            else:
                inside = True
        return "stored" if inside else reason

    def value(self, gateway, value, seq):
        meter, register, ts, number, correction = value
        if gateway not in GRANTED.get(meter, ()):
            reject = (gateway, seq, meter, register, ts, number + 0.0, correction)
            if seq is not None and reject in self.seen:
                return "resent"
            self.seen.add(reject)
            self.rejects[gateway] += 1
            return "rejected"
        identity = (meter, register, ts)
        if identity not in self.current:
            self.current[identity] = number
        elif number == self.current[identity] or number in self.others.setdefault(identity, set()):
            return "repeated"
        elif correction:
            self.others[identity].add(self.current[identity])
            self.current[identity] = number
        else:
            self.others[identity].add(number)
            return "conflicting"
        self.changed.add(identity)
        return "stored"


def stored(pipeline):
    """What the database says, in the model's terms."""

    def rows(text):
        return pipeline.execute(text).fetchall()

    us = "(extract(epoch from ts) * 1000000)::int8"
    current = {row[:3]: row[3] for row in rows(f"select meter, register, {us}, value from api.reading")}
    others: dict = {}
    for *identity, value in rows(
        f"select meter, register, {us}, value from nengliu.reading_version join nengliu.series using (series_id)"
    ):
        others.setdefault(tuple(identity), set()).add(value)
    rejects = dict(rows("select gateway, count(*) from api.reject group by gateway"))
    ledger = {}
    for gateway, *counts in rows(
        "select gateway, sum(stored)::int, sum(repeated)::int, sum(conflicting)::int, sum(rejected)::int"
        " from api.ingest_ledger group by gateway"
    ):
        names = ("stored", "repeated", "conflicting", "rejected")
        ledger |= {(gateway, name): n for name, n in zip(names, counts, strict=True) if n}
    marked = {
        tuple(row)
        for row in rows(
            f"select e.meter, e.register, {us} from nengliu.change c join nengliu.series e using (series_id)"
            " join nengliu.reading r using (series_id) where r.ts between c.from_ts and c.to_ts"
        )
    }
    return current, others, rejects, ledger, marked


def energetic(identity):
    """Whether a reading is in an installation and of a register that becomes energy."""
    meter, register, ts = identity
    day = (ts - JANUARY_US) / HOUR_US / 24
    return register == "1.8.0" and not (meter == "m2" and 31 <= day < 32)


@given(intakes)
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_database_says_what_the_model_says(pipeline, new_feed, given_intakes):
    for table in ("reading", "reading_version", "reject", "ingest_ledger", "change"):
        pipeline.execute(f"delete from nengliu.{table}")
    feed, model = new_feed(), Model()
    for given_messages in given_intakes:
        told = {}
        for gateway, given_values, seq in given_messages:
            answer = model.take(gateway, given_values, seq)
            if seq is not None:
                told.setdefault((gateway, seq), []).append(answer)
        result = feed.write(
            *(feed.batch(feed.message(g, v, seq=s, outbox="o" if s else None)) for g, v, s in given_messages)
        )
        acked = {(a.gateway, s): "stored" for a in result.acks for s in a.stored}
        acked |= {(a.gateway, s): r for a in result.acks for s, r in a.rejected}
        assert acked == {k: "stored" if "stored" in v else v[0] for k, v in told.items()}
    current, others, rejects, ledger, marked = stored(pipeline)
    assert current == model.current
    assert others == {k: v for k, v in model.others.items() if v}
    assert rejects == model.rejects
    assert ledger == dict(model.ledger)
    assert {i for i in model.changed if energetic(i)} <= marked
    assert all(energetic(i) for i in marked)


flat = st.lists(
    st.tuples(st.sampled_from(["m1", "m2"]), st.integers(0, 60)).map(
        lambda k: (k[0], "1.8.0", JANUARY_US + k[1] * HOUR_US, float(k[1]), False)
    ),
    min_size=1,
    max_size=40,
)


@given(flat, st.data())
@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_order_of_arrival_and_the_split_into_batches_change_nothing(
    pipeline, new_feed, given_values, data
):
    states = []
    for _ in range(2):
        for table in ("reading", "reading_version", "change"):
            pipeline.execute(f"delete from nengliu.{table}")
        feed = new_feed()
        left = data.draw(st.permutations(given_values))
        while left:
            size = data.draw(st.integers(1, len(left)))
            feed.send("gw1", *left[:size])
            left = left[size:]
        current, others, _, _, marked = stored(pipeline)
        states.append((current, others, marked))
    assert states[0] == states[1]
