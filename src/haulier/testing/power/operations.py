"""What happens to a volume, in the order in which it was asked for.

Files and folders are numbers, as inodes are: a name can be lost while the bytes are not, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "ROOT",
    "FileSynced",
    "FolderSynced",
    "Linked",
    "Mark",
    "Moved",
    "Operation",
    "Truncated",
    "Unlinked",
    "Written",
]

ROOT = 0
"""The folder that everything lies below; it was there before."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were written to a file."""

    node: int
    offset: int
    data: bytes

    def __str__(self) -> str:
        return f"write {len(self.data)} bytes at {self.offset} of #{self.node}"


@dataclass(frozen=True, slots=True)
class Truncated:
    """A file got another size."""

    node: int
    size: int

    def __str__(self) -> str:
        return f"truncate #{self.node} to {self.size}"


@dataclass(frozen=True, slots=True)
class FileSynced:
    """A file's bytes and size are on the disk."""

    node: int

    def __str__(self) -> str:
        return f"sync file #{self.node}"


@dataclass(frozen=True, slots=True)
class Linked:
    """A name was made: of a new file, a new folder, or one more of a file."""

    folder: int
    name: str
    node: int
    is_folder: bool = False

    def __str__(self) -> str:
        return f"make {'folder ' if self.is_folder else ''}{self.name!r} (#{self.node}) in #{self.folder}"


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A name was removed, of a file or an empty folder."""

    folder: int
    name: str

    def __str__(self) -> str:
        return f"remove {self.name!r} from #{self.folder}"


@dataclass(frozen=True, slots=True)
class Moved:
    """A name was replaced by another in one step, perhaps over a file that had it."""

    folder: int
    name: str
    to_folder: int
    to_name: str
    node: int

    def __str__(self) -> str:
        return f"rename {self.name!r} in #{self.folder} to {self.to_name!r} in #{self.to_folder}"


@dataclass(frozen=True, slots=True)
class FolderSynced:
    """A folder's names are on the disk."""

    node: int

    def __str__(self) -> str:
        return f"sync folder #{self.node}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Not an operation: the program was told something, and relies on it from here on.

    Attributes:
        kind: What was told.
        fact: Its content.
    """

    kind: str
    fact: Any

    def __str__(self) -> str:
        return f"-- {self.kind}"


Operation = Written | Truncated | FileSynced | Linked | Unlinked | Moved | FolderSynced | Mark
