"""What rules are called, in Chinese and English: rule_names.csv beside this file, in the order people see them in."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files


@cache
def rule_names() -> dict[str, tuple[str, str]]:
    """(Chinese, English) by rule."""
    with files("alerts").joinpath("rule_names.csv").open(encoding="utf-8") as f:
        return {row["rule"]: (row["name_zh"], row["name_en"]) for row in csv.DictReader(f)}


def rule_name(rule: str, language: str) -> str:
    """A rule's name; its code where nobody named it."""
    zh, en = rule_names().get(rule, (rule, rule))
    return zh if language == "zh" else en
