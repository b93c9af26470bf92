"""The error classes that WATS catches, each with its status code (WATS manual, "Tipos de Erro")."""

from __future__ import annotations

__all__ = [
    "ApiError",
    "AuthenticationError",
    "MissingFileError",
    "NetworkError",
    "ServerError",
    "UploadError",
    "ValidationError",
]


class ApiError(Exception):
    """Base of everything that the face raises on purpose.

    Attributes:
        message: What happened and what to do about it. Never holds a secret.
        status_code: HTTP status it stands for; 0 when no answer came, None when it stands for none.
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code

    def __str__(self) -> str:
        return self.message


class AuthenticationError(ApiError):
    """The token was refused (401), or may not do this (403)."""

    def __init__(self, message: str = "Authentication failed", status_code: int = 401) -> None:
        super().__init__(message, status_code)


class NetworkError(ApiError):
    """The server could not be reached, or the connection broke off."""

    def __init__(self, message: str = "Network connection failed", status_code: int = 0) -> None:
        super().__init__(message, status_code)


class ServerError(ApiError):
    """The server failed (5xx) or asks for patience (429)."""

    def __init__(self, message: str = "The server failed", status_code: int = 500) -> None:
        super().__init__(message, status_code)


class ValidationError(ApiError):
    """The recording or the request is not valid (4xx)."""

    def __init__(self, message: str = "Request validation failed", status_code: int = 400) -> None:
        super().__init__(message, status_code)


class UploadError(ApiError):
    """This upload failed, and repeating it would not help."""

    def __init__(self, message: str = "File upload failed", status_code: int = 422) -> None:
        super().__init__(message, status_code)


class MissingFileError(ValidationError, FileNotFoundError):
    """The video or the metadata file does not exist: also what programs catch for missing files."""
