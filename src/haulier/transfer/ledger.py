"""The journal with the rules applied: every change of a task's state goes through here.

Each method is one transaction; the events it writes are published after it. Who lost a lease gets
:class:`~haulier.errors.LeaseLostError` and has changed nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from haulier import events
from haulier.errors import HaulierError, LeaseLostError, SourceChangedError
from haulier.journal.api import TaskFilter, TaskRow, item_of
from haulier.models import Disposal, Receipt, TaskState
from haulier.transfer import notices
from haulier.transfer.aborts import drop_session, free_aborts, owe_abort, wake_aborts
from haulier.transfer.policy import Policy, error_record
from haulier.transfer.states import Cause, move

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from haulier.backends.api import Abilities
    from haulier.clock import Clock
    from haulier.journal.api import BackendRow, ClaimRow, Journal, PartRow, SealedToken, Transaction
    from haulier.models import ArtifactRecord, Identity, ReceiptEntry, SuspensionReason
    from haulier.transfer.parts import Prepared

__all__ = ["Lease", "Ledger", "chain_hash"]

_PASSING = frozenset({Cause.FAILED_TRY, Cause.BACKEND_AWAY, Cause.CHANGED})

T = TypeVar("T")

Prepare = Callable[[TaskRow, str], "Prepared | None"]


def nothing_prepared(row: TaskRow, nonce: str) -> None:
    """Every session is opened by a call."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a task until somebody else claims it.

    Attributes:
        row: The task as claimed.
        parts: Journalled acknowledgements of its session.
        owner: Who claimed it.
        epoch: Which claim of the task it is.
        prepared: The session that was journalled together with the claim, or None.
    """

    row: TaskRow
    parts: tuple[PartRow, ...]
    owner: str
    epoch: int
    prepared: Prepared | None = None


def chain_hash(key: bytes, previous: str, receipt: Receipt) -> str:
    """Keyed hash of a receipt and its predecessor's hash: HMAC-SHA-256 over sorted JSON, hexadecimal."""
    body = {**receipt.to_dict(), "chain": previous}
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


class Ledger:
    """Applies the rules of :mod:`haulier.transfer` to a journal.

    Args:
        journal: Where rows are kept.
        policy: What failures mean.
        clock: Wall time for the rows.
        owner: Id of this manager, unique per process and instance.
        chain_key: Key of the receipts' chain.
        new_nonce: Makes nonces: hexadecimal, not to be guessed. Fixed at the claim, so that a lost answer to ``open``
            is repeated with the same one.
        publish: Gets the events of each change, in the order of the changes, once it stands. Must not raise or block.

    Thread-safe.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        policy: Policy,
        clock: Clock,
        owner: str,
        chain_key: bytes,
        new_nonce: Callable[[], str],
        publish: Callable[[Sequence[events.Event]], None] = lambda _: None,
    ) -> None:
        self.journal = journal
        self.policy = policy
        self.clock = clock
        self.owner = owner
        self._chain_key = chain_key
        self._new_nonce = new_nonce
        self._publish = publish

    def change(self, change: Callable[[Transaction, list[events.Event]], T], *, durable: bool = True) -> T:
        """Run a change that appends its events to the list it is given, then publish them."""
        told: list[events.Event] = []

        def run(tx: Transaction) -> T:
            told.clear()
            result = change(tx, told)
            if told:
                now = self.clock.now()
                told[:] = tx.add_events([event.stamped(at=now) for event in told])
            return result

        def publish(_: T) -> None:
            if told:
                self._publish(told)

        return self.journal.write(run, durable=durable, then=publish)

    # -- claims ------------------------------------------------------------------------------------------------

    def claim(self, backends: Iterable[str], limit: int = 1, prepare: Prepare = nothing_prepared) -> list[Lease]:
        """Take the best claimable tasks of backends that are not suspended, at most ``limit``.

        Where there are none, nothing is written and no other process waits.

        Args:
            backends: Their names.
            limit: Most tasks.
            prepare: Gives the session of a task under a nonce, where it begins without a call. It is journalled with
                the claim, durably, as by :meth:`save_session`. Called while the journal is written: it must not wait.
        """
        names, now = list(backends), self.clock.now()
        if not self.journal.read(lambda tx: any(self._claimable(tx, name, now, 1) for name in names)):
            return []
        durable = prepare is not nothing_prepared
        return self.change(lambda tx, told: self._claim(tx, told, names, limit, prepare), durable=durable)

    def _claim(
        self,
        tx: Transaction,
        told: list[events.Event],
        backends: Iterable[str],
        limit: int,
        prepare: Prepare,
        known: Mapping[str, BackendRow] | None = None,
    ) -> list[Lease]:
        now = self.clock.now()
        leases: list[Lease] = []
        for name in backends:
            ready = self._claimable(tx, name, now, limit - len(leases), (known or {}).get(name))
            leases.extend(self._take(tx, told, row, now, prepare) for row in ready)
            if len(leases) >= limit:
                break
        return leases

    def _claimable(
        self, tx: Transaction, name: str, now: float, limit: int, known: BackendRow | None = None
    ) -> Sequence[TaskRow]:
        backend = known or tx.backend(name)
        if backend.suspended is not None or limit <= 0:
            return []
        ready = tx.ready(name, now, limit)
        if not ready:
            return []
        flying = tx.flying(name)
        if backend.trial or ready[0].suspicion:
            return [] if flying.count else ready[:1]
        if flying.suspicion:
            return []
        return [row for row in ready if not row.suspicion]

    def _take(self, tx: Transaction, told: list[events.Event], row: TaskRow, now: float, prepare: Prepare) -> Lease:
        epoch = row.epoch + 1
        nonce = row.nonce or self._new_nonce()
        prepared = prepare(row, nonce) if row.token is None and not row.committing else None
        changes: dict[str, Any] = {
            "state": move(row.state, Cause.CLAIM),
            "owner": self.owner,
            "epoch": epoch,
            "updated_at": now,
            "not_before": None,
            "nonce": nonce,
        }
        if prepared is not None:
            changes |= {
                "token": prepared.sealed,
                "abilities": prepared.abilities,
                "part_size": prepared.part_size,
                "committing": prepared.plan.commits_at_once,
                "acknowledged": 0,
            }
        tx.update_task(row.id, **changes)
        tx.add_attempt(row.id, epoch, self.owner, now)
        told.append(
            events.UploadStarted(backend=row.backend, task=row.id, filename=row.media.name, attempt=row.attempts + 1)
        )
        parts = () if row.token is None else tuple(tx.parts(row.id))  # they belong to a session
        return Lease(replace(row, **changes), parts, self.owner, epoch, prepared)

    def _owned(self, tx: Transaction, lease: Lease) -> ClaimRow:
        claim = tx.claim_of(lease.row.id)
        mine = (TaskState.UPLOADING, lease.owner, lease.epoch)
        if claim is None or (claim.state, claim.owner, claim.epoch) != mine:
            raise LeaseLostError("another worker owns this task now", where=lease.row.id)
        return claim

    def _owned_task(self, tx: Transaction, lease: Lease) -> TaskRow:
        self._owned(tx, lease)
        row = tx.task(lease.row.id)
        assert row is not None  # noqa: S101  it was there a moment ago, in this transaction
        return row

    # -- progress of a claim -----------------------------------------------------------------------------------

    def save_session(
        self,
        lease: Lease,
        *,
        nonce: str,
        token: SealedToken,
        abilities: Abilities,
        part_size: int,
        aborted: bool = False,
        committing: bool = False,
    ) -> None:
        """Journal a fresh upload session, durably: no byte leaves before this returns.

        The session that it replaces is owed an abort, unless the destination dropped it (``aborted``). Where the first
        call that sends anything may commit, so does ``committing``, see :meth:`intend_commit`.
        """

        def change(tx: Transaction, _: list[events.Event]) -> None:
            if self._owned(tx, lease).nonce != nonce and not aborted:
                owe_abort(tx, self._owned_task(tx, lease), self.clock.now())
            tx.clear_parts(lease.row.id)
            tx.update_task(
                lease.row.id,
                nonce=nonce,
                token=token,
                abilities=abilities,
                part_size=part_size,
                committing=committing,
                digests={},
                acknowledged=0,
            )

        self.change(change)

    def save_part(self, lease: Lease, row: PartRow, acknowledged: int) -> None:
        """Journal an acknowledged range. New bytes set the count of attempts back to 0."""

        def change(tx: Transaction, _: list[events.Event]) -> None:
            claim = self._owned(tx, lease)
            tx.put_parts(lease.row.id, [row])
            progress = {"attempts": 0, "high_water": acknowledged} if acknowledged > claim.high_water else {}
            tx.update_task(lease.row.id, acknowledged=acknowledged, **progress)

        self.change(change, durable=False)

    def intend_commit(self, lease: Lease, digests: Mapping[int, Mapping[str, str]]) -> None:
        """Check the lease and journal that a commit of these contents may reach the destination."""

        def change(tx: Transaction, _: list[events.Event]) -> None:
            self._owned(tx, lease)
            tx.update_task(lease.row.id, committing=True, digests=dict(digests))

        self.change(change)

    def request_of(self, task_id: str) -> str:
        """What was asked of a running task: ``cancel``, ``pause`` or nothing."""

        def query(tx: Transaction) -> str:
            row = tx.task(task_id)
            return row.request if row else ""

        return self.journal.read(query)

    def check_lease(self, lease: Lease) -> None:
        """Raise :class:`~haulier.errors.LeaseLostError` when the lease is another's now."""
        self.journal.read(lambda tx: self._owned(tx, lease))

    # -- the end of a claim ------------------------------------------------------------------------------------

    def complete(
        self,
        lease: Lease,
        entries: tuple[ReceiptEntry, ...],
        backend_type: str,
        dispose: Disposal,
        *,
        then_claim: Sequence[str] = (),
        prepare: Prepare = nothing_prepared,
    ) -> list[Lease]:
        """Write the receipt and call the task completed, in one durable transaction.

        The best claimable task of the backends ``then_claim`` is taken in the same one, as by :meth:`claim`; it is what
        is returned.
        """
        now = self.clock.now()

        def change(tx: Transaction, told: list[events.Event]) -> list[Lease]:
            self._owned(tx, lease)
            row = lease.row  # what a receipt tells of it does not change while it is leased
            receipt = self._chained(tx, row, entries, backend_type, now)
            tx.add_receipt(receipt)
            tx.update_task(
                row.id,
                state=move(row.state, Cause.PROVEN),
                updated_at=now,
                acknowledged=row.size,
                token=None,
                committing=False,
                digests={},
                owner="",
                error=None,
                suspicion=0,
                slow_lane=False,
                disposal=dispose,
            )
            tx.clear_parts(row.id)
            tx.end_attempt(row.id, lease.epoch, now, "completed", None)
            before = tx.backend(row.backend)
            after = self.policy.succeeded(before)
            if after != before:
                tx.put_backend(after)
                tx.wake_slow_lane(row.backend, now)
            told.append(notices.completed(row, receipt))
            return self._claim(tx, told, then_claim, 1, prepare, known={row.backend: after})

        return self.change(change)

    def _chained(
        self, tx: Transaction, row: TaskRow, entries: tuple[ReceiptEntry, ...], backend_type: str, now: float
    ) -> Receipt:
        head, previous = tx.chain_head()
        receipt = Receipt(
            task=row.id,
            item_id=row.item_id,
            backend=row.backend,
            backend_type=backend_type,
            source=row.media.path,
            artifacts=entries,
            completed_at=now,
            number=head + 1,
        )
        return replace(receipt, chain=chain_hash(self._chain_key, previous, receipt))

    def conclude_failure(
        self,
        lease: Lease,
        error: HaulierError,
        *,
        keep_session: bool,
        aborted: bool = False,
        fingerprint: str = "",
        renewed: tuple[Identity, tuple[ArtifactRecord, ...]] | None = None,
    ) -> TaskState:
        """Apply the policy to a failed try; the new state.

        Args:
            lease: The claim that failed.
            error: Why.
            keep_session: Whether the upload session goes on in the next claim.
            aborted: Whether the destination dropped one that does not.
            fingerprint: Keyed hash of the backend's options, kept with a suspension for credentials.
            renewed: After a change of the source, what it is now.
        """
        now = self.clock.now()

        def change(tx: Transaction, told: list[events.Event]) -> TaskState:
            row = self._owned_task(tx, lease)
            backend = tx.backend(row.backend)
            ruling = self.policy.judge(row, backend, error, now, keep_session=keep_session)
            cause, changes = ruling.cause, dict(ruling.changes)
            if renewed is not None and isinstance(error, SourceChangedError):
                cause = self._renew(tx, row, renewed, cause, changes)
            cause = _as_asked(row.request, cause)
            after = move(row.state, cause)
            if not keep_session:
                tx.clear_parts(row.id)
                if not aborted:
                    owe_abort(tx, row, now)
            elif after is TaskState.CANCELLED:
                changes.update(drop_session(tx, row, now))
            changes.update(state=after, updated_at=now)
            tx.update_task(row.id, **changes)
            changed = replace(row, **changes)
            tx.end_attempt(row.id, lease.epoch, now, str(changed.state), changed.error)
            told.extend(notices.failure_events(changed, now))
            self._put_backend(tx, told, backend, replace(ruling.backend, fingerprint=fingerprint))
            for task_id in ruling.give_back:
                self._give_back(tx, task_id, now)
            return changed.state

        return self.change(change)

    def _renew(
        self,
        tx: Transaction,
        row: TaskRow,
        renewed: tuple[Identity, tuple[ArtifactRecord, ...]],
        cause: Cause,
        changes: dict[str, Any],
    ) -> Cause:
        identity, artifacts = renewed
        other = tx.find_item(item_of(identity), row.backend)
        if other is not None and other.id != row.id:
            changes["error"] = error_record(
                SourceChangedError(f"the new content has its own task {other.id}", where=row.media.path),
                self.clock.now(),
            )
            return Cause.SUPERSEDED
        changes.update(identity=identity, artifacts=artifacts, high_water=0)
        return cause

    def _put_backend(self, tx: Transaction, told: list[events.Event], before: BackendRow, after: BackendRow) -> None:
        if after.suspended is None:
            after = replace(after, fingerprint="")
        if after == before:
            return
        tx.put_backend(after)
        if after.suspended is not None and (before.suspended, before.probe_at) != (after.suspended, after.probe_at):
            told.extend(notices.suspension_events(before, after))

    def _give_back(self, tx: Transaction, task_id: str, now: float) -> None:
        row = tx.task(task_id)
        if row is None or row.state is not TaskState.RETRYING:
            return
        tx.update_task(
            task_id,
            state=move(row.state, Cause.BACKEND_AWAY),
            attempts=max(0, row.attempts - 1),
            suspicion=row.suspicion + 1,
            not_before=None,
            updated_at=now,
        )

    def release(self, lease: Lease, request: str = "") -> None:
        """Give a task back unharmed: this manager stops (``""``), or somebody paused it (``pause``)."""

        def change(tx: Transaction, told: list[events.Event]) -> None:
            self._let_go(tx, told, self._owned_task(tx, lease), request, "released")

        self.change(change, durable=False)

    def _let_go(self, tx: Transaction, told: list[events.Event], row: TaskRow, wish: str, outcome: str) -> None:
        """End a claim without a verdict. What somebody asked for meanwhile is done, or kept for the next claim."""
        wish = row.request or wish
        cause = {"cancel": Cause.CANCEL, "pause": Cause.PAUSE}.get(wish, Cause.RELEASED)
        keep = ""
        if wish == "cancel" and row.committing:  # what became of the commit must be asked first
            cause, keep = Cause.RELEASED, wish
        now = self.clock.now()
        after = move(row.state, cause)
        session = drop_session(tx, row, now) if after is TaskState.CANCELLED else {}
        tx.update_task(row.id, state=after, owner="", request=keep, updated_at=now, **session)
        tx.end_attempt(row.id, row.epoch, now, outcome, None)
        if after is TaskState.CANCELLED:
            told.append(events.UploadCancelled(backend=row.backend, task=row.id, filename=row.media.name))

    def release_owner(self, owner: str) -> int:
        """Give back every task of an owner that is dead; how many."""

        def change(tx: Transaction, told: list[events.Event]) -> int:
            held = [row for row in tx.tasks(TaskFilter(frozenset({TaskState.UPLOADING}))) if row.owner == owner]
            for row in held:
                self._let_go(tx, told, row, "", "owner died")
            free_aborts(tx, owner)
            tx.delete_owner(owner)
            return len(held)

        return self.change(change)

    # -- backends ----------------------------------------------------------------------------------------------

    def probes_due(self) -> list[str]:
        """The suspended backends that should be asked now."""
        now = self.clock.now()
        suspended = [row for row in self.journal.read(lambda tx: tx.backends()) if row.suspended is not None]
        return [row.name for row in suspended if row.probe_at is None or row.probe_at <= now]

    def end_waits_from_the_future(self) -> None:
        """End waits that began later than now: the wall clock was set back, and they would last too long."""
        now = self.clock.now()

        def change(tx: Transaction, _: list[events.Event]) -> None:
            for row in tx.tasks(TaskFilter(waiting=True)):
                if row.updated_at > now:
                    tx.update_task(row.id, not_before=now, updated_at=now)
            for owed in tx.aborts():
                if owed.owed_at > now or owed.not_before > now + self.policy.slow_lane:
                    tx.put_abort(replace(owed, owed_at=min(owed.owed_at, now), not_before=now))
            for backend in tx.backends():
                if backend.suspended is not None and backend.error is not None and backend.error.at > now:
                    tx.put_backend(replace(backend, probe_at=now))

        self.change(change, durable=False)

    def probe_succeeded(self, name: str) -> None:
        """End a suspension."""

        def change(tx: Transaction, told: list[events.Event]) -> None:
            before = tx.backend(name)
            if before.suspended is not None:
                tx.put_backend(replace(self.policy.resumed(before), fingerprint=""))
                wake_aborts(tx, name, self.clock.now())
                told.append(events.BackendResumed(backend=name))

        self.change(change)

    def probe_failed(self, name: str, error: HaulierError, fingerprint: str = "") -> None:
        """Go on with a suspension, or begin one."""

        def change(tx: Transaction, told: list[events.Event]) -> None:
            before = tx.backend(name)
            after = replace(self.policy.probe_failed(before, error, self.clock.now()), fingerprint=fingerprint)
            tx.put_backend(after)
            told.extend(notices.suspension_events(before, after))

        self.change(change, durable=False)

    def suspension(self, name: str) -> tuple[SuspensionReason | None, str]:
        """Why a backend waits, and the fingerprint of the options it was suspended with."""
        row = self.journal.read(lambda tx: tx.backend(name))
        return row.suspended, row.fingerprint


def _as_asked(request: str, cause: Cause) -> Cause:
    """What becomes of a failed try when somebody asked for something meanwhile and it ended before it heard."""
    if request == "cancel" and cause in {*_PASSING, Cause.SPENT}:
        return Cause.CANCEL
    return Cause.PAUSE if request == "pause" and cause in _PASSING else cause
