"""From the answers of the service to Haulier's errors.

Reasons are those of the Cloud Storage JSON API, "HTTP status and error codes for JSON"; without one the status decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from haulier.backends.http_errors import clean_reason, error_for_status, parse_retry_after
from haulier.errors import (
    AuthenticationError,
    ConflictError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    ThrottledError,
    TransferError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier_gcs.transport import HttpAnswer

__all__ = ["is_refusal_of_a_right", "reason_of", "refusal"]

_LONGEST_REASON = 200
_TAG = re.compile(r"<[^>]*>")
_FORBIDDEN = 403
_BUCKET = "Create the bucket, or correct `bucket` and `endpoint_url`"
_BILLING = "Name the project that pays with `project`, or mend its billing"


def _reasons(kind: type[TransferError], names: str) -> dict[str, type[TransferError]]:
    return dict.fromkeys(names.split(), kind)


_BY_REASON: Mapping[str, type[TransferError]] = {
    **_reasons(AuthenticationError, "authError expired invalidCredentials"),
    **_reasons(
        PermissionDeniedError,
        "accountDisabled countryBlocked forbidden insufficientPermissions objectUnderActiveHold "
        "orgPolicyConstraintFailed retentionPolicyNotMet UserProjectAccountProblem UserProjectInconsistent",
    ),
    **_reasons(
        ThrottledError,
        "dailyLimitExceeded quotaExceeded rateLimitExceeded rateLimitExceededUnreg userRateLimitExceeded usageLimits",
    ),
    **_reasons(ServerError, "backendError internalError uploadBrokenConnection"),
    **_reasons(QuotaError, "uploadTooLarge"),
    **_reasons(ConflictError, "conditionNotMet"),
    **_reasons(ValidationError, "notFound"),
}
_ADVICE: Mapping[str, str] = {
    "accountDisabled": _BILLING,
    "UserProjectAccountProblem": _BILLING,
    "UserProjectInconsistent": _BILLING,
    "UserProjectMissing": _BILLING,
    "notFound": _BUCKET,
    "orgPolicyConstraintFailed": "Ask the organisation's administrator which constraint forbids it",
}
_RIGHTS = frozenset({"forbidden", "insufficientPermissions"})


def refusal(
    answer: HttpAnswer, *, where: str, now: float, gone: type[TransferError] = ValidationError
) -> TransferError:
    """Make the error that an unsuccessful answer stands for.

    Args:
        answer: What the service said.
        where: The object or bucket, fit for messages.
        now: Wall time, seconds since the epoch, for a Retry-After that is a date.
        gone: What 404 and 410 mean here: :class:`~haulier.errors.SessionLostError` for an upload session.
    """
    retry_after = parse_retry_after(answer.headers.get("Retry-After"), now)
    reason, words = reason_of(answer), _words(answer)
    kind = _BY_REASON.get(reason)
    if kind is ServerError and retry_after is not None:
        kind = ThrottledError
    if kind is None or kind is ValidationError:
        error = error_for_status(answer.status, where=where, reason=words, retry_after=retry_after, gone=gone)
        error.advice = _ADVICE.get(reason, error.advice)
        return error
    what = f"the service answered {reason} (status {answer.status})"
    what = f"{what}: {words}" if words else what
    advice = _ADVICE.get(reason)
    if kind is ThrottledError:
        return ThrottledError(what, where=where, advice=advice, retry_after=retry_after)
    return kind(what, where=where, advice=advice)


def reason_of(answer: HttpAnswer) -> str:
    """The service's own word for an error, ``notFound`` for example; empty when it says none."""
    errors = _error(answer).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    reason = first.get("reason") if isinstance(first, dict) else None
    return reason if isinstance(reason, str) and reason.isalnum() and len(reason) < _LONGEST_REASON else ""


def is_refusal_of_a_right(answer: HttpAnswer) -> bool:
    """Whether the service knows the credentials and refuses them this one thing."""
    return answer.status == _FORBIDDEN and reason_of(answer) in _RIGHTS


def _words(answer: HttpAnswer) -> str:
    """The service's own words, cleaned."""
    message = _error(answer).get("message")
    if not isinstance(message, str):
        message = "" if answer.members() else _TAG.sub(" ", answer.body[:4096].decode("utf-8", "replace"))
    return clean_reason(message, limit=_LONGEST_REASON)


def _error(answer: HttpAnswer) -> dict[str, Any]:
    found = answer.members().get("error")
    return found if isinstance(found, dict) else {}
