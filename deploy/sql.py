"""The SQL of this room, read from queries/*.sql."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """The text of queries/<name>.sql."""
    return files("deploy").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
