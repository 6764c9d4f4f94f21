"""What notifications and their page call things, in Chinese and English: words.csv beside this file.

kind: severity, action, state, label and item are names of codes (those of rules: alerts/rule_names.csv); happened:
what an alert went through, by the transition; to_do: what is good to do now, by rule, then what holds for every rule;
note: what rules note, by their own words ({}: a number or a date).
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from metering.items import item_table, item_unit

_TONNES = ("tce", "tco2")
_VALUE = re.compile(r"\d[\d.-]*")


@cache
def _words() -> Mapping[tuple[str, str], list[dict[str, str]]]:
    """Language -> words, by kind and code."""
    found: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    text = files("alerts.notify").joinpath("words.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        found[row["kind"], row["code"]].append({"zh": row["zh"], "en": row["en"]})
    return dict(found)


def named(kind: str, code: str, language: str) -> str:
    """What a code is called; the code itself where nobody named it."""
    words = _words().get((kind, code))
    return words[0][language] if words else code


def to_do(rule: str, language: str) -> list[str]:
    """What is good to do now."""
    return [words[language] for code in (rule, "") for words in _words().get(("to_do", code), [])]


def note_in(note: str | None, language: str) -> str:
    """A transition's note; what a rule noted, in the language asked for."""
    if not note:
        return ""
    plain = _VALUE.sub("{}", note)
    return (
        named("note", plain, language).format(*_VALUE.findall(note)) if ("note", plain) in _words() else note
    )


def item_name(code: str, language: str) -> str:
    """What an energy item is called within a sentence: of a sub-item without a name, its carrier's."""
    table = item_table()
    item = table.get(code) or table.get(code[:2])
    if code in _TONNES or item is None:
        return named("item", code, language)
    if language == "zh":
        return item.name_zh
    name = item.name_en
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def unit_of(code: str) -> str:
    """The unit of a quota: of an item, or of tonnes."""
    return "t" if code in _TONNES else item_unit(code)
