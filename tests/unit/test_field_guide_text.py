"""The field guide in its two languages: the same commands, and every option that it names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from deploy.cli.app import COMMANDS, LazyGroup

FOLDER = Path(__file__).parents[2] / "docs" / "field-guide"
TEXTS = {name: (FOLDER / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")}


def blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code(text: str) -> set[str]:
    """What stands in backquotes, but for what the two languages show differently."""
    own = {"… wait", "not connected", "rejected by the platform unknown_meter", "clock off/s"}
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`]+)`", prose)) - own


def commands(text: str) -> list[list[str]]:
    """Every `nengliu …` of a text, as words."""
    lines = "\n".join([*blocks(text), *re.findall(r"`(nengliu [^`]+)`", text)]).replace("\\\n", " ")
    found = re.findall(r"nengliu ([a-z][^|)&\n]*)", lines)
    return [shlex.split(words) for words in found if '"' not in words]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words call, and the words after its name."""
    app = typer.Typer(cls=LazyGroup)
    app.callback()(lambda: None)
    found: Any = get_command(app)
    while words and hasattr(found, "list_commands"):
        sub = found.get_command(None, words[0])
        assert sub is not None, words
        found, words = sub, words[1:]
    return found, words


def test_the_two_languages_have_the_same_commands():
    english, chinese = TEXTS["README.md"], TEXTS["README.zh.md"]
    assert blocks(english) == blocks(chinese)
    assert code(english) == code(chinese)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_command_and_option_of_the_guide_exists(text: str):
    assert len(commands(text)) > 15
    for words in commands(text):
        assert words[0] in COMMANDS
        command, rest = command_of(words)
        options = {o for p in command.params for o in p.opts}
        assert {w.partition("=")[0] for w in rest if w.startswith("--")} <= options | {"--help"}, words


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_option_in_the_table_of_mistakes_is_one_of_simulate_meter(text: str):
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    tried = [c for line in rows for c in re.findall(r"`(--[^`]+)`", line.rsplit("|", 2)[1])]
    assert len(tried) > 8
    options = {o for p in command_of(["simulate", "meter"])[0].params for o in p.opts}
    assert {words.split()[0] for words in tried} <= options
