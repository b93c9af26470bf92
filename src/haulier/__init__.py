"""Haulier: the upload engine for files that must not be lost.

Everything a host or a plugin needs by name is here, resolved when first used, so that importing the package costs
next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haulier.backends.api import Backend, PutBackend
    from haulier.config.secrets import Secret
    from haulier.errors import HaulierError
    from haulier.hooks.spec import hookimpl
    from haulier.manager import UploadManager
    from haulier.models import Disposal, Proof, Receipt, Task, TaskState

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "Disposal",
    "HaulierError",
    "Proof",
    "PutBackend",
    "Receipt",
    "Secret",
    "Task",
    "TaskState",
    "UploadManager",
    "__version__",
    "hookimpl",
]

_HOMES = {
    "Backend": "haulier.backends.api",
    "Disposal": "haulier.models",
    "HaulierError": "haulier.errors",
    "Proof": "haulier.models",
    "PutBackend": "haulier.backends.api",
    "Receipt": "haulier.models",
    "Secret": "haulier.config.secrets",
    "Task": "haulier.models",
    "TaskState": "haulier.models",
    "UploadManager": "haulier.manager",
    "hookimpl": "haulier.hooks.spec",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'haulier' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
