"""From the exceptions of the SDK to Haulier's errors.

Texts are made here, of what is known not to be secret: the library's own messages quote addresses with their queries,
and a shared access signature is a query. For the same reason the library's exception is not kept as a cause: what its
answer told stands in an :class:`Answered`. Codes are those of the Blob service REST API, "Blob service error codes".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from haulier.backends.http_errors import error_for_status, parse_retry_after
from haulier.errors import (
    AuthenticationError,
    ConflictError,
    HaulierError,
    OffsetError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    ThrottledError,
    TransferError,
    ValidationError,
)
from haulier_azure.library_errors import chain, library_error

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answered", "code_of", "is_a_lack_of_rights", "status_of", "translate"]

_CONTAINER = "Create the container, or correct `container` and `account_url`"
_RIGHTS = "`haulier doctor` tells which right is missing"
_REHYDRATE = "Bring the object back from the archive tier first"
_FOREIGN = "Another program left uncommitted blocks under this key; they expire a week after the last of them"


class Answered(Exception):  # noqa: N818  it is a cause, and not raised by itself
    """What an answer, or the lack of one, said; without anything that could be secret.

    Attributes:
        kind: Name of the library's exception.
        status: The HTTP status; 0 when there was no answer.
        code: The service's own code, else empty.
    """

    def __init__(self, kind: str, status: int = 0, code: str = "") -> None:
        super().__init__(" ".join(str(each) for each in (kind, status, code) if each))
        self.kind = kind
        self.status = status
        self.code = code


def _codes(kind: type[TransferError], names: str) -> dict[str, type[TransferError]]:
    return dict.fromkeys(names.split(), kind)


_BY_CODE: Mapping[str, type[TransferError]] = {
    **_codes(
        AuthenticationError,
        "AuthenticationFailed ExpiredAuthenticationToken InvalidAuthenticationInfo KeyBasedAuthenticationNotPermitted "
        "NoAuthenticationInformation",
    ),
    **_codes(
        PermissionDeniedError,
        "AccountIsDisabled AuthorizationFailure AuthorizationPermissionMismatch AuthorizationProtocolMismatch "
        "AuthorizationResourceTypeMismatch AuthorizationServiceMismatch AuthorizationSourceIPMismatch "
        "BlobImmutableDueToLegalHold BlobImmutableDueToPolicy ContainerDisabled InsufficientAccountPermissions "
        "PublicAccessNotPermitted",
    ),
    **_codes(
        ConflictError,
        "BlobAlreadyExists BlobOverwritten ConditionNotMet InvalidBlobType LeaseIdMissing ResourceTypeMismatch "
        "TargetConditionNotMet UnauthorizedBlobOverwrite",
    ),
    **_codes(ThrottledError, "ServerBusy"),
    **_codes(
        ServerError,
        "AccountBeingCreated ContainerBeingDeleted Crc64Mismatch InternalError Md5Mismatch OperationTimedOut "
        "SystemInUse",
    ),
    **_codes(QuotaError, "BlockCountExceedsLimit BlockListTooLong RequestBodyTooLarge"),
    **_codes(OffsetError, "InvalidBlockList"),
    **_codes(ValidationError, "BlobArchived BlobBeingRehydrated ContainerNotFound InvalidBlobOrBlock InvalidBlockId"),
}
_ADVICE: Mapping[str, str] = {
    "AccountIsDisabled": "Enable the storage account",
    "AuthorizationFailure": "Check the account's network rules and the rights; `haulier doctor` tries them",
    "AuthorizationPermissionMismatch": _RIGHTS,
    "AuthorizationSourceIPMismatch": "Allow this computer's address in the SAS, or use another one",
    "BlobArchived": _REHYDRATE,
    "BlobBeingRehydrated": _REHYDRATE,
    "ContainerNotFound": _CONTAINER,
    "InvalidBlobOrBlock": _FOREIGN,
    "InvalidBlockId": _FOREIGN,
    "KeyBasedAuthenticationNotPermitted": "The account takes no keys: leave `credential` out and use an identity",
}


def status_of(error: HaulierError) -> int:
    """The HTTP status behind an error of ours; 0 when there was no answer."""
    return error.__cause__.status if isinstance(error.__cause__, Answered) else 0


def code_of(error: HaulierError) -> str:
    """The service's code behind an error of ours, ``BlobNotFound`` for example; else empty."""
    return error.__cause__.code if isinstance(error.__cause__, Answered) else ""


def is_a_lack_of_rights(error: HaulierError) -> bool:
    """Whether the service said that the credentials are known and may not do this."""
    return isinstance(error, PermissionDeniedError) and code_of(error) in {
        "AuthorizationFailure",
        "AuthorizationPermissionMismatch",
        "AuthorizationResourceTypeMismatch",
        "AuthorizationServiceMismatch",
        "InsufficientAccountPermissions",
    }


def translate(error: Exception, *, where: str) -> HaulierError:
    """Make the error that an exception of the SDK stands for.

    Args:
        error: What a call raised.
        where: The object or container, fit for messages.

    Returns:
        The error; one of ours that was raised while a body was read comes back as it is.
    """
    ours = next((link for link in chain(error) if isinstance(link, HaulierError)), None)
    if ours is not None:
        return ours
    answered = Answered(type(error).__name__, _status(error), _code(error))
    if answered.status and not _is_of_an_identity(error):
        made: HaulierError = _refusal(answered, _retry_after(error), where)
    else:
        made = library_error(error, where=where)
    made.__cause__ = answered
    return made


def _refusal(answered: Answered, retry_after: float | None, where: str) -> TransferError:
    kind = _BY_CODE.get(answered.code)
    if kind in {ServerError, ThrottledError} and retry_after is not None:
        kind = ThrottledError
    if kind is None:
        return error_for_status(answered.status, where=where, reason=answered.code, retry_after=retry_after)
    what, advice = f"the service answered {answered.code}", _ADVICE.get(answered.code)
    if kind is ThrottledError:
        return ThrottledError(what, where=where, advice=advice, retry_after=retry_after)
    return kind(what, where=where, advice=advice)


def _is_of_an_identity(error: BaseException) -> bool:
    """Whether the answer is one about a token, and not the service's."""
    return type(error).__module__.startswith("azure.identity") or (
        type(error).__name__ == "ClientAuthenticationError" and not _code(error) and _status(error) != _UNAUTHORIZED
    )


_UNAUTHORIZED = 401


def _status(error: BaseException) -> int:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else 0


def _code(error: BaseException) -> str:
    """The service's code: letters and digits alone, whatever the answer holds."""
    told = getattr(error, "error_code", None) or _header(error, "x-ms-error-code") or ""
    text = str(getattr(told, "value", told))
    return text if text.isascii() and text.isalnum() else ""


def _retry_after(error: BaseException) -> float | None:
    return parse_retry_after(_header(error, "Retry-After"), time.time())


def _header(error: BaseException, name: str) -> str | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get(name) if headers is not None else None
    return value if isinstance(value, str) else None
