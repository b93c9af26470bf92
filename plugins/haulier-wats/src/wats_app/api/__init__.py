"""The upload API of WATS: names that live in :mod:`haulier_wats.compat`, resolved when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haulier_wats import compat

if TYPE_CHECKING:
    from haulier_wats.compat import (
        ApiConfig,
        ApiError,
        ApiIntegrationManager,
        AuthenticationError,
        NetworkError,
        ProgressFileWrapper,
        RecordingUploadClient,
        ServerError,
        UploadError,
        UploadManager,
        UploadStatus,
        UploadTask,
        ValidationError,
    )

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(compat, name)


def __dir__() -> list[str]:
    return sorted(__all__)
