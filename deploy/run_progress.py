"""How far a simulated run has come that was stopped: a file in its folder, so that the same run goes on from there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from metering.errors import InputFileError

_FILE = "progress.json"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """identity: what makes it the same run, a digest of all that it is made from."""

    folder: Path
    identity: str

    @property
    def _path(self) -> Path:
        return self.folder / _FILE

    def done(self) -> int:
        """How many emissions are in for good. Raises InputFileError where the folder has another run's progress."""
        if not self._path.exists():
            return 0
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            same, done = found["run"] == self.identity, int(found["done"])
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise InputFileError([f"{self._path}: cannot be read: {e}; give --fresh to begin anew"]) from e
        if not same:
            raise InputFileError(
                [
                    f"{self.folder}: holds another run that was stopped; name another with --out, or give --fresh"
                ]
            )
        return done

    def note(self, done: int) -> None:
        """Note that so many are in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({"run": self.identity, "done": done}), encoding="utf-8")

    def forget(self) -> None:
        """Begin anew, or: it is over."""
        self._path.unlink(missing_ok=True)
