"""What every journal refuses in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.errors import JournalError
from haulier.journal.api import TaskRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from haulier.models import ArtifactRecord

__all__ = ["USE_THE_TRANSACTION", "check_artifacts", "check_members", "reading_only", "taken", "unknown_task"]

USE_THE_TRANSACTION = "a change or query works with the transaction it is given, never with the journal itself"

FIXED = frozenset({"id", "sequence"})
MEMBERS = frozenset(TaskRow.__dataclass_fields__)


def check_members(names: Iterable[str]) -> None:
    """Refuse changes of what is no member of a task's row, or never changes.

    Raises:
        TypeError: As for any call with a name that does not exist.
    """
    wrong = sorted(name for name in names if name not in MEMBERS or name in FIXED)
    if wrong:
        raise TypeError(f"not changeable in a task: {', '.join(wrong)}")


def check_artifacts(task_id: str, artifacts: Sequence[ArtifactRecord]) -> None:
    """Refuse two artifacts with one index.

    Raises:
        JournalError: Nothing was changed.
    """
    if len({artifact.index for artifact in artifacts}) != len(artifacts):
        raise JournalError("two artifacts have the same index", where=task_id)


def taken(what: str, where: str) -> JournalError:
    """Something that must be there once is there already."""
    return JournalError(f"{what} is in the journal already", where=where)


def unknown_task(task_id: str) -> JournalError:
    """A row that should belong to a task, or change it, names none."""
    return JournalError("the journal has no such task", where=task_id)


def reading_only() -> JournalError:
    """A query tried to write."""
    return JournalError("a query must not write", advice="Use write() for changes")
