"""When a file is whole: nothing about it has changed for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from haulier.files import FileEntry

__all__ = ["Looks"]


@dataclass(frozen=True, slots=True)
class _Look:
    state: tuple[int, int, str]
    since: float  # monotonic seconds at which this state was first seen


class Looks:
    """What this process saw of a folder's files, look by look. Not thread-safe: one scan of a folder at a time."""

    def __init__(self) -> None:
        self._last: dict[str, _Look] = {}

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
        self._last = seen
        return quiet
