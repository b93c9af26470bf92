"""Names of :mod:`haulier_wats.compat.exceptions`."""

from haulier_wats.compat.exceptions import (
    ApiError,
    AuthenticationError,
    NetworkError,
    ServerError,
    UploadError,
    ValidationError,
)

__all__ = ["ApiError", "AuthenticationError", "NetworkError", "ServerError", "UploadError", "ValidationError"]
