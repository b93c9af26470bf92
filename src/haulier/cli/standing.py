"""Whether a task can move, and the wait until none can."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from haulier.errors import JournalUnavailableError, SourceUnavailableError
from haulier.models import SuspensionReason, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from haulier.clock import Clock
    from haulier.models import Task

__all__ = ["PATIENCE", "Stand", "stand_of", "wait_until_still"]

PATIENCE = 10.0  # seconds behind a suspended backend
LONGEST_BACKOFF = 70.0  # the longest wait between tries is a minute and its spread; what waits longer is left
LOOK_SECONDS = 0.1


class Stand(Enum):
    """How a task stands for somebody who waits for it."""

    ENDED = "ended"
    MOVING = "moving"
    AWAY = "away"  # its backend, its folder or the journal is away, or its turn is far off
    REFUSED = "refused"  # its backend refuses the credentials
    PAUSED = "paused"


def stand_of(task: Task, suspended: SuspensionReason | None, now: float) -> Stand:
    """How a task stands.

    Args:
        task: The task.
        suspended: Why its backend waits, or None.
        now: Wall time, seconds since the epoch.
    """
    if task.state.settled:
        return Stand.ENDED
    if task.state is TaskState.PAUSED:
        return Stand.PAUSED
    if task.state is TaskState.UPLOADING:
        return Stand.MOVING
    if suspended is not None:
        return Stand.REFUSED if suspended is SuspensionReason.CREDENTIALS else Stand.AWAY
    if task.state is TaskState.RETRYING and _is_far_off(task, now):
        return Stand.AWAY
    return Stand.MOVING


def _is_far_off(task: Task, now: float) -> bool:
    if task.error is not None and task.error.code == SourceUnavailableError.code:
        return True
    return task.not_before is not None and task.not_before - now > LONGEST_BACKOFF


def wait_until_still(
    look: Callable[[], Collection[Stand]],
    *,
    pause: Callable[[float], None],
    clock: Clock,
    patience: float | None = None,
) -> None:
    """Return when no task can move any more: all ended, or the others stood still for as long as patience lasts.

    Args:
        look: How the tasks stand; those that ended may be left out.
        pause: Passes this many seconds; what it raises ends the wait.
        clock: Monotonic time.
        patience: Seconds to wait while nothing moves; None for 10, and 0 for refused credentials and paused tasks.
    """
    still_since: float | None = None
    while True:
        began = clock.monotonic()
        stands = _look(look)
        if not stands:
            return
        if Stand.MOVING in stands:
            still_since = None
        else:
            still_since = began if still_since is None else still_since
            if began - still_since >= _patience(stands, patience):
                return
        # A look at very many tasks takes its time: most of it is left to the uploads.
        pause(max(LOOK_SECONDS, 5 * (clock.monotonic() - began)))


def _look(look: Callable[[], Collection[Stand]]) -> set[Stand]:
    try:
        return set(look()) - {Stand.ENDED}
    except JournalUnavailableError:
        return {Stand.AWAY}


def _patience(stands: set[Stand], patience: float | None) -> float:
    if Stand.AWAY in stands:
        return PATIENCE if patience is None else patience
    if Stand.REFUSED in stands:
        return patience or 0.0
    return 0.0
