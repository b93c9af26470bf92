"""The one reader of an artifact: in order, hashing the whole, a part ahead of the senders."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haulier.errors import CancelledError, HaulierError
from haulier.threads import Ended
from haulier.transfer.digests import CRCS, Digests, new_digest
from haulier.transfer.source import read_fully

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haulier.backends.api import Part
    from haulier.threads import Threads
    from haulier.transfer.buffers import BufferPool
    from haulier.transfer.context import RunContext
    from haulier.transfer.source import Readable

__all__ = ["OrderedReader", "ReadyPart", "read_part"]

BLOCK = 1024 * 1024  # bytes: what was just read is still in the processor's cache when it is hashed


@dataclass
class ReadyPart:
    """A part in memory.

    Attributes:
        part: Which.
        buffer: Its bytes.
        release: Gives the memory back.
        known: Its digests, as far as they came with the reading.
        prefix: SHA-256 of all bytes from the artifact's first to the part's last; empty when it was read by itself.
    """

    part: Part
    buffer: bytearray
    release: Callable[[], None]
    known: dict[str, str] = field(default_factory=dict)
    prefix: str = ""


def read_part(
    source: Readable, part: Part, names: frozenset[str], where: str, pool: BufferPool, context: RunContext
) -> ReadyPart:
    """Read a part into a buffer of the pool; of its digests by ``names``, those that cost nothing now."""
    buffer = pool.acquire(part.size, context)
    try:
        view = memoryview(buffer)
        running = {name: new_digest(name) for name in names & CRCS}
        for start in range(0, part.size, BLOCK):
            block = view[start : start + BLOCK]
            read_fully(source, part.offset + start, block, where)
            for digest in running.values():
                digest.update(block)
    except BaseException:
        pool.release(buffer)
        raise
    known = {name: digest.hexdigest() for name, digest in running.items()}
    return ReadyPart(part, buffer, lambda: pool.release(buffer), known)


class OrderedReader:
    """Reads the parts of one artifact from its first byte to its last.

    One thread reads ahead, another hashes what was read, so that neither waits for the other; a single part is read by
    whoever asks for it.

    Args:
        source: Gives the artifact's bytes; called where they are read.
        parts: All of its parts, in order.
        part_names: Digests of each part.
        names: Digests of the whole.
        where: The source's path, for messages.
        pool: Memory.
        context: What to obey.
        ahead: Parts that may lie read beyond those being sent.
        threads: Reads ahead, and waits.

    ``take`` may be called from several threads, each part once, in any order within ``ahead``.
    """

    def __init__(
        self,
        source: Callable[[], Readable],
        parts: Sequence[Part],
        *,
        part_names: frozenset[str],
        names: frozenset[str],
        where: str,
        pool: BufferPool,
        context: RunContext,
        ahead: int,
        threads: Threads,
    ) -> None:
        self._source = source
        self._parts = list(parts)
        self._part_names = part_names if len(parts) > 1 else frozenset()  # a single part is hashed as the whole
        self._where = where
        self._pool = pool
        self._context = context
        self._ahead = ahead
        self._threads = threads
        self._whole = Digests(names)
        self._read: deque[ReadyPart] = deque()  # and not hashed
        self._ready: dict[int, ReadyPart] = {}
        self._hashed = 0
        self._error: BaseException | None = None
        self._started = False
        self._closed = False
        self._running = 0
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

    def digests(self) -> dict[str, str]:
        """Digests of the whole; only when every part was read."""
        return self._whole.result()

    @property
    def complete(self) -> bool:
        """Whether every part was read."""
        return self._hashed == len(self._parts)

    def close(self) -> None:
        """Stop reading, wait for the threads to let go of the source, give the memory back."""
        self._undo()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._running:
                self._changed.wait()
            for left in (*self._ready.values(), *self._read):
                left.release()
            self._ready.clear()
            self._read.clear()

    # -- reading and hashing -----------------------------------------------------------------------------------

    def _start(self) -> None:
        """Whoever comes first, for whatever part, sees to it that all are read; a single part needs no thread."""
        with self._changed:
            if self._started or self._closed:
                return
            self._started = True
            if len(self._parts) > 1:
                self._spawn("haulier-reader", self._read_all)
                self._spawn("haulier-hasher", self._hash_all)
                return
            self._running = 1
        self._ending(self._read_and_hash)

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        try:
            self._threads.spawn(name, lambda: self._ending(work))
        except RuntimeError as error:  # no thread can be had: whoever waits for another part must be told
            self._error = HaulierError(f"no thread could be started ({error})", where=self._where)
            self._changed.notify_all()
            raise self._error from error
        self._running += 1  # not before: a thread that could not be started never ends

    def _ending(self, work: Callable[[], None]) -> None:
        """Carry out what one thread has to do; what ends it too early is for whoever waits for a part."""
        try:
            work()
        except (HaulierError, Ended) as error:
            self._error = error
        except BaseException as error:  # noqa: BLE001  whoever waits for a part must be told
            self._error = HaulierError(f"reading failed: {error!r}", where=self._where)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _read_and_hash(self) -> None:
        self._read.append(self._read_part(self._parts[0]))
        self._hash_all()

    def _read_all(self) -> None:
        for part in self._parts:
            if not self._wait_for_room():
                return
            ready = self._read_part(part)
            with self._changed:
                self._read.append(ready)
                self._changed.notify_all()

    def _read_part(self, part: Part) -> ReadyPart:
        return read_part(self._source(), part, self._part_names, self._where, self._pool, self._context)

    def _hash_all(self) -> None:
        for _ in self._parts:
            if not self._wait_for_a_part():
                return
            ready = self._read[0]  # it stays there until it is hashed: who closes must find it
            self._whole.update(ready.buffer)
            ready.prefix = self._whole.so_far("sha256")
            if len(self._parts) == 1:
                ready.known = self._whole.result()
            with self._changed:
                self._hashed += 1
                self._ready[ready.part.number] = self._read.popleft()
                self._changed.notify_all()

    def _wait_for_room(self) -> bool:
        """Wait until another part may be read; False: none is wanted any more."""
        with self._changed:
            while len(self._ready) + len(self._read) >= self._ahead and self._goes_on():
                self._changed.wait()
            return self._goes_on()

    def _wait_for_a_part(self) -> bool:
        """Wait until a part was read; False: none comes any more."""
        with self._changed:
            while not self._read and self._goes_on():
                self._changed.wait()
            return self._goes_on()

    def _goes_on(self) -> bool:
        if self._context.cancelled():
            raise CancelledError("told to stop")
        return not self._closed and self._error is None

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
