"""How far a simulated run has come: a file in its folder, so that the same run goes on from there."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metering.errors import InputFileError

_FILE = "progress.json"
_NOTED_EVERY_S = 2.0


@dataclass(slots=True)
class RunProgress:
    """identity: what makes it the same run, a digest of all that it is made from.

    begun: whether this run was begun here before; finished: whether it came to its end; done: how many emissions of it
    are in for good, 0 of one that is finished.
    """

    folder: Path
    identity: str
    begun: bool = False
    finished: bool = False
    done: int = 0
    _noted: float = field(default=0.0)

    @property
    def _path(self) -> Path:
        return self.folder / _FILE

    def look(self, *, fresh: bool) -> None:
        """See what an earlier run left. fresh: go on from nothing, whatever it was.

        Raises InputFileError where the folder has another run, unless `fresh`.
        """
        if not self._path.exists():
            return
        try:
            found: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
            same, done, finished = found["run"] == self.identity, int(found["done"]), bool(found["finished"])
        except (ValueError, KeyError, TypeError) as e:
            if fresh:
                return
            raise InputFileError([f"{self._path}: cannot be read: {e}; give --fresh to begin anew"]) from e
        if not same and not fresh:
            raise InputFileError(
                [f"{self.folder}: holds another run; name another with --out, or give --fresh"]
            )
        self.begun = same
        self.finished = same and finished
        self.done = 0 if fresh or finished or not same else done

    def note(self, done: int, *, finished: bool = False) -> None:
        """Note that so many are in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"run": self.identity, "done": done, "finished": finished})
        unready = self._path.with_suffix(".new")
        unready.write_text(text, encoding="utf-8")
        unready.replace(self._path)  # whole or not at all, whenever the process ends
        self._noted = time.monotonic()

    def note_now_and_then(self, done: int) -> None:
        """The same, if the last time is some seconds ago."""
        if time.monotonic() - self._noted >= _NOTED_EVERY_S:
            self.note(done)
