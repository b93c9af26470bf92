"""Workers: each claims a task, has the engine run it, and journals what became of it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier import events
from haulier.errors import (
    AuthenticationError,
    CancelledError,
    ConfigError,
    HaulierError,
    JournalError,
    LeaseLostError,
    NetworkError,
    PermissionDeniedError,
    PluginError,
    SourceChangedError,
    TransferError,
    ValidationError,
)
from haulier.models import Disposal, TaskState
from haulier.service.aborting import Aborter
from haulier.threads import Ended
from haulier.transfer.actions import Failed, Proven
from haulier.transfer.context import RunContext
from haulier.transfer.ledger import nothing_prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from haulier.backends.api import Backend
    from haulier.clock import Clock
    from haulier.models import Proof, ReceiptEntry
    from haulier.service.destinations import Destinations
    from haulier.transfer.engine import UploadEngine
    from haulier.transfer.ledger import Lease, Ledger, Prepare
    from haulier.transfer.run import Progress

__all__ = ["Workers"]

log = logging.getLogger("haulier.manager")

PROGRESS_SECONDS = 0.1
ABORT_SECONDS = 0.5  # a queue that is never empty must not keep the aborts waiting


@dataclass(frozen=True)
class _Flight:
    lease: Lease
    context: RunContext


class Workers:
    """Claims and runs tasks. ``work`` is all a worker does; threads only repeat it. Thread-safe.

    Args:
        ledger: Journal and rules.
        engine: Runs a claim.
        destinations: The configured backends.
        clock: For progress at most ten times a second.
        silence: See ``upload.upload_timeout``.
        commit_timeout: See ``upload.commit_timeout``.
        delete_proof: Least proof before a source is removed; None for the strongest the backend offers.
        tell: Gets progress events. Must not block.

    Attributes:
        sources_to_go: Set when every source that may be removed is to be looked at soon.
        aborter: Has destinations drop the sessions that nobody goes on with.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        engine: UploadEngine,
        destinations: Destinations,
        clock: Clock,
        silence: float,
        commit_timeout: float,
        delete_proof: Proof | None,
        tell: Callable[[Sequence[events.Event]], None],
    ) -> None:
        self.ledger = ledger
        self.engine = engine
        self.destinations = destinations
        self.clock = clock
        self.silence = silence
        self.commit_timeout = commit_timeout
        self.delete_proof = delete_proof
        self.tell = tell
        self._flying: dict[str, _Flight] = {}
        self._lock = threading.Lock()
        self.sources_to_go = threading.Event()
        self.aborter = Aborter(ledger=ledger, engine=engine, destinations=destinations, silence=silence)
        self._let_go_of: deque[str] = deque()
        self._stopping = False
        self._stranded: list[tuple[Lease, str]] = []

    # -- one claim ---------------------------------------------------------------------------------------------

    def work_once(self, backend: str = "") -> bool:
        """Claim the best task and see it through; then have one session dropped, if an abort is owed.

        False when nothing is claimable and no abort is due now.

        Args:
            backend: Only of this backend, so that one that hangs holds up no worker of another; empty for any.

        Raises:
            JournalError: The journal cannot be written; nothing was claimed, or the claim stands as journalled.
        """
        if self._stopping:
            return False
        usable = self._usable([backend] if backend else self.destinations.names)
        leases = self.ledger.claim(usable, 1, self._preparing(usable))
        for lease in leases:
            self._see_through(lease)
        return self.aborter.step(usable) or bool(leases)

    def work(self, backend: str) -> bool:
        """Like :meth:`work_once`, for as long as each try succeeds: its completion claims the next task.

        One transaction serves both, which counts where files are small. Now and then it comes back for the aborts.
        """
        if self._stopping:
            return False
        usable = self._usable([backend])
        prepare = self._preparing(usable)
        leases = self.ledger.claim(usable, 1, prepare)
        worked = bool(leases)
        aborts_at = self.clock.monotonic() + ABORT_SECONDS
        while leases:
            following = usable if self.clock.monotonic() < aborts_at else ()
            leases = self._see_through(leases[0], following, prepare)
        return self.aborter.step(usable) or worked

    def _preparing(self, names: Iterable[str]) -> Prepare:
        """What makes the sessions that no backend is asked for; the backends are looked at now and not again."""
        made = {name: self.engine.preparing(self.destinations.get(name)) for name in names}
        known = {name: prepare for name, prepare in made.items() if prepare is not None}
        if not known:
            return nothing_prepared
        return lambda row, nonce: known.get(row.backend, nothing_prepared)(row, nonce)

    def _usable(self, names: Iterable[str]) -> list[str]:
        usable = []
        for name in names:
            try:
                self.destinations.get(name)
            except (ConfigError, PluginError) as error:
                log.debug("backend %s cannot be used: %s", name, error)
            else:
                usable.append(name)
        return usable

    def _see_through(
        self, lease: Lease, then_claim: Sequence[str] = (), prepare: Prepare = nothing_prepared
    ) -> list[Lease]:
        """Run a claim to its end; what was claimed together with its completion."""
        context = RunContext(silence=self.silence, commit_timeout=self.commit_timeout)
        with self._lock:
            self._flying[lease.row.id] = _Flight(lease, context)
            if self._stopping:
                context.stop("stop")
        try:
            backend = self.destinations.get(lease.row.backend)
            verdict = self.engine.run(lease, backend, context, self._reporter(lease))
            return self._conclude(lease, backend, context, verdict, then_claim, prepare)
        except LeaseLostError:
            log.warning("task %s is worked on by another worker now", lease.row.id)
        except JournalError:
            with self._lock:
                self._stranded.append((lease, ""))
            raise
        except Ended:
            raise
        except BaseException as error:  # whatever a plugin raises must not leave the task claimed for ever
            log.exception("task %s met a defect", lease.row.id)
            defect = PluginError(f"a defect ended this try: {error!r}", where=lease.row.backend)
            self.ledger.conclude_failure(lease, defect, keep_session=True)
        finally:
            with self._lock:
                self._flying.pop(lease.row.id, None)
        return []

    def _conclude(
        self,
        lease: Lease,
        backend: Backend,
        context: RunContext,
        verdict: Proven | Failed,
        then_claim: Sequence[str],
        prepare: Prepare,
    ) -> list[Lease]:
        row = lease.row
        if isinstance(verdict, Proven):
            disposal = self._disposal(lease, backend, verdict.entries)
            following = () if self._stopping else then_claim
            claimed = self.ledger.complete(
                lease, verdict.entries, backend.type, disposal, then_claim=following, prepare=prepare
            )
            if disposal is Disposal.PENDING:
                self._let_go_of.append(row.id)
            return claimed
        self._conclude_failure(lease, backend, context, verdict)
        return []

    def _conclude_failure(self, lease: Lease, backend: Backend, context: RunContext, verdict: Failed) -> None:
        row = lease.row
        if isinstance(verdict.error, CancelledError) and context.reason in {"stop", "pause"}:
            self.ledger.release(lease, "pause" if context.reason == "pause" else "")
            return
        error = self._whose_fault(backend, context, verdict.error)
        state = self.ledger.conclude_failure(
            lease,
            error,
            keep_session=verdict.keep_session,
            aborted=verdict.aborted,
            fingerprint=self.destinations.fingerprint(row.backend),
            renewed=self.engine.renewed(lease) if isinstance(error, SourceChangedError) else None,
        )
        level = logging.ERROR if state is TaskState.FAILED else logging.INFO
        log.log(level, "task %s (%s) is %s: %s", row.id, row.media.name, state, error)

    def _whose_fault(self, backend: Backend, context: RunContext, error: HaulierError) -> HaulierError:
        """A refusal of one item is its own while the destination is well for others; the probe tells.

        Behind a wrong address or a proxy that lost its way every item is refused: that must not fail a whole queue.
        """
        if not isinstance(error, PermissionDeniedError | ValidationError):
            return error
        try:
            backend.probe(context)
        except (AuthenticationError, PermissionDeniedError) as refused:
            return AuthenticationError(refused.what, where=refused.where)
        except TransferError as away:
            return NetworkError(f"{error.what}; and the probe failed: {away.what}", where=error.where, reached=False)
        except Exception:  # noqa: BLE001  a probe with a defect says nothing about the destination
            return error
        return error

    def _disposal(self, lease: Lease, backend: Backend, entries: tuple[ReceiptEntry, ...]) -> Disposal:
        if not lease.row.delete_source:
            return Disposal.KEPT
        needed = self.delete_proof or backend.abilities.proof
        weakest = min(entry.proof.strength for entry in entries)
        if weakest < needed.strength:
            log.warning("%s is kept: its receipt does not show %s", lease.row.media.path, needed)
            return Disposal.KEPT
        return Disposal.PENDING

    def _reporter(self, lease: Lease) -> Callable[[Progress], None]:
        last = [float("-inf"), -1.0]

        def report(progress: Progress) -> None:
            now = self.clock.monotonic()
            news = progress.acknowledged != last[1] or progress.restarted
            if not news and now - last[0] < PROGRESS_SECONDS:
                return
            last[:] = [now, progress.acknowledged]
            self.tell(
                [
                    events.UploadProgress(
                        at=self.clock.now(),
                        backend=lease.row.backend,
                        task=lease.row.id,
                        filename=lease.row.media.name,
                        sent=progress.sent,
                        acknowledged=progress.acknowledged,
                        total=progress.total,
                        restarted=progress.restarted,
                    )
                ]
            )

        return report

    # -- from outside ------------------------------------------------------------------------------------------

    def let_go_of(self) -> list[str]:
        """Tasks completed since the last call whose sources may be removed."""
        return [self._let_go_of.popleft() for _ in range(len(self._let_go_of))]

    def busy(self) -> bool:
        """Whether something is in flight here, or something completed whose source may be removed."""
        with self._lock:
            return bool(self._flying or self._let_go_of)

    def flying(self) -> list[str]:
        """Ids of the tasks in flight here."""
        with self._lock:
            return list(self._flying)

    def interrupt(self, task_id: str, reason: str) -> None:
        """Tell a task in flight here to stop: ``cancel`` or ``pause``."""
        with self._lock:
            flight = self._flying.get(task_id)
        if flight is not None:
            flight.context.stop(reason)

    def heed_requests(self) -> None:
        """Stop what somebody, perhaps in another process, asked to be stopped."""
        for task_id in self.flying():
            request = self.ledger.request_of(task_id)
            if request in {"cancel", "pause"}:
                self.interrupt(task_id, request)

    def release_stranded(self) -> None:
        """Give back tasks whose end could not be journalled, now that the journal can be written again."""
        with self._lock:
            stranded, self._stranded = self._stranded, []
        for lease, request in stranded:
            try:
                self.ledger.release(lease, request)
            except LeaseLostError:
                continue

    def stop(self) -> None:
        """Claim nothing more and tell what is in flight to stop, its sessions kept."""
        with self._lock:
            self._stopping = True
            flights = list(self._flying.values())
        for flight in flights:
            flight.context.stop("stop")
        self.aborter.stop()
