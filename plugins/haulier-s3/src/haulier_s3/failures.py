"""From the exceptions of botocore to Haulier's errors.

Texts are made here, of what is known not to be secret: the library's own messages quote addresses with their queries.
Codes are those of the Amazon S3 API reference, section "Error responses", and of services that imitate it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from haulier.backends.http_errors import clean_reason, error_for_status, parse_retry_after
from haulier.errors import (
    AuthenticationError,
    HaulierError,
    OffsetError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    SessionLostError,
    ThrottledError,
    TransferError,
)
from haulier_s3.library_errors import library_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["code_of", "status_of", "translate"]

_CLOCK = "Set this computer's clock"
_BUCKET = "Create the bucket, or correct `bucket` and `endpoint_url`"
_REGION = "Set `region` to the one that the bucket is in, and `endpoint_url` to the address of its service"


def _codes(kind: type[TransferError], names: str) -> dict[str, type[TransferError]]:
    return dict.fromkeys(names.split(), kind)


_BY_CODE: Mapping[str, type[TransferError]] = {
    **_codes(
        AuthenticationError,
        "AuthFailure CredentialsNotSupported ExpiredToken ExpiredTokenException InvalidAccessKeyId "
        "InvalidClientTokenId InvalidSecurity InvalidToken MissingSecurityHeader NotSignedUp RequestExpired "
        "RequestTimeTooSkewed SignatureDoesNotMatch TokenRefreshRequired UnauthorizedAccess "
        "UnrecognizedClientException",
    ),
    **_codes(PermissionDeniedError, "AccessDenied AllAccessDisabled AccountProblem InvalidObjectState"),
    **_codes(
        ThrottledError,
        "BandwidthLimitExceeded RequestLimitExceeded RequestThrottled RequestThrottledException SlowDown "
        "SlowDownRead SlowDownWrite Throttling ThrottlingException TooManyRequests TooManyRequestsException",
    ),
    **_codes(
        ServerError,
        "BadDigest ConditionalRequestConflict IncompleteBody InternalError InternalFailure InvalidDigest "
        "OperationAborted PriorRequestNotComplete RequestTimeout ServiceUnavailable XAmzContentChecksumMismatch "
        "XAmzContentSHA256Mismatch",
    ),
    **_codes(
        QuotaError,
        "EntityTooLarge InsufficientStorage MaxMessageLengthExceeded QuotaExceeded StorageFull "
        "XMinioAdminBucketQuotaExceeded XMinioStorageFull",
    ),
    **_codes(SessionLostError, "NoSuchUpload"),
    **_codes(OffsetError, "InvalidPart InvalidPartOrder"),
}
_ADVICE: Mapping[str, str] = {
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NoSuchBucket": _BUCKET,
    "PermanentRedirect": _REGION,
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "TemporaryRedirect": _REGION,
}


def code_of(error: BaseException) -> str:
    """The service's own code, ``NoSuchKey`` for example; that of an answer without a body is its status."""
    return str(_part(error, "Error").get("Code", ""))


def status_of(error: BaseException) -> int:
    """The HTTP status of an answer; 0 when there was none."""
    status = _part(error, "ResponseMetadata").get("HTTPStatusCode", 0)
    return status if isinstance(status, int) else 0


def translate(error: Exception, *, where: str) -> HaulierError:
    """Make the error that an exception of botocore stands for.

    Args:
        error: What a call raised.
        where: The object or bucket, fit for messages.

    Returns:
        The error; one of ours that was raised while a body was read comes back as it is.
    """
    ours = next((link for link in _chain(error) if isinstance(link, HaulierError)), None)
    if ours is not None:
        return ours
    if status_of(error) or code_of(error):
        return _refusal(error, where)
    return library_error(error, where=where)


def _refusal(error: Exception, where: str) -> TransferError:
    code, status = code_of(error), status_of(error)
    headers = _part(error, "ResponseMetadata").get("HTTPHeaders") or {}
    retry_after = parse_retry_after(headers.get("retry-after"), time.time())
    kind = _BY_CODE.get(code)
    if kind in {ServerError, ThrottledError} and retry_after is not None:
        kind = ThrottledError
    if kind is None:
        plain = error_for_status(status, where=where, reason=_reason(error), retry_after=retry_after)
        plain.advice = _ADVICE.get(code, plain.advice)
        return plain
    what = f"the service answered {code}"
    reason = _reason(error)
    what = f"{what}: {reason}" if reason else what
    advice = _ADVICE.get(code)
    if kind is ThrottledError:
        return ThrottledError(what, where=where, advice=advice, retry_after=retry_after)
    return kind(what, where=where, advice=advice)


def _reason(error: BaseException) -> str:
    message = str(_part(error, "Error").get("Message", ""))
    return "" if message == code_of(error) else clean_reason(message, limit=200)


def _part(error: BaseException, name: str) -> Mapping[str, Any]:
    response = getattr(error, "response", None)
    found = response.get(name) if isinstance(response, dict) else None
    return found if isinstance(found, dict) else {}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, by the ways in which botocore wraps."""
    seen: set[int] = set()
    current: object = error
    while isinstance(current, BaseException) and id(current) not in seen:
        seen.add(id(current))
        yield current
        wrapped = getattr(current, "kwargs", {}).get("error")
        current = wrapped if isinstance(wrapped, BaseException) else current.__cause__
