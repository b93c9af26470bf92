"""What a failed try means for its task and for its whole backend. Pure: rows in, rows out.

Three kinds of trouble are told apart. The *backend's*: nobody can connect, or the credentials are refused; it is
suspended, and nobody pays. The *item's*: permanent until something changes. And the kind that could be either: a reset,
silence, a 5xx. That costs the task an attempt, unless a second, different item fails the same way with no success in
between: then it is the backend's after all, and the attempts are given back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from haulier.errors import (
    AuthenticationError,
    CancelledError,
    HaulierError,
    NetworkError,
    PluginError,
    SourceChangedError,
    SourceUnavailableError,
    SourceUnstableError,
    ThrottledError,
    TransientError,
)
from haulier.models import ErrorRecord, SuspensionReason
from haulier.transfer.states import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.journal.api import AbortRow, BackendRow, TaskRow

__all__ = ["NO_SESSION", "NO_TOKEN", "Policy", "Ruling", "error_record"]

NO_TOKEN: Mapping[str, Any] = {"token": None, "abilities": None, "part_size": 0, "acknowledged": 0}
"""Members of a task's row when it can go on with its session no more, and it stays known that it had one."""

NO_SESSION: Mapping[str, Any] = {**NO_TOKEN, "nonce": "", "committing": False, "digests": {}}
"""Members of a task's row when its upload session is given up."""


def error_record(error: HaulierError, now: float) -> ErrorRecord:
    """An error as the journal keeps it."""
    return ErrorRecord(error.code, error.what, error.where, error.advice, now)


@dataclass(frozen=True)
class Ruling:
    """What follows from a failed try.

    Attributes:
        cause: The move in :data:`haulier.transfer.states.TRANSITIONS`.
        changes: Members of the task's row to change besides ``state``.
        backend: The backend's new row.
        give_back: Other tasks whose last attempt is given back and which wait no longer for a time of their own.
    """

    cause: Cause
    changes: dict[str, Any]
    backend: BackendRow
    give_back: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """The numbers of invariant 9, seconds unless said.

    Attributes:
        max_retries: Retries after the first try.
        random: Uniform in [0, 1); spreads the waits.
        retry_most: Longest wait between tries.
        probe_first: First wait before a suspended backend is asked.
        probe_most: Longest.
        probe_credentials: Wait before refused credentials are tried again.
        slow_lane: Wait of a task whose attempts are spent.
        settle: First wait after a source changed; doubles.
        settle_most: Longest.
        most_restarts: Start-overs because of a changing source.
        most_suspicion: Suspensions in flight after which a task pays for itself.
        abort_most: How long it is tried to have a destination drop a session.
        abort_longest: After which it is given up although it could not be tried.
    """

    max_retries: int = 3
    random: Callable[[], float] = field(default=lambda: 0.5)
    retry_most: float = 60.0
    probe_first: float = 1.0
    probe_most: float = 60.0
    probe_credentials: float = 300.0
    slow_lane: float = 3600.0
    settle: float = 1.0
    settle_most: float = 3600.0
    most_restarts: int = 20
    most_suspicion: int = 3
    abort_most: float = 7 * 86_400.0
    abort_longest: float = 30 * 86_400.0

    def retry_wait(self, attempt: int) -> float:
        """Seconds before the try after failed try number ``attempt`` (from 1): 2, 4, 8, ... with up to 10 % spread."""
        from tenacity import RetryCallState, wait_exponential

        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        state.attempt_number = attempt
        plain = wait_exponential(multiplier=2, max=self.retry_most)(state)
        return min(self.retry_most, plain * (1.0 + 0.1 * self.random()))

    def abort_wait(self, owed: AbortRow, error: HaulierError, now: float) -> float | None:
        """Seconds until a destination is told again to drop a session; None when that is given up.

        As a task's tries, then in the slow lane. What will not pass by itself is given up when the tries are spent.

        Args:
            owed: The abort, the failed try counted.
            error: How that failed.
            now: Seconds since the epoch.
        """
        passing = isinstance(error, TransientError | AuthenticationError)
        spent = owed.tries > self.max_retries
        if now - owed.owed_at > self.abort_most or (spent and not passing):
            return None
        wait = self.slow_lane if spent else self.retry_wait(owed.tries)
        if isinstance(error, ThrottledError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return wait

    def judge(
        self, row: TaskRow, backend: BackendRow, error: HaulierError, now: float, *, keep_session: bool
    ) -> Ruling:
        """Decide what follows from ``error``, which ended a try of ``row``."""
        session: dict[str, Any] = {} if keep_session else dict(NO_SESSION)
        base = {**session, "error": error_record(error, now), "request": "", "owner": "", "not_before": None}
        match error:
            case CancelledError():
                return Ruling(Cause.CANCEL, base, backend)
            case SourceChangedError():
                return self._source_changed(row, backend, base, now)
            case SourceUnavailableError(passing=True):
                wait = self._settle_wait(row.restarts + 6)
                return Ruling(Cause.CHANGED, {**base, "not_before": now + wait}, backend)
            case AuthenticationError():
                suspended = self._suspend(backend, SuspensionReason.CREDENTIALS, error, now)
                return Ruling(Cause.BACKEND_AWAY, base, suspended)
            case NetworkError(reached=False):
                return self._unreachable(row, backend, error, base, now)
            case TransientError() | PluginError():
                return self._transient(row, backend, error, base, now)
            case _:
                return Ruling(Cause.SPENT, {**base, "slow_lane": False}, backend)

    def succeeded(self, backend: BackendRow) -> BackendRow:
        """The backend's row after an upload was completed."""
        return replace(backend, failing=(), trial=False, interval=0.0)

    def resumed(self, backend: BackendRow) -> BackendRow:
        """The backend's row when a probe succeeded: on trial until something is stored."""
        return replace(backend, suspended=None, since=None, probe_at=None, error=None, trial=True)

    def probe_failed(self, backend: BackendRow, error: HaulierError, now: float) -> BackendRow:
        """The backend's row when a probe failed."""
        reason = backend.suspended or SuspensionReason.UNREACHABLE
        if isinstance(error, AuthenticationError):
            reason = SuspensionReason.CREDENTIALS
        return self._suspend(backend, reason, error, now)

    def _suspend(self, backend: BackendRow, reason: SuspensionReason, error: HaulierError, now: float) -> BackendRow:
        interval = min(self.probe_most, max(self.probe_first, backend.interval * 2))
        wait = self.probe_credentials if reason is SuspensionReason.CREDENTIALS else interval
        if isinstance(error, ThrottledError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return replace(
            backend,
            suspended=reason,
            since=backend.since if backend.suspended else now,
            probe_at=now + wait,
            interval=interval,
            error=error_record(error, now),
        )

    def _source_changed(self, row: TaskRow, backend: BackendRow, base: dict[str, Any], now: float) -> Ruling:
        restarts = row.restarts + 1
        if restarts > self.most_restarts:
            unstable = SourceUnstableError(f"the file changed during {restarts} tries", where=row.media.path)
            return Ruling(Cause.SPENT, {**base, "error": error_record(unstable, now), "slow_lane": False}, backend)
        wait = self._settle_wait(restarts)
        return Ruling(Cause.CHANGED, {**base, "restarts": restarts, "not_before": now + wait}, backend)

    def _settle_wait(self, restarts: int) -> float:
        return float(min(self.settle_most, self.settle * 2 ** (restarts - 1)))

    def _unreachable(
        self, row: TaskRow, backend: BackendRow, error: HaulierError, base: dict[str, Any], now: float
    ) -> Ruling:
        suspended = self._suspend(backend, SuspensionReason.UNREACHABLE, error, now)
        if row.suspicion >= self.most_suspicion:
            return self._charge(row, suspended, error, {**base, "suspicion": 0}, now)
        return Ruling(Cause.BACKEND_AWAY, {**base, "suspicion": row.suspicion + 1}, suspended)

    def _transient(
        self, row: TaskRow, backend: BackendRow, error: HaulierError, base: dict[str, Any], now: float
    ) -> Ruling:
        others = tuple(task for task in backend.failing if task != row.id)
        streak = replace(backend, failing=(*others, row.id))
        own_fault = not others or row.suspicion >= self.most_suspicion or isinstance(error, PluginError)
        if own_fault:
            return self._charge(row, streak, error, {**base, "suspicion": 0}, now)
        suspended = self._suspend(streak, SuspensionReason.FAILING, error, now)
        return Ruling(Cause.BACKEND_AWAY, {**base, "suspicion": row.suspicion + 1}, suspended, give_back=others)

    def _charge(
        self, row: TaskRow, backend: BackendRow, error: HaulierError, base: dict[str, Any], now: float
    ) -> Ruling:
        attempts = row.attempts + 1
        if attempts > self.max_retries:
            spent = {**base, "attempts": attempts, "slow_lane": True, "not_before": now + self.slow_lane}
            return Ruling(Cause.SPENT, spent, backend)
        wait = self.retry_wait(attempts)
        if isinstance(error, ThrottledError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return Ruling(Cause.FAILED_TRY, {**base, "attempts": attempts, "not_before": now + wait}, backend)
