"""Carries out what the state machine asks for, with files, backends and threads. Nothing sleeps or retries here."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Token
from haulier.errors import HaulierError
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

    from haulier.backends.api import Backend, Limits, UnaskedSession
    from haulier.files import Files
    from haulier.journal.api import AbortRow, TaskRow
    from haulier.models import ArtifactRecord, Identity
    from haulier.threads import Threads
    from haulier.transfer.buffers import BufferPool
    from haulier.transfer.ledger import Lease, Ledger, Prepare
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

    def preparing(self, backend: Backend) -> Prepare | None:
        """What makes the sessions that a backend need not be asked for; None where it is asked for all.

        The backend is looked at now. What is returned calls it no more: it runs while the journal is written, which a
        plugin that hangs must not hold up.
        """
        try:
            declared = CheckedBackend(backend, RunContext()).unasked()
            return None if declared is None else partial(_unasked, declared, backend.limits, self.part_size)
        except Exception as error:  # noqa: BLE001  opening a session tells what is wrong with the backend
            log.debug("what backend %s begins without a call cannot be told: %r", backend.name, error)
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


def _unasked(declared: UnaskedSession, limits: Limits, preferred: int, row: TaskRow, nonce: str) -> Prepared | None:
    """The session of a task in a claim, if it is one that begins without a call."""
    if len(row.artifacts) > 1 or row.media.size > declared.largest:
        return None
    upload = upload_of(row, nonce)
    token = Token({"owner": [upload.item_id, nonce], **declared.public})
    try:
        part_size, plan = first_plan(upload.artifacts, declared.abilities, limits, preferred)
    except HaulierError:  # too large: opening the session says so
        return None
    sealed = SealedToken(token.public, b"", None)
    return Prepared(upload, token, sealed, declared.abilities, part_size, plan)
