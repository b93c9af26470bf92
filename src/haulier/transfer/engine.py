"""Carries out what the state machine asks for, with files, backends and threads. Nothing sleeps or retries here."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Backend, Token
from haulier.journal.api import SealedToken
from haulier.threads import SystemThreads
from haulier.transfer import actions as do
from haulier.transfer.checked import CheckedBackend
from haulier.transfer.context import RunContext
from haulier.transfer.parts import Prepared, first_plan
from haulier.transfer.run import UploadRun, translated
from haulier.transfer.uploads import dropped_upload, upload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.files import Files
    from haulier.journal.api import AbortRow, TaskRow
    from haulier.models import ArtifactRecord, Identity
    from haulier.threads import Threads
    from haulier.transfer.buffers import BufferPool
    from haulier.transfer.ledger import Lease, Ledger
    from haulier.transfer.run import Progress

__all__ = ["UploadEngine"]

log = logging.getLogger("haulier.manager")


class UploadEngine:
    """Runs claims. One instance serves all workers of a manager. Thread-safe.

    Args:
        ledger: Journal and rules.
        files: Operating system.
        pool: Memory for bodies.
        part_size: Preferred size of parts, bytes.
        window: Most parts in flight per upload, where a backend takes them in parallel.
        new_nonce: Makes nonces.
        seal: Encrypts the secret part of a token.
        unseal: Decrypts it.
        threads: For parts that overlap.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        files: Files,
        pool: BufferPool,
        part_size: int,
        window: int,
        new_nonce: Callable[[], str],
        seal: Callable[[Mapping[str, Any]], bytes],
        unseal: Callable[[bytes], Mapping[str, Any]],
        threads: Threads | None = None,
    ) -> None:
        self.ledger = ledger
        self.files = files
        self.pool = pool
        self.part_size = part_size
        self.window = window
        self.new_nonce = new_nonce
        self.seal = seal
        self.unseal = unseal
        self.threads = threads or SystemThreads()

    def run(
        self,
        lease: Lease,
        backend: Backend,
        context: RunContext,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> do.Proven | do.Failed:
        """Work on a claim until it is proven or has failed. The verdict is not journalled yet.

        Raises:
            LeaseLostError: Another worker owns the task; nothing more was done.
            JournalError: The journal cannot be written; the claim stands as journalled.
        """
        try:
            run = UploadRun(self, lease, backend, context, on_progress)
        except Exception as error:  # noqa: BLE001  a backend may object to an upload as soon as it sees it
            return do.Failed(translated(error, backend.name), keep_session=True)
        try:
            return run.until_concluded()
        finally:
            run.close()

    def prepared(self, backend: Backend, row: TaskRow, nonce: str) -> Prepared | None:
        """The session of a task, where its backend opens it without asking anybody.

        None as well where anything is wrong with it: opening it tells what.
        """
        if getattr(type(backend), "prepare", None) is Backend.prepare:
            return None  # as most, at no cost
        checked = CheckedBackend(backend, RunContext())
        try:
            upload = checked.complete(upload_of(row, nonce))
            answer = checked.prepare(upload)
            if answer is None or answer[0].known:
                return None
            token, abilities = answer
            part_size, plan = first_plan(upload.artifacts, abilities, backend.limits, self.part_size)
            return Prepared(upload, token, self.sealed(token), abilities, part_size, plan)
        except Exception as error:  # noqa: BLE001  the journal is being written: nothing that a backend does may end that
            log.debug("the session of task %s cannot be prepared: %r", row.id, error)
            return None

    def sealed(self, token: Token) -> SealedToken:
        """A token as the journal keeps it."""
        secret = self.seal(token.secret) if token.secret else b""
        return SealedToken(dict(token.public), secret, token.expires_at)

    def abort(self, owed: AbortRow, backend: Backend, context: RunContext) -> None:
        """Have a destination drop a session that nobody goes on with. Raises whatever that raises."""
        checked = CheckedBackend(backend, context)
        secret = self.unseal(owed.token.secret) if owed.token.secret else {}
        token = Token(owed.token.public, secret, owed.token.expires_at)
        checked.abort(checked.complete(dropped_upload(owed)), token)

    def renewed(self, lease: Lease) -> tuple[Identity, tuple[ArtifactRecord, ...]] | None:
        """What the changed source is now: its identity and the artifacts to go on with; None when it is gone."""
        try:
            looks = [self._look(lease, record) for record in lease.row.artifacts]
        except OSError:
            return None
        artifacts = tuple(
            record if now is None else replace(record, size=now.size, mtime_ns=now.mtime_ns, file_id=now.file_id)
            for record, now in zip(lease.row.artifacts, looks, strict=True)
        )
        return looks[0] or lease.row.identity, artifacts

    def _look(self, lease: Lease, record: ArtifactRecord) -> Identity | None:
        """What a source is now; None for content that lies in the journal."""
        return None if record.content is not None else self.files.identity(record.path, lease.row.identity.source_id)
