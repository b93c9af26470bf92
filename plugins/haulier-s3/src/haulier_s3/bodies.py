"""Bodies as boto3 wants them: files that can be rewound."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from haulier.backends.blocks import blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.backends.api import Body

__all__ = ["OutgoingBody"]


class OutgoingBody:
    """A part's body with a position. Not an :class:`io.IOBase`: nothing closes it, and its length is known.

    Args:
        body: The part's bytes.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._position = 0

    def __len__(self) -> int:
        return self._body.size

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; nothing at the end."""
        data = self._body.read(size)
        self._position += len(data)
        return data

    def views(self, size: int) -> Iterator[memoryview]:
        """All from here on, in views of up to ``size`` bytes: each is valid until the next."""
        for view in blocks_of(self._body, size):
            self._position += len(view)
            yield view

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go back to the start, or stay.

        Raises:
            io.UnsupportedOperation: Anything else.
        """
        target = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._body.size}[whence] + offset
        if target == 0 and self._position:
            self._body.rewind()
            self._position = 0
        if target != self._position:
            raise io.UnsupportedOperation("a body goes back to its start only")
        return target

    def seekable(self) -> bool:
        """It is."""
        return True
