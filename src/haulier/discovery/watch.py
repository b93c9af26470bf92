"""Looking at folders again and again, without threads of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haulier.discovery.scan import FolderMemory, ScanResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Watcher"]


@dataclass(slots=True)
class _Watched:
    due: float  # monotonic seconds
    pause: float  # seconds until the look after the next
    memory: FolderMemory = field(default_factory=FolderMemory)
    unreachable: str | None = None


class Watcher:
    """Rescans folders when they are due. One that cannot be reached is looked at less and less often.

    Not thread-safe: one thread calls :meth:`step`.

    Args:
        folders: What to watch.
        look: Scans one folder, given what earlier scans saw: :func:`~haulier.discovery.scan.scan` with its ports.
        interval: Seconds from one look to the next.
        longest: Seconds between looks at a folder that cannot be reached, at most.
    """

    def __init__(
        self,
        folders: Iterable[str],
        look: Callable[[str, FolderMemory], ScanResult],
        *,
        interval: float = 5.0,
        longest: float = 300.0,
    ) -> None:
        self._look = look
        self._interval = interval
        self._longest = max(longest, interval)
        self._watched = {folder: _Watched(due=float("-inf"), pause=interval) for folder in folders}

    @property
    def unreachable(self) -> Mapping[str, str]:
        """The folders that could not be listed at the last look, with the reason."""
        return {folder: watched.unreachable for folder, watched in self._watched.items() if watched.unreachable}

    def next_due(self) -> float | None:
        """When :meth:`step` has something to do next, in monotonic seconds; None when no folder is watched."""
        return min((watched.due for watched in self._watched.values()), default=None)

    def step(self, now: float) -> list[ScanResult]:
        """Look at each folder that is due.

        Args:
            now: Monotonic time in seconds.
        """
        return [self._visit(folder, watched, now) for folder, watched in self._watched.items() if watched.due <= now]

    def _visit(self, folder: str, watched: _Watched, now: float) -> ScanResult:
        result = self._look(folder, watched.memory)
        watched.unreachable = result.unreachable
        watched.pause = self._interval if result.unreachable is None else min(watched.pause * 2, self._longest)
        watched.due = now + watched.pause
        return result
