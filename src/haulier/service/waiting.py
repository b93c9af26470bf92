"""Waiting for many tasks without looking at each of them when it ends."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from haulier.errors import TaskNotFoundError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from haulier.clock import Clock
    from haulier.journal.api import ClaimRow, Journal, Transaction
    from haulier.models import TaskState
    from haulier.service.waking import Endings

__all__ = ["wait_for_all"]

PAGE = 64  # tasks that are looked at together: whoever waits wakes once for so many
LONGEST = 0.5  # seconds between two looks: other processes end tasks as well


def wait_for_all(
    task_ids: Iterable[str], timeout: float | None, *, journal: Journal, endings: Endings, clock: Clock
) -> Mapping[TaskState, int]:
    """Wait until all of these tasks have ended; how many ended how.

    Args:
        task_ids: Which.
        timeout: Seconds; None waits for ever.
        journal: Says how they stand.
        endings: Woken when one ends.
        clock: Monotonic time.

    Raises:
        WaitTimeoutError: Some have not ended by then; they go on.
        TaskNotFoundError: No such task.
    """
    deadline = None if timeout is None else clock.monotonic() + timeout
    left = dict.fromkeys(task_ids)
    ended: Counter[TaskState] = Counter()
    while left:
        page = tuple(islice(left, PAGE))
        with endings.of(page[-1]) as ending:
            turn = ending.turn()
            found = journal.read(partial(_states, page))
            for task_id in [task_id for task_id, state in found.items() if state.settled]:
                del left[task_id]
                ended[found[task_id]] += 1
            last_ended = found[page[-1]].settled
            wait = LONGEST if deadline is None else min(LONGEST, deadline - clock.monotonic())
            if left and wait <= 0:
                have = "has" if len(left) == 1 else "have"
                raise WaitTimeoutError(f"{len(left)} of the tasks {have} not ended after {timeout} s")
            if not last_ended:
                ending.wait(turn, wait)
    return ended


def _states(task_ids: Sequence[str], tx: Transaction) -> Mapping[str, TaskState]:
    claims: dict[str, ClaimRow | None] = {task_id: tx.claim_of(task_id) for task_id in task_ids}
    for task_id, claim in claims.items():
        if claim is None:
            raise TaskNotFoundError("no task has this id", where=task_id)
    return {task_id: claim.state for task_id, claim in claims.items() if claim is not None}
