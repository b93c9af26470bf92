"""Block ids: whose a block is, which part it holds, and by which checksum the service has taken it.

Blob service REST API, "Put Block": an id has at most 64 bytes, all ids of one blob are of equal length, and uncommitted
blocks belong to the blob's *name*, whoever sent them. Get Block List tells no checksums; the id brings ours back, and a
block came to be only if the service computed the same.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haulier.backends.api import Upload

__all__ = ["BlockId", "owner_of"]

_OWNER = 26  # hexadecimal digits of an owner
_DIGEST = 32  # of a checksum, filled up with zeros: ids of both kinds of checksum are equally long
_ID = re.compile(rf"([0-9a-f]{{{_OWNER}}})([0-9]{{5}})([0-9a-f]{{{_DIGEST}}})")


@dataclass(frozen=True, slots=True)
class BlockId:
    """One id.

    Attributes:
        owner: See :func:`owner_of`.
        number: Of the part, from 1.
        digest: Its checksum, hexadecimal.
    """

    owner: str
    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.owner}{self.number:05}{self.digest:0<{_DIGEST}}"

    @classmethod
    def parse(cls, text: str, owner: str, digits: int) -> BlockId | None:
        """Read one; None when it is not this owner's.

        Args:
            text: As the service tells it.
            owner: Whose are wanted.
            digits: Of the session's checksum.
        """
        match = _ID.fullmatch(text)
        if match is None or match[1] != owner:
            return None
        return cls(owner, int(match[2]), match[3][:digits])


def owner_of(upload: Upload, checksum: str) -> str:
    """Stands for one start of one item with one kind of checksum; the same in every process."""
    told = f"{upload.item_id}\0{upload.nonce}\0{checksum}"
    return hashlib.sha256(told.encode()).hexdigest()[:_OWNER]
