"""One part on its way into a memory store."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from haulier.backends.memory_store import MemoryPart
from haulier.errors import IntegrityError

if TYPE_CHECKING:
    from haulier.backends.api import Abilities, Body, Part

__all__ = ["IncomingPart"]

_BLOCK = 1 << 20


class IncomingPart:
    """Reads a part's body and hashes it on the way. Used by one thread.

    Args:
        part: The part.
        abilities: Whose ``part_digests`` are checked against what the body says of itself.
        artifact_hash: Running SHA-256 of all bytes before the part, continued here; then the bytes are not kept.

    Attributes:
        size: Bytes that arrived.
    """

    def __init__(self, part: Part, abilities: Abilities, artifact_hash: hashlib._Hash | None) -> None:
        self.part = part
        self.size = 0
        self.artifact_hash = artifact_hash
        self._checked = abilities.part_digests
        self._hashes = {name: hashlib.new(name) for name in {"sha256"} | self._checked}
        self._data = bytearray() if artifact_hash is None else None

    @property
    def complete(self) -> bool:
        """Whether all of the part is here."""
        return self.size == self.part.size

    def fill(self, body: Body, wanted: int) -> None:
        """Read so many bytes.

        Raises:
            IntegrityError: The body ends early, or a digest of the whole part is not what the body says.
        """
        block = memoryview(bytearray(min(_BLOCK, wanted)))
        while self.size < wanted and (count := body.readinto(block[: wanted - self.size])):
            self._take(block[:count])
        if self.size < wanted:
            raise IntegrityError(f"part {self.part.number} ended after {self.size} of {wanted} bytes")
        for name in sorted(self._checked if self.complete else ()):
            if self._hashes[name].hexdigest() != body.digest(name):
                raise IntegrityError(f"the {name} of part {self.part.number} does not fit its bytes")

    def _take(self, data: memoryview) -> None:
        self.size += len(data)
        for hasher in self._hashes.values():
            hasher.update(data)
        if self._data is not None:
            self._data += data
        if self.artifact_hash is not None:
            self.artifact_hash.update(data)

    def piece(self) -> MemoryPart:
        """What arrived."""
        return MemoryPart(self.part.number, self.part.offset, self.size, self._hashes["sha256"].hexdigest(), self._data)
