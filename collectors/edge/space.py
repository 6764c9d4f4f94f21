"""Room on the outbox's disk: a reserve that is given up when the disk is full, so that totals go on for a while."""

from __future__ import annotations

import os
from pathlib import Path


class Ballast:
    """A file that does nothing but hold its size. 0 bytes: none is held."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size

    @property
    def held(self) -> bool:
        """Whether the room is there to be given up, or none is asked for."""
        return not self._size or self._path.exists()

    def give_up(self) -> bool:
        """Make room. Returns whether there was something to give up."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

    def restore(self, spare: int) -> bool:
        """Hold the room again, where that leaves `spare` bytes free. Returns whether it is held."""
        if not self.held and free_bytes(self._path.parent) > self._size + spare:
            self._take()
        return self.held

    def _take(self) -> None:
        part = self._path.with_suffix(".part")
        try:
            with part.open("wb") as f:
                os.posix_fallocate(f.fileno(), 0, self._size)
        except OSError:
            part.unlink(missing_ok=True)
            return
        part.rename(self._path)


def free_bytes(folder: Path) -> int:
    """What may still be written in a folder's file system."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
