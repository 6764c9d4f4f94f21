"""A clock of their own for processes, by libfaketime: it is never the machine's that is changed."""

from __future__ import annotations

import os
import runpy
import select
import sys
import time
from pathlib import Path
from typing import Protocol


class HasClockLibrary(Protocol):
    """What knows where libfaketime is."""

    def clock_library(self) -> Path:
        """The library to load first."""


class Clock:
    """The clock of some processes: the machine's plus an offset that can be changed while they run.

    file: where the offset is kept for them; faked: whether they may be faked at all, else nothing is put before them.
    """

    def __init__(self, file: Path, library: HasClockLibrary, faked: bool) -> None:
        self._file, self._library, self._faked = file, library, faked
        self.set(0)

    def set(self, offset_s: int) -> None:
        """The offset from now on; the clock jumps."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}\n")
        fresh.replace(self._file)

    def environment(self) -> dict[str, str]:
        """What a process is to be started with."""
        if not self._faked:
            return {}
        return {
            "LD_PRELOAD": str(self._library.clock_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def module_prefix(self) -> list[str]:
        """What goes before a module that a process runs."""
        return ["tests.campaign.clocks"] if self._faked else []


def main() -> None:
    """Run a module with a time.sleep that works: Python 3.11's asks for an absolute monotonic time, which libfaketime
    refuses (clock_nanosleep, EINVAL).
    """
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None
    os.environ.pop("LD_PRELOAD", None)  # not for its children
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
