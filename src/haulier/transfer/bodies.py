"""Bodies of parts: from memory, or streamed from the source when a part is the whole file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from haulier.errors import HaulierError, SourceChangedError
from haulier.transfer.digests import Digests, new_digest
from haulier.transfer.source import read_fully

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haulier.backends.api import Part
    from haulier.transfer.context import RunContext
    from haulier.transfer.source import Readable

__all__ = ["BufferedBody", "StreamedBody"]

BLOCK = 1024 * 1024


class _Body(ABC):
    """What both kinds share: a position, progress, and the error that ended reading."""

    def __init__(self, size: int, context: RunContext, on_sent: Callable[[int], None]) -> None:
        self.size = size
        self.error: HaulierError | None = None
        self._position = 0
        self._context = context
        self._on_sent = on_sent

    def __len__(self) -> int:
        return self.size

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """See :class:`haulier.backends.api.Body`."""
        count = min(len(buffer), self.size - self._position)
        if not count:
            return 0
        try:
            self._context.check_cancelled()
            self._fill(memoryview(buffer)[:count])
        except HaulierError as error:
            self.error = error
            raise
        self._hand_out(count)
        return count

    def _hand_out(self, count: int) -> None:
        self._position += count
        self._on_sent(count)

    def read(self, size: int = -1, /) -> bytes:
        """See :class:`haulier.backends.api.Body`."""
        left = self.size - self._position
        buffer = bytearray(left if size < 0 else min(size, left))
        count = self.readinto(buffer) if buffer else 0
        return bytes(memoryview(buffer)[:count])

    def rewind(self) -> None:
        """See :class:`haulier.backends.api.Body`."""
        self._on_sent(-self._position)
        self._position = 0

    @abstractmethod
    def _fill(self, view: memoryview) -> None:
        """Fill the view with the bytes at the present position."""


class BufferedBody(_Body):
    """A part that lies in memory.

    A digest is computed by the thread that asks for it, so that parts that are sent side by side are hashed so too.

    Args:
        view: Its bytes.
        names: Digests that may be asked for, besides ``sha256``.
        known: Those that are known already.
        whole: Digests of the artifact, asked only for the last part.
        context: What to obey.
        on_sent: Told of bytes handed out; negative after a rewind.
    """

    def __init__(
        self,
        view: memoryview,
        names: frozenset[str],
        known: Mapping[str, str],
        whole: Callable[[], Mapping[str, str]],
        context: RunContext,
        on_sent: Callable[[int], None],
    ) -> None:
        super().__init__(len(view), context, on_sent)
        self._view = view
        self._names = names | {"sha256"}
        self._known = dict(known)
        self._whole = whole

    def digest(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`."""
        if name not in self._known and name in self._names:
            running = new_digest(name)
            running.update(self._view)
            self._known[name] = running.hexdigest()
        return self._known[name]

    def whole(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`."""
        return self._whole()[name]

    def views(self, size: int) -> Iterator[memoryview]:
        """See :class:`haulier.backends.blocks.InMemory`."""
        while self._position < self.size:
            try:
                self._context.check_cancelled()
            except HaulierError as error:
                self.error = error
                raise
            view = self._view[self._position : self._position + size]
            self._hand_out(len(view))
            yield view

    def _fill(self, view: memoryview) -> None:
        view[:] = self._view[self._position : self._position + len(view)]


class StreamedBody(_Body):
    """A part that is read from the source while it is sent, and hashed on the way.

    Digests asked for beforehand cost a reading of their own.

    Args:
        source: Where the bytes come from.
        part: Which of them.
        names: Digests to compute.
        where: The source's path, for messages.
        context: What to obey.
        on_sent: Told of bytes handed out; negative after a rewind.
        before_last: Called when the last byte is read and not yet handed out; may raise.
    """

    def __init__(
        self,
        source: Readable,
        part: Part,
        names: frozenset[str],
        where: str,
        context: RunContext,
        on_sent: Callable[[int], None],
        before_last: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(part.size, context, on_sent)
        self._source = source
        self._part = part
        self._names = names
        self._where = where
        self._before_last = before_last
        self._running = Digests(names)
        self._known: dict[str, str] | None = None

    def rewind(self) -> None:
        """Start again; the digests too."""
        super().rewind()
        self._running = Digests(self._names)

    def digest(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`."""
        return self._before()[name]

    def whole(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`: a streamed part is a whole artifact."""
        return self._before()[name]

    def digests_sent(self) -> dict[str, str]:
        """Digests of the bytes that were handed out; read once more when the backend did not want all of them.

        Raises:
            SourceChangedError: They are not those that were announced.
        """
        sent = self._running.result() if self._position == self.size else self._read_ahead()
        if self._known is not None and self._known != sent:
            raise SourceChangedError("the file changed while it was read", where=self._where)
        return sent

    def _before(self) -> dict[str, str]:
        if self._known is None:
            self._known = self._read_ahead()
        return self._known

    def _read_ahead(self) -> dict[str, str]:
        running = Digests(self._names)
        block = memoryview(bytearray(min(BLOCK, max(1, self.size))))
        for start in range(0, self.size, BLOCK):
            self._context.check_cancelled()
            view = block[: min(BLOCK, self.size - start)]
            read_fully(self._source, self._part.offset + start, view, self._where)
            running.update(view)
        return running.result()

    def _fill(self, view: memoryview) -> None:
        read_fully(self._source, self._part.offset + self._position, view, self._where)
        if self._position + len(view) == self.size:
            self._before_last()
        self._running.update(view)
