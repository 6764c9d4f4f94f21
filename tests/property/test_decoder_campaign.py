"""The decoder campaign's short run, and that the campaign finds what is planted; `make fuzz` is the long one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from collectors.decoders import dlt645, native_json
from collectors.decoders.base import Decoded, Decoder
from metering.records import RejectedValue
from tests.fuzz import chunks, found
from tests.fuzz.campaign import carry_out, run
from tests.fuzz.campaign import chunks as chunks_of
from tests.fuzz.chunks import Chunk, Finding, Tally, run_chunk
from tests.fuzz.inputs import Message
from tests.fuzz.makers import JsonEditor, Maker, frame_editor
from tests.fuzz.targets import DecoderTarget, targets

SEED = 20260801


def test_no_decoder_raises_or_breaks_a_rule_on_thirty_thousand_hostile_inputs() -> None:
    tallies: dict[str, Tally] = {name: Tally() for name in targets()}
    for chunk in chunks_of(30_000, list(targets())):
        tallies[chunk.target].add(run(chunk, SEED))
    assert [f for tally in tallies.values() for f in tally.findings] == []
    assert sum(t.inputs for t in tallies.values()) >= 30_000
    for name, tally in tallies.items():
        assert tally.with_readings, name
        assert tally.refused or tally.rejected, name


def test_the_inputs_of_a_seed_are_the_same_and_those_of_another_are_not() -> None:
    for name, target in targets().items():
        first, again, other = (
            list(islice(iter(target.maker(Random(seed)).make, None), 50)) for seed in (1, 1, 2)
        )
        assert first == again, name
        assert first != other, name


def planted(decode: Decoder, name: str = "dlt645") -> DecoderTarget:
    """A target with another decoder."""
    editor: Callable[[], object] = JsonEditor if name == "native_json" else lambda: frame_editor(name)
    return DecoderTarget(name, 1, editor, lambda _: decode, lambda _, out: None)  # type: ignore[arg-type]


def only_finding(target: DecoderTarget, inputs: int = 2000) -> Finding:
    tally = run_chunk(target, Chunk(target.name, 0, inputs), SEED)
    assert tally.exceptions + tally.breaches > 0
    [finding] = tally.findings
    return found.smaller(target, finding)


def test_a_decoder_that_raises_on_a_byte_is_found_and_its_case_is_that_byte(tmp_path: Path) -> None:
    def decode(gateway: str, payload: bytes, properties: tuple, received_us: int) -> Decoded:
        if b"\xc0" in payload:
            raise IndexError("planted")
        return dlt645.decode(gateway, payload, properties, received_us)

    finding = only_finding(planted(decode))
    assert not finding.breach
    assert finding.what.startswith("IndexError at test_decoder_campaign.py:")
    case = found.write(finding, tmp_path)
    assert case.parent == tmp_path / "dlt645"
    assert bytes.fromhex((case / "input.hex").read_text()) == b"\xc0"
    assert json.loads((case / "settings.json").read_text())["user_properties"] == []
    assert "planted" in (case / "found.txt").read_text()


def without_rejects(out: Decoded) -> None:
    out.rejected, out.rejected_bytes = [], 0


def with_a_value_that_is_none(out: Decoded) -> None:
    out.values[:1] = [float("nan")] * len(out.values[:1])


def with_a_column_too_short(out: Decoded) -> None:
    del out.registers[:1]


def with_a_reason_of_its_own(out: Decoded) -> None:
    out.rejected = [RejectedValue("odd", r.detail, r.payload) for r in out.rejected]


def with_a_reject_without_bytes(out: Decoded) -> None:
    out.rejected = [RejectedValue(r.reason, r.detail, b"") for r in out.rejected]


def with_a_number_that_no_record_holds(out: Decoded) -> None:
    out.sent_us = 2**62 if out.values else None


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (without_rejects, "whole"),
        (with_a_value_that_is_none, "readings"),
        (with_a_column_too_short, "columns"),
        (with_a_reason_of_its_own, "rejects"),
        (with_a_reject_without_bytes, "rejects"),
        (with_a_number_that_no_record_holds, "codec"),
    ],
)
def test_a_decoder_that_breaks_a_rule_is_found(spoil: Callable[[Decoded], None], rule: str) -> None:
    def decode(gateway: str, payload: bytes, properties: tuple, received_us: int) -> Decoded:
        out = dlt645.decode(gateway, payload, properties, received_us)
        spoil(out)
        return out

    finding = only_finding(planted(decode), 300)
    assert finding.breach
    assert finding.what == rule


def test_a_decoder_that_answers_differently_each_time_is_found() -> None:
    calls = 0

    def decode(gateway: str, payload: bytes, properties: tuple, received_us: int) -> Decoded:
        nonlocal calls
        calls += 1
        return native_json.decode(gateway, payload, properties, received_us + calls % 2 * 10**15)

    tally = run_chunk(planted(decode, "native_json"), Chunk("native_json", 0, 2000), SEED)
    assert "again" in {f.what for f in tally.findings}


def test_the_message_that_spoils_a_record_is_told_from_its_neighbours() -> None:
    def decode(gateway: str, payload: bytes, properties: tuple, received_us: int) -> Decoded:
        out = native_json.decode(gateway, payload, properties, received_us)
        out.sent_us = 2**62 if b"spoilt" in payload else out.sent_us
        return out

    target = planted(decode, "native_json")
    text = b'{"v":1,"readings":[{"meter":"%s","ts":1393603200,"values":{"1.8.0":1}}]}'
    for meter in (b"a", b"spoilt", b"b"):
        assert not isinstance(chunks.try_one(target, (Message(text % meter),)), Finding)
    finding = chunks.end(target)
    assert finding is not None
    assert (finding.what, finding.given) == ("codec", (Message(text % b"spoilt"),))


def test_an_input_that_takes_for_ever_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(gateway: str, payload: bytes, properties: tuple, received_us: int) -> Decoded:
        while True:
            pass

    monkeypatch.setattr(chunks, "ENDLESS_S", 0.05)
    tally = run_chunk(planted(decode), Chunk("dlt645", 0, 2), SEED)
    assert [f.what.partition(" ")[0] for f in tally.findings] == ["EndlessError"]
    assert tally.exceptions == 2


def test_what_says_something_new_is_edited_further() -> None:
    seed = Message(b'{"v":1}')
    maker = Maker([seed], JsonEditor(), Random(1))
    maker.learn((Message(b'{"new":1}'),), "new")
    maker.learn((Message(b'{"old":1}'),), "new")
    made = [maker.make()[0].payload for _ in range(300)]
    assert any(b'"new"' in payload for payload in made)
    assert not any(b'"old"' in payload for payload in made)


def test_a_campaign_is_of_as_many_inputs_as_asked_for_and_tries_all_soon() -> None:
    names = list(targets())
    todo = chunks_of(1_000_003, names)
    assert sum(c.size for c in todo) == 1_000_003
    assert len(set(todo)) == len(todo)
    assert any(c.structured for c in todo)
    assert {c.target for c in todo[: len(todo) // 3]} == set(names)


def die(chunk: Chunk, seed: int) -> Tally:
    os._exit(3)


def test_a_process_that_dies_is_told_with_the_chunk_that_it_was_at() -> None:
    todo = [Chunk("dlt645", n, 10) for n in range(3)]
    assert carry_out(todo, SEED, 1, lambda c, t: None, die).died == todo[:1]


def test_an_interrupt_ends_the_campaign_with_what_was_done() -> None:
    todo = [Chunk("dlt645", n, 200) for n in range(50)]
    said: list[Tally] = []

    def say(chunk: Chunk, tally: Tally) -> None:
        said.append(tally)
        if len(said) == 1:
            raise KeyboardInterrupt

    ending = carry_out(todo, SEED, 1, say)
    assert ending.broken_off
    assert 1 <= len(said) < len(todo)
    assert all(t.inputs == 200 for t in said)
