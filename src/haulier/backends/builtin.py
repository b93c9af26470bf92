"""The backend types that come with the core, registered as any plugin registers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.hooks.spec import hookimpl

if TYPE_CHECKING:
    from haulier.backends.api import Backend, PutBackend

__all__ = ["register_backends"]


@hookimpl
def register_backends() -> list[type[Backend | PutBackend]]:
    """The backend types ``filesystem`` and ``memory``."""
    from haulier.backends.filesystem import FilesystemBackend
    from haulier.backends.memory import MemoryBackend

    return [FilesystemBackend, MemoryBackend]
