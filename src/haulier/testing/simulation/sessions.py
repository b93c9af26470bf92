"""Upload sessions that nobody goes on with: none stays at a destination that could be told, and none goes too early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haulier.models import TaskState
from haulier.transfer.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from haulier.backends.api import Upload
    from haulier.backends.memory import MemoryStore
    from haulier.journal.api import AbortRow, SealedToken, TaskRow

__all__ = ["DroppedSessions"]

POLICY = Policy()


@dataclass
class DroppedSessions:
    """Watches what becomes of them.

    Attributes:
        stores: What lies at each destination.
        owed: Aborts that are owed now, by sequence.
    """

    stores: Mapping[str, MemoryStore]
    owed: dict[int, AbortRow] = field(default_factory=dict)

    def after_write(self, changed: Iterable[tuple[TaskRow, TaskRow]], owed: Iterable[AbortRow]) -> str:
        """Compare with what was before a change of the journal.

        Args:
            changed: Tasks before and after it.
            owed: What is owed now.

        Returns:
            What is wrong, or nothing.
        """
        now = {one.sequence: one for one in owed}
        ended = [one for sequence, one in self.owed.items() if sequence not in now and not self._is_given_up(one)]
        self.owed = now
        known = {(one.backend, _name(one.token)) for one in now.values()}
        dropped = [(before.backend, _name(before.token)) for before, after in changed if _drops(before, after)]
        ended_too = [(one.backend, _name(one.token)) for one in ended]
        for backend, name in (*dropped, *ended_too):
            session = self.stores[backend].sessions.get(name)
            if session is not None and not session.committed and (backend, name) not in known:
                return f"{name} stays at {backend}, and nobody is told to drop it"
        return ""

    def is_still_needed(self, row: TaskRow, upload: Upload) -> bool:
        """Whether a session is aborted with which its task goes on, or whose commit may have arrived."""
        if row.nonce != upload.nonce or row.state is TaskState.UPLOADING:
            return False
        return row.token is not None or row.committing

    def _is_given_up(self, owed: AbortRow) -> bool:
        """As the policy has it: the tries are spent. Clocks that are set do not make a week of a moment."""
        return owed.tries > POLICY.max_retries


def _drops(before: TaskRow, after: TaskRow) -> bool:
    """Whether a task let go of a session that was neither committed nor may have been."""
    if before.token is None or before.committing or after.state is TaskState.COMPLETED:
        return False
    return after.token is None or _name(after.token) != _name(before.token)


def _name(token: SealedToken | None) -> str:
    return str(token.public.get("session", "")) if token is not None else ""
