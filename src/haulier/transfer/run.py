"""One claim being carried out: the state machine's actions become calls of backends, files and the ledger."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from haulier.backends.api import LastPart, Part, PartsMode, Token
from haulier.errors import (
    CancelledError,
    HaulierError,
    JournalError,
    NetworkError,
    PluginError,
    SourceChangedError,
)
from haulier.threads import Mailbox
from haulier.transfer import actions as do
from haulier.transfer.bodies import BufferedBody, StreamedBody
from haulier.transfer.checked import CheckedBackend
from haulier.transfer.context import RunContext
from haulier.transfer.machine import UploadMachine
from haulier.transfer.reader import OrderedReader, ReadyPart, read_part
from haulier.transfer.rereading import reread
from haulier.transfer.source import ContentSource, Readable, inspect, open_artifact
from haulier.transfer.uploads import upload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Artifact, Backend, Stored, Upload
    from haulier.journal.api import SealedToken
    from haulier.transfer.engine import UploadEngine
    from haulier.transfer.ledger import Lease

__all__ = ["Progress", "UploadRun", "translated"]

log = logging.getLogger("haulier.manager")

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a claim is, bytes. ``restarted``: the first report of a session that began anew."""

    sent: int
    acknowledged: int
    total: int
    restarted: bool = False


class UploadRun:
    """One claim being carried out; used by the worker's thread, which spawns others for what may overlap."""

    def __init__(
        self,
        engine: UploadEngine,
        lease: Lease,
        backend: Backend,
        context: RunContext,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.engine = engine
        self.lease = lease
        self.backend = CheckedBackend(backend, context)
        # What is told to stop drops its session all the same.
        self.dropping = CheckedBackend(backend, RunContext(silence=context.silence))
        self.context = context
        self.on_progress = on_progress
        self.records = {artifact.index: artifact for artifact in lease.row.artifacts}
        prepared = lease.prepared
        self.token: Token | None = prepared.token if prepared else self._unsealed(lease.row.token)
        self.aborted = False  # whether the destination dropped the session of the token
        self.upload = prepared.upload if prepared else self._upload(lease.row.nonce)
        abilities = prepared.abilities if prepared else backend.abilities
        self.part_names = abilities.part_digests
        self.whole_names = abilities.whole_digests
        self.outcomes: Mailbox[tuple[do.Action, Any, BaseException | None]] = Mailbox(engine.threads.condition())
        self.in_background = 0
        self.sources: dict[int, Readable] = {}
        self.readers: dict[int, OrderedReader] = {}
        self.opens = 0
        self.sent = 0
        self.restarted = False
        self.opening = engine.threads.lock()
        self.closed = False
        self.counting = threading.Lock()
        self.machine = UploadMachine(
            lease.row,
            self.upload.artifacts,
            lease.parts,
            self.token,
            limits=backend.limits,
            preferred_part_size=engine.part_size,
            window=engine.window,
            fresh=prepared.plan if prepared else None,
            streams=self._streams,
        )

    # -- the loop ----------------------------------------------------------------------------------------------

    def until_concluded(self) -> do.Proven | do.Failed:
        """Carry out actions until the machine concludes. Raises JournalError."""
        while True:
            action = self.machine.next()
            if isinstance(action, do.Conclude):
                return self._concluded(action.verdict)
            if action is None:
                self._report(*self._next_outcome())
            else:
                self._prepare(action)
                if self._overlaps(action):
                    self._start(action)
                else:
                    self._report(action, *self._carry_out(action))

    def _prepare(self, action: do.Action) -> None:
        """Make the reader of an artifact here, where one thread works and the plan is still the one of the action."""
        match action:
            case do.SendPart(part=part, in_order=True) | do.Commit(last=Part() as part, in_order=True):
                if not self._streams(part) and part.artifact not in self.readers:
                    self.readers[part.artifact] = self._reader(self.upload.artifacts[part.artifact])
            case _:
                pass

    def _overlaps(self, action: do.Action) -> bool:
        """Whether something else can be done meanwhile: parallel parts, and reading again what is held."""
        if isinstance(action, do.Reread):
            return True
        return isinstance(action, do.SendPart) and self.machine.window_now > 1 and not self.machine.sends_one_part

    def _start(self, action: do.Action) -> None:
        self.engine.threads.spawn("haulier-part", lambda: self.outcomes.put((action, *self._carry_out(action))))
        self.in_background += 1  # not before: a thread that could not be started has no outcome

    def _next_outcome(self) -> tuple[do.Action, Any, BaseException | None]:
        outcome = self.outcomes.get()
        self.in_background -= 1
        return outcome

    def _carry_out(self, action: do.Action) -> tuple[Any, BaseException | None]:
        try:
            if not isinstance(
                action, do.Settle | do.Abort | do.SaveAck | do.SaveSession
            ):  # what is there must be known
                self.context.check_cancelled()
            return self._perform(action), None
        except BaseException as error:  # noqa: BLE001  whatever is raised on a thread of a part, the worker must be told
            return None, error

    def _report(self, action: do.Action, result: Any, error: BaseException | None) -> None:
        if error is None:
            self.machine.succeeded(action, result)
            return
        if isinstance(error, JournalError) or not isinstance(error, Exception):
            raise error
        self.machine.failed(action, translated(error, self.backend.name))

    def _concluded(self, verdict: do.Proven | do.Failed) -> do.Proven | do.Failed:
        stopped = isinstance(verdict, do.Failed) and isinstance(verdict.error, CancelledError)
        if isinstance(verdict, do.Failed) and stopped and self.context.reason in {"stop", "pause"}:
            return do.Failed(verdict.error, keep_session=True)
        if isinstance(verdict, do.Failed):
            verdict.error.where = verdict.error.where or self.backend.name
        if isinstance(verdict, do.Failed) and not verdict.keep_session:
            self._abort()
            return replace(verdict, aborted=self.aborted)
        return verdict

    def close(self) -> None:
        """Wait for what overlaps and release the sources, whatever ends the waiting, and those about to be opened."""
        with ExitStack() as last_first:
            last_first.callback(self._close_sources)
            for reader in self.readers.values():
                last_first.callback(reader.close)
            while self.in_background:
                self._next_outcome()

    def _close_sources(self) -> None:
        try:
            with self.opening:
                self.closed = True  # from now on nobody opens another
        finally:
            for source in self.sources.values():
                source.close()

    # -- actions -----------------------------------------------------------------------------------------------

    def _perform(self, action: do.Action) -> Any:  # noqa: C901  one case per kind of action
        match action:
            case do.Inspect():
                return self._inspect()
            case do.OpenSession():
                return self._open()
            case do.SaveSession():
                return self._save_session(action)
            case do.AskHeld():
                self._close_readers()
                return self.backend.held(self.upload, self._the_token())
            case do.SendPart():
                return self._send(action)
            case do.SaveAck():
                self.engine.ledger.save_part(self.lease, action.row, action.acknowledged)
                return self._progress()
            case do.Reread():
                return self._reread(action)
            case do.IntendCommit():
                return self.engine.ledger.intend_commit(self.lease, self.machine.digests)
            case do.Commit():
                return self._commit(action)
            case do.Settle():
                return self.backend.settle(self.upload, self.token)
            case do.Abort():
                return self._abort()
            case _:
                raise AssertionError(action)

    def _inspect(self) -> None:
        now = self.engine.ledger.clock.now()
        for record in self.lease.row.artifacts:
            if inspect(self.engine.files, record, self.lease.row.identity.source_id, now) is not None:
                raise SourceChangedError("the file is not the one that was submitted", where=record.path)

    def _open(self) -> Any:
        if self.opens or self.lease.row.token is not None:  # a session was open under the nonce of now
            self.upload = self._upload(self.engine.new_nonce())
        self.opens += 1
        return self.backend.open(self.upload)

    def _save_session(self, action: do.SaveSession) -> None:
        self.engine.ledger.save_session(
            self.lease,
            nonce=self.upload.nonce,
            token=self.engine.sealed(action.token),
            abilities=action.abilities,
            part_size=action.part_size,
            aborted=self.aborted or self.token is None,  # what cannot be unsealed can be told to nobody
            committing=action.commits,
        )
        self.token, self.aborted = action.token, False
        self.part_names = action.abilities.part_digests
        self.whole_names = action.abilities.whole_digests
        self._close_readers()
        with self.counting:
            self.restarted = self.restarted or bool(self.sent or self.lease.row.acknowledged)
            self.sent = 0

    def _reread(self, action: do.Reread) -> dict[str, str]:
        artifact = self.upload.artifacts[action.artifact]
        return reread(
            self._source(artifact),
            artifact.size,
            action,
            part_names=self.part_names,
            whole_names=self.whole_names,
            where=self._where(artifact),
            check_cancelled=self.context.check_cancelled,
        )

    def _send(self, action: do.SendPart) -> do.Sent:
        part = action.part
        if self._streams(part):
            return self._send_streamed(part)
        ready = self._ready_part(part, in_order=action.in_order)
        try:
            body = self._buffered_body(ready)
            held = self._guarded(body, lambda: self.backend.send(self.upload, self._the_token(), part, body))
            sha256 = ready.prefix or body.digest("sha256")
        finally:
            ready.release()
        self._keep_whole(part)
        return do.Sent(held, sha256, prefix=bool(ready.prefix))

    def _send_streamed(self, part: Part) -> do.Sent:
        body = self._streamed_body(part)
        held = self._guarded(body, lambda: self.backend.send(self.upload, self._the_token(), part, body))
        return do.Sent(held, self._streamed_digests(part, body)["sha256"])

    def _streamed_digests(self, part: Part, body: StreamedBody) -> Mapping[str, str]:
        """Digests of a part that was streamed; of the artifact as well when the part is all of it."""
        digests = body.digests_sent()
        if part.size == self.upload.artifacts[part.artifact].size:
            self.machine.digests[part.artifact] = digests
        return digests

    def _commit(self, action: do.Commit) -> tuple[Stored, ...]:
        if action.last is None:
            return self._backend_commit(action, None)
        part = action.last
        if self._streams(part):
            body = self._streamed_body(part, before_last=self._inspect)
            stored = self._guarded(body, lambda: self._backend_commit(action, LastPart(part, body)))
            self._streamed_digests(part, body)
            return stored
        ready = self._ready_part(part, in_order=action.in_order)
        try:
            self._keep_whole(part)
            self._inspect()
            buffered = self._buffered_body(ready)
            return self._guarded(buffered, lambda: self._backend_commit(action, LastPart(part, buffered)))
        finally:
            ready.release()

    def _backend_commit(self, action: do.Commit, last: LastPart | None) -> tuple[Stored, ...]:
        return self.backend.commit(self.upload, self._the_token(), action.held, self.machine.digests, last)

    def _abort(self) -> None:
        if self.token is None:
            return
        self.engine.ledger.check_lease(self.lease)
        try:
            self.dropping.abort(self.upload, self.token)
        except Exception as error:  # noqa: BLE001  whatever it is: it is owed with the transaction that drops the token
            log.debug("the session of task %s cannot be dropped now: %s", self.lease.row.id, error)
        else:
            self.aborted = True

    # -- bytes -------------------------------------------------------------------------------------------------

    def _streams(self, part: Part) -> bool:
        """Whole artifacts are streamed unless small; so are parts that the memory budget could not hold twice."""
        session_is_whole = self.machine.parts_mode is PartsMode.WHOLE
        return (session_is_whole and part.size > self.engine.part_size) or part.size * 2 > self.engine.pool.budget

    def _streamed_body(self, part: Part, before_last: Callable[[], None] = lambda: None) -> StreamedBody:
        artifact = self.upload.artifacts[part.artifact]
        names = self.part_names | self.whole_names
        return StreamedBody(
            self._source(artifact), part, names, self._where(artifact), self.context, self._count_sent, before_last
        )

    def _buffered_body(self, ready: ReadyPart) -> BufferedBody:
        view, names = memoryview(ready.buffer), self.part_names | self.whole_names
        return BufferedBody(view, names, ready.known, lambda: self._whole(ready.part), self.context, self._count_sent)

    def _ready_part(self, part: Part, *, in_order: bool) -> ReadyPart:
        if in_order:
            return self.readers[part.artifact].take(part)
        artifact = self.upload.artifacts[part.artifact]
        source, where = self._source(artifact), self._where(artifact)
        return read_part(source, part, self.part_names, where, self.engine.pool, self.context)

    def _reader(self, artifact: Artifact) -> OrderedReader:
        parts = self.machine.parts_of(artifact.index)
        return OrderedReader(
            lambda: self._source(artifact),
            parts,
            part_names=self.part_names,
            names=self.whole_names if len(parts) > 1 else self.whole_names | self.part_names,
            where=self._where(artifact),
            pool=self.engine.pool,
            context=self.context,
            ahead=self.machine.window_now,
            threads=self.engine.threads,
        )

    def _keep_whole(self, part: Part) -> None:
        reader = self.readers.get(part.artifact)
        if reader is not None and reader.complete and part.artifact not in self.machine.digests:
            self.machine.digests[part.artifact] = reader.digests()

    def _whole(self, part: Part) -> Mapping[str, str]:
        return self.machine.digests[part.artifact]

    def _guarded(self, body: BufferedBody | StreamedBody, call: Callable[[], T]) -> T:
        """Call a backend; what went wrong while it read the body counts more than what it made of it."""
        try:
            return call()
        except Exception as error:
            if body.error is not None and error is not body.error:
                raise body.error from error
            raise

    def _source(self, artifact: Artifact) -> Readable:
        with self.opening:
            if self.closed:
                raise CancelledError("the upload is over", where=self._where(artifact))
            source = self.sources.get(artifact.index)
            if source is None:
                record = self.records.get(artifact.index)
                source = (
                    ContentSource(artifact.content or b"")
                    if record is None
                    else open_artifact(self.engine.files, record, self.engine.ledger.clock.now())
                )
                self.sources[artifact.index] = source
        return source

    def _where(self, artifact: Artifact) -> str:
        record = self.records.get(artifact.index)
        return record.path if record is not None and record.path else artifact.name

    def _close_readers(self) -> None:
        for reader in self.readers.values():
            reader.close()
        self.readers.clear()

    # -- small things ------------------------------------------------------------------------------------------

    def _upload(self, nonce: str) -> Upload:
        return self.backend.complete(upload_of(self.lease.row, nonce))

    def _unsealed(self, token: SealedToken | None) -> Token | None:
        if token is None:
            return None
        try:
            secret = self.engine.unseal(token.secret) if token.secret else {}
        except HaulierError:
            return None  # sealed with a key that is gone: the session cannot be continued
        return Token(token.public, secret, token.expires_at)

    def _the_token(self) -> Token:
        if self.token is None:
            raise AssertionError("no upload session")
        return self.token

    def _count_sent(self, count: int) -> None:
        with self.counting:
            self.sent += count
        self._progress()

    def _progress(self) -> None:
        total = sum(artifact.size for artifact in self.upload.artifacts)
        with self.counting:
            acknowledged = min(self.machine.acknowledged, total)
            progress = Progress(max(self.sent, acknowledged), acknowledged, total, self.restarted)
            self.restarted = False
        self.on_progress(progress)


def translated(error: BaseException, backend: str) -> HaulierError:
    """What the engine makes of an exception that is none of ours."""
    if isinstance(error, HaulierError):
        return error
    if isinstance(error, ConnectionRefusedError):
        result: HaulierError = NetworkError("the connection was refused", where=backend, reached=False)
    elif isinstance(error, TimeoutError | ConnectionError):
        result = NetworkError(f"the connection failed ({error})", where=backend)
    else:
        result = PluginError(f"the backend raised {type(error).__name__}: {error}", where=backend)
    result.__cause__ = error
    return result
