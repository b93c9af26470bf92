"""When a file is whole: nothing about it has changed for a while."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from haulier.files import FileEntry

__all__ = ["Looks"]

REMEMBERED = 3600.0
"""Seconds for which a name that went is remembered."""


@dataclass(frozen=True, slots=True)
class _Look:
    state: tuple[int, int, str]
    since: float  # monotonic seconds at which this state was first seen


class Looks:
    """What this process saw of a folder's files, look by look. Not thread-safe: one scan of a folder at a time."""

    def __init__(self) -> None:
        self._last: dict[str, _Look] = {}
        self._came: dict[str, float] = {}
        self._went: dict[str, float] = {}
        self._looked = False
        self._at = 0.0

    def look(self, entries: Iterable[FileEntry], *, now: float, monotonic: float) -> dict[str, float]:
        """Look at all files of the folder once more; files that are gone are forgotten.

        A modification time that lies ahead, or a wall clock that was set back, cannot delay a file for ever: monotonic
        time without a change counts as much as its age.

        Args:
            entries: The files now.
            now: Wall time, seconds since the epoch.
            monotonic: Monotonic time in seconds.

        Returns:
            For how many seconds each file has been quiet, by name: 0 when it changed since the last look.
        """
        seen: dict[str, _Look] = {}
        quiet: dict[str, float] = {}
        for entry in entries:
            state = (entry.size, entry.mtime_ns, entry.file_id)
            last = self._last.get(entry.name)
            if last is None or last.state == state:
                seen[entry.name] = last or _Look(state, monotonic)
                quiet[entry.name] = max(now - entry.mtime_ns / 1e9, monotonic - seen[entry.name].since)
            else:
                seen[entry.name] = _Look(state, monotonic)
                quiet[entry.name] = 0.0
        self._note_names(seen.keys(), monotonic)
        self._last = seen
        return quiet

    def apart_for(self, name: str, other: str) -> float:
        """For how many seconds a file has been there without another, as far as this process saw them come and go.

        Infinite when it saw neither: both stood so at the first look.
        """
        return self._at - max(self._came.get(name, -math.inf), self._went.get(other, -math.inf))

    def _note_names(self, names: AbstractSet[str], monotonic: float) -> None:
        self._at = monotonic
        if self._looked:
            self._came |= dict.fromkeys(names - self._last.keys(), monotonic)
            self._went |= dict.fromkeys(self._last.keys() - names, monotonic)
        self._looked = True
        self._came = {name: at for name, at in self._came.items() if name in names}
        self._went = {name: at for name, at in self._went.items() if name not in names and monotonic - at < REMEMBERED}
