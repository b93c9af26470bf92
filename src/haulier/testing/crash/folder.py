"""A local folder as a destination."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier.backends.keys import PARTIAL_FOLDER
from haulier.testing.crash.destination import Destination

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FolderDestination"]


class FolderDestination(Destination):
    """The filesystem backend below a folder of the case."""

    name = "filesystem"
    parts_at_once = 1

    def __init__(self) -> None:
        self._root = Path()

    def reset(self, folder: Path) -> None:
        """Take a new folder, which the backend makes."""
        self._root = folder / "stored"

    def table(self) -> Mapping[str, Any]:
        """The folder's path."""
        return {"type": "filesystem", "url": str(self._root)}

    def stored(self) -> Mapping[str, bytes]:
        """All files but partial ones."""
        return {key: path.read_bytes() for key, path in self._files() if not key.startswith(f"{PARTIAL_FOLDER}/")}

    def pending(self) -> Sequence[str]:
        """Partial files."""
        return [key for key, _ in self._files() if key.startswith(f"{PARTIAL_FOLDER}/")]

    def received(self) -> None:
        """Nothing can be put before a folder: the child counts."""
        return

    def _files(self) -> list[tuple[str, Path]]:
        found = [path for path in self._root.rglob("*") if path.is_file()]
        return [(path.relative_to(self._root).as_posix(), path) for path in sorted(found)]
