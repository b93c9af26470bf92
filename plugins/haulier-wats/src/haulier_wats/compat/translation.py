"""From Haulier's errors to the classes that WATS catches, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from haulier import errors as core
from haulier_wats.compat.exceptions import (
    ApiError,
    AuthenticationError,
    NetworkError,
    ServerError,
    UploadError,
    ValidationError,
)

if TYPE_CHECKING:
    from haulier.errors import HaulierError

__all__ = ["status_of", "to_api_error", "to_core_error"]

_STATUS = re.compile(r"\(status (\d{3})\)")  # as haulier.backends.http_errors writes it, also in journalled errors
_TOO_MANY = 429
_FORBIDDEN = 403
_TOO_LARGE = 413
_FULL = 507


def status_of(error: HaulierError, default: int) -> int:
    """The HTTP status that an error tells of, or the default."""
    found = _STATUS.search(error.what)
    return int(found[1]) if found else default


def to_api_error(error: HaulierError) -> ApiError:
    """The error that WATS catches instead; its cause is the given one."""
    made = _made(error)
    made.__cause__ = error
    return made


def _made(error: HaulierError) -> ApiError:
    text = str(error)
    match error:
        case core.AuthenticationError():
            return AuthenticationError(text)
        case core.PermissionDeniedError():
            return AuthenticationError(text, _FORBIDDEN)
        case core.NetworkError():
            return NetworkError(text)
        case core.ThrottledError():
            return ServerError(text, status_of(error, _TOO_MANY))
        case core.TransientError():
            return ServerError(text, status_of(error, 500))
        case core.QuotaError():
            status = status_of(error, _TOO_LARGE)
            return ServerError(text, status) if status == _FULL else ValidationError(text, status)
        case core.ValidationError():
            return ValidationError(text, status_of(error, 400))
        case core.InputError():
            return ValidationError(text)
        case core.TransferError():
            return UploadError(text)
        case _:
            return ApiError(text, 0)


def to_core_error(error: ApiError) -> HaulierError:
    """The error of Haulier that has the same consequence: the one it was made of, if it was."""
    if isinstance(error.__cause__, core.HaulierError):
        return error.__cause__
    made = _core_class(error)(error.message, advice="")
    made.__cause__ = error
    return made


def _core_class(error: ApiError) -> type[HaulierError]:
    match error:
        case AuthenticationError(status_code=403):
            return core.PermissionDeniedError
        case AuthenticationError():
            return core.AuthenticationError
        case NetworkError():
            return core.NetworkError
        case ServerError(status_code=429):
            return core.ThrottledError
        case ServerError(status_code=507) | ValidationError(status_code=413):
            return core.QuotaError
        case ServerError():
            return core.ServerError
        case ValidationError():
            return core.ValidationError
        case UploadError():
            return core.TransferError
        case _:
            return core.HaulierError
