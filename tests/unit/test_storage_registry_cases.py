"""Every problem of a registry's files is named by file and line. A case is a folder: CSV files and expected.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from metering.errors import InputFileError
from storage.registry import check_registry

CASES = Path(__file__).parent / "registry_cases"


@pytest.mark.parametrize("case", sorted(p.name for p in CASES.iterdir()))
def test_problems_are_named_by_file_and_line(case: str) -> None:
    expected = (CASES / case / "expected.txt").read_text(encoding="utf-8").splitlines()
    try:
        check_registry(None, CASES / case)
        found = []
    except InputFileError as e:
        found = [problem.replace(str(CASES / case), "DIR") for problem in e.problems]
    assert found == expected
