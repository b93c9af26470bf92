"""Many tasks as a sequence that holds their ids alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from haulier.errors import TaskNotFoundError
from haulier.models import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["TaskList"]

PAGE = 200  # tasks that are read at once


class TaskList(Sequence[Task]):
    """Tasks in a fixed order, each read from the journal when it is looked at: snapshots of that moment.

    Args:
        ids: Their ids.
        read: Gives the snapshots of some of them, those that are known, in order.

    As thread-safe as ``read``.
    """

    def __init__(self, ids: Iterable[str], read: Callable[[Sequence[str]], list[Task]]) -> None:
        self.ids = tuple(ids)
        self._read = read

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Task]:
        for start in range(0, len(self.ids), PAGE):
            yield from self._read(self.ids[start : start + PAGE])

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> TaskList: ...
    def __getitem__(self, index: int | slice) -> Task | TaskList:
        """One task, or some of them.

        Raises:
            IndexError: There are not so many.
            TaskNotFoundError: The journal does not know it any more.
        """
        if isinstance(index, slice):
            return TaskList(self.ids[index], self._read)
        task_id = self.ids[index]
        found = self._read((task_id,))
        if not found:
            raise TaskNotFoundError("no task has this id", where=task_id)
        return found[0]

    def __eq__(self, other: object) -> bool:
        return self.ids == other.ids if isinstance(other, TaskList) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.ids)

    def __repr__(self) -> str:
        return f"<{len(self.ids)} tasks>"
