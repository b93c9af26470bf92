"""The one reader of an artifact: in order, hashing the whole and each part, a part ahead of the senders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.errors import CancelledError, HaulierError
from haulier.threads import Ended
from haulier.transfer.digests import Digests
from haulier.transfer.source import read_fully

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haulier.backends.api import Part
    from haulier.threads import Threads
    from haulier.transfer.buffers import BufferPool
    from haulier.transfer.context import RunContext
    from haulier.transfer.source import Readable

__all__ = ["OrderedReader", "ReadyPart", "read_part"]


@dataclass
class ReadyPart:
    """A part in memory, with its digests. ``release`` gives the memory back."""

    part: Part
    buffer: bytearray
    digests: dict[str, str]
    release: Callable[[], None]


def read_part(
    source: Readable,
    part: Part,
    names: frozenset[str],
    where: str,
    pool: BufferPool,
    context: RunContext,
    whole: Digests | None = None,
) -> ReadyPart:
    """Read a part into a buffer of the pool and hash it; ``whole`` is fed too."""
    buffer = pool.acquire(part.size, context)
    try:
        view = memoryview(buffer)
        read_fully(source, part.offset, view, where)
        own = Digests(names)
        own.update(view)
        if whole is not None:
            whole.update(view)
    except BaseException:
        pool.release(buffer)
        raise
    return ReadyPart(part, buffer, own.result(), lambda: pool.release(buffer))


class OrderedReader:
    """Reads the parts of one artifact from its first byte to its last.

    A thread of its own reads ahead; a single part is read by whoever asks for it.

    Args:
        source: Gives the artifact's bytes; called where they are read.
        parts: All of its parts, in order.
        names: Digests of each part and of the whole.
        where: The source's path, for messages.
        pool: Memory.
        context: What to obey.
        ahead: Parts that may lie ready beyond those being sent.
        threads: Reads ahead, and waits.

    ``take`` may be called from several threads, each part once, in any order within ``ahead``.
    """

    def __init__(
        self,
        source: Callable[[], Readable],
        parts: Sequence[Part],
        *,
        names: frozenset[str],
        where: str,
        pool: BufferPool,
        context: RunContext,
        ahead: int,
        threads: Threads,
    ) -> None:
        self._source = source
        self._parts = list(parts)
        self._names = names
        self._where = where
        self._pool = pool
        self._context = context
        self._ahead = ahead
        self._threads = threads
        self._whole = Digests(names)
        self._lone: dict[str, str] | None = None  # of a single part, which is all there is to hash
        self._ready: dict[int, ReadyPart] = {}
        self._read = 0
        self._error: BaseException | None = None
        self._started = False
        self._closed = False
        self._running = False
        self._changed = threads.condition()
        self._undo = context.on_cancel(self._wake)

    def take(self, part: Part) -> ReadyPart:
        """The part's bytes; waits until they are read.

        Raises:
            SourceChangedError: The file ended early.
            SourceUnavailableError: It cannot be read.
            CancelledError: The upload was told to stop.
        """
        self._start()
        with self._changed:
            while part.number not in self._ready:
                if self._error is not None:
                    raise self._error
                self._context.check_cancelled()
                if self._closed:
                    raise CancelledError("reading was stopped")
                self._changed.wait()
            ready = self._ready.pop(part.number)
            self._changed.notify_all()
            return ready

    def _start(self) -> None:
        """Whoever comes first, for whatever part, sees to it that all are read; a single part needs no thread."""
        with self._changed:
            if self._started or self._closed:
                return
            self._started = True
            apart = len(self._parts) > 1
            if apart:
                try:
                    self._threads.spawn("haulier-reader", self._read_all)
                except RuntimeError as error:  # no thread can be had: whoever waits for another part must be told
                    self._error = HaulierError(f"no thread could be started ({error})", where=self._where)
                    self._changed.notify_all()
                    raise self._error from error
            self._running = True  # not before: a thread that could not be started never ends
        if not apart:
            self._read_all()

    def digests(self) -> dict[str, str]:
        """Digests of the whole; only when every part was read."""
        return self._whole.result() if self._lone is None else dict(self._lone)

    @property
    def complete(self) -> bool:
        """Whether every part was read."""
        return self._read == len(self._parts)

    def close(self) -> None:
        """Stop reading, wait for the thread to let go of the source, give the memory back."""
        self._undo()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._running:
                self._changed.wait()
            for ready in self._ready.values():
                ready.release()
            self._ready.clear()

    def _read_next(self) -> ReadyPart:
        part = self._parts[self._read]
        whole = self._whole if len(self._parts) > 1 else None
        ready = read_part(self._source(), part, self._names, self._where, self._pool, self._context, whole)
        if whole is None:
            self._lone = ready.digests
        self._read += 1
        return ready

    def _read_all(self) -> None:
        try:
            while self._read < len(self._parts) and self._wait_for_room():
                ready = self._read_next()
                with self._changed:
                    self._ready[ready.part.number] = ready
                    self._changed.notify_all()
        except (HaulierError, Ended) as error:
            self._error = error
        except BaseException as error:  # noqa: BLE001  whoever waits for a part must be told
            self._error = HaulierError(f"reading failed: {error!r}", where=self._where)
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _wait_for_room(self) -> bool:
        with self._changed:
            while len(self._ready) >= self._ahead and not self._closed:
                if self._context.cancelled():
                    raise CancelledError("told to stop")
                self._changed.wait()
            return not self._closed

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
