"""What is known of edge nodes is bounded, and a node that was forgotten is asked again."""

from __future__ import annotations

from collectors.decoders.sparkplug import Naming, Parsed, parse, parse_topic
from collectors.sparkplug_state import Nodes
from simulators.sparkplug_payloads import metric, payload


def message(kind: str, node: str, *metrics: bytes, seq: int) -> Parsed:
    topic = parse_topic(f"spBv1.0/g/{kind}/{node}")
    assert topic is not None
    parsed = parse(topic, payload(*metrics, seq=seq), (), 1_700_000_000_000_000, Naming())
    assert isinstance(parsed, Parsed)
    return parsed


def birth(node: str, aliases: int) -> Parsed:
    return message("NBIRTH", node, *(metric(f"m{i}/1.8.0", 1.0, alias=i) for i in range(aliases)), seq=0)


def test_the_node_heard_longest_ago_is_forgotten_first() -> None:
    nodes = Nodes(most_nodes=2)
    for name in ("a", "b"):
        nodes.heard(birth(name, 1))
    nodes.heard(message("NDATA", "a", seq=1))
    nodes.heard(birth("c", 1))
    data = {name: message("NDATA", name, metric(None, 1.0, alias=0), seq=2) for name in "abc"}
    assert [nodes.can_name(data[name]) for name in "abc"] == [True, False, True]


def test_aliases_are_bounded_and_counted_right() -> None:
    nodes = Nodes(most_aliases=25)
    for i in range(50):
        nodes.heard(birth(f"n{i % 7}", i % 10))
        assert nodes.size <= 25
    assert len(nodes) < 7


def test_seq_counts_from_255_on_to_0_and_a_gap_makes_doubtful_until_the_next_birth() -> None:
    nodes = Nodes()
    nodes.heard(birth("a", 1))
    for seq in [*range(1, 256), 0, 1]:
        nodes.heard(message("NDATA", "a", seq=seq))
    data = message("NDATA", "a", metric(None, 1.0, alias=0), seq=3)
    assert nodes.can_name(data)
    nodes.heard(data)
    assert not nodes.can_name(data)
    assert nodes.wants_rebirth(data.topic)
    nodes.heard(birth("a", 1))
    assert nodes.can_name(data)
