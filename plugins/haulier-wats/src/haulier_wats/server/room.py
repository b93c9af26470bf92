"""Room on the disk: what is sent is refused before the disk is full, so that the rest of the machine goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier_wats.server.problems import no_room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["CHECK_EVERY", "Room"]

CHECK_EVERY = 1 << 20
"""Bytes of a body after which the disk is looked at again."""


class Room:
    """The disk of a data folder. For any thread.

    Args:
        folder: The data folder.
        min_free: Bytes that stay free.
        free_space: Tells the free bytes of a folder's disk.
    """

    def __init__(self, folder: Path, min_free: int, free_space: Callable[[Path], int]) -> None:
        self._folder = folder
        self._min_free = min_free
        self._free_space = free_space

    def free(self) -> int:
        """Bytes that are free.

        Raises:
            OSError: The disk does not tell.
        """
        return self._free_space(self._folder)

    def has(self, size: int) -> bool:
        """Whether ``size`` more bytes leave enough free.

        Raises:
            OSError: The disk does not tell.
        """
        return self.free() - size >= self._min_free

    def require(self, size: int = 0) -> None:
        """Refuse what would leave too little.

        Raises:
            Problem: 507, ``size`` more bytes do not fit.
            OSError: The disk does not tell.
        """
        if not self.has(size):
            raise no_room()
