"""The face for WATS: the names, signatures and results that the program knows, with Haulier behind them.

The program's own package needs one line for them: ``from haulier_wats.compat import *``. Names are resolved when first
used, and what is heavy (requests, pydantic, the journal) is imported when it is first needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haulier_wats.compat.api_integration import ApiIntegrationManager
    from haulier_wats.compat.config import ApiConfig
    from haulier_wats.compat.exceptions import (
        ApiError,
        AuthenticationError,
        NetworkError,
        ServerError,
        UploadError,
        ValidationError,
    )
    from haulier_wats.compat.upload_client import ProgressFileWrapper, RecordingUploadClient
    from haulier_wats.compat.upload_manager import UploadManager, UploadStatus, UploadTask

__all__ = [
    "ApiConfig",
    "ApiError",
    "ApiIntegrationManager",
    "AuthenticationError",
    "NetworkError",
    "ProgressFileWrapper",
    "RecordingUploadClient",
    "ServerError",
    "UploadError",
    "UploadManager",
    "UploadStatus",
    "UploadTask",
    "ValidationError",
]

_HOMES = {
    "ApiConfig": "config",
    "ApiError": "exceptions",
    "ApiIntegrationManager": "api_integration",
    "AuthenticationError": "exceptions",
    "NetworkError": "exceptions",
    "ProgressFileWrapper": "upload_client",
    "RecordingUploadClient": "upload_client",
    "ServerError": "exceptions",
    "UploadError": "exceptions",
    "UploadManager": "upload_manager",
    "UploadStatus": "upload_manager",
    "UploadTask": "upload_manager",
    "ValidationError": "exceptions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
