"""`bench notify` in small: nothing is lost while servers fail and workers are killed; it finds what would be wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from deploy.bench.notify import NotifyBench, run_notify
from deploy.bench.notify_servers import Chance, Taken
from deploy.clients import connect_database
from deploy.stack.steps import SilentSteps

from .conftest import Servers


@pytest.mark.integration
def test_nothing_is_lost_and_every_repeat_carries_its_key(servers: Servers) -> None:
    options = NotifyBench(count=80, workers=2, kill_every_s=2.0, with_chart=1, least_kills=2)
    report = run_notify(servers.settings, options, SilentSteps())
    assert report["passed"], report
    assert (report["notifications"], report["arrived"], report["lost"]) == (80, 80, 0)
    assert report["kills"] >= 2
    assert 0 < report["written_to_sent_p50_s"] <= report["written_to_sent_p95_s"]
    assert sum(report["faults"].values()) > 5
    with connect_database(servers.settings, "superuser", database="postgres") as connection:
        left = connection.execute(
            "select datname from pg_database where datname like 'bench_notify_%'"
        ).fetchall()
    assert left == []


def test_repeats_are_told_from_other_keys() -> None:
    taken = Taken()
    for key in ("a", "a", "b"):
        taken.take("1", "li", key, True)
    taken.take("2", "li", "c", False)
    assert taken.all_keys() == Counter({"a": 2, "b": 1, "c": 1})
    assert sum(len(keys) - 1 for keys in taken.keys.values()) == 1
    assert taken.wrong == 1


def test_faults_are_drawn_alike_from_a_seed() -> None:
    def drawn(seed: int) -> list[str | None]:
        chance = Chance(seed, 0.5, ("x", "y"), Taken())
        return [chance.draw() for _ in range(50)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert {None, "x", "y"} == set(drawn(1))
