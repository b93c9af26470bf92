"""Whether a sidecar can be sent: a JSON object of at most 1 MiB."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haulier.files import FileEntry, Files

__all__ = ["SIDECAR_LIMIT", "SidecarVerdicts", "sidecar_problem"]

SIDECAR_LIMIT = 1 << 20  # bytes; the journal keeps a copy of each


def sidecar_problem(content: bytes) -> str | None:
    """What is wrong with a sidecar's content, or None.

    Args:
        content: The whole file, or at least :data:`SIDECAR_LIMIT` + 1 bytes of it.
    """
    if len(content) > SIDECAR_LIMIT:
        return f"is larger than {SIDECAR_LIMIT} bytes"
    if not content:
        return "is empty"
    try:
        document = json.loads(content)
    except RecursionError:
        return "is nested too deeply"
    except json.JSONDecodeError as error:
        return f"is no sound JSON ({error.msg} in line {error.lineno})"
    except ValueError:
        return "is no sound JSON (it is not in UTF-8, or holds an endless number)"
    return None if isinstance(document, dict) else "is JSON, but no object"


class SidecarVerdicts:
    """Reads each sidecar of a folder once for as long as it stays the same. Not thread-safe.

    Verdicts on files that are gone stay: one short text each, and names of sidecars do not come back.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, str], str | None]] = {}

    def problem(self, files: Files, folder: str, entry: FileEntry) -> str | None:
        """What is wrong with a sidecar, or None.

        Args:
            files: The files port.
            folder: Canonical path of the folder.
            entry: The sidecar in it.
        """
        state = (entry.size, entry.mtime_ns, entry.file_id)
        known = self._known.get(entry.name)
        if known is not None and known[0] == state:
            return known[1]
        try:
            content = files.read_bytes(os.path.join(folder, entry.name), SIDECAR_LIMIT + 1)  # noqa: PTH118
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        verdict = sidecar_problem(content)
        self._known[entry.name] = (state, verdict)
        return verdict
