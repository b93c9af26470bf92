"""What each exception of ``azure.core`` and ``azure.identity`` that is no answer of the service means for an upload.

By name, so that a test can compare the table with the library: a class that appears there must be decided here.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from haulier.errors import AuthenticationError, HaulierError, NetworkError, PluginError, ServerError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["DECIDED", "chain", "library_error"]

_TRUST = "Check the service's certificate, or name its authority with `ca_bundle`"
_CREDENTIALS = "Give `credential` or `connection_string`, or log in where `identity` looks"


def _named(words: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), words)


_AWAY: Mapping[str, str] = {
    **_named("no connection could be made", "ServiceRequestError"),
    **_named("no connection in time", "ServiceRequestTimeoutError"),
}
"""Nobody was reached: the whole backend waits."""

_BROKEN: Mapping[str, str] = {
    **_named("the connection was closed", "ServiceResponseError"),
    **_named("nothing moved on the connection in time", "ServiceResponseTimeoutError"),
    **_named("the answer broke off", "IncompleteReadError"),
}
"""A connection stood: costs the task an attempt."""

_CREDENTIAL: Mapping[str, str] = {
    **_named("the credentials are not accepted", "ClientAuthenticationError"),
    **_named("the account key cannot be used", "AzureSigningError"),
    **_named("there are no credentials", "CredentialUnavailableError"),
    **_named("the login has ended", "AuthenticationRequiredError"),
}
"""Credentials: the whole backend waits for them."""

_GARBLED: Mapping[str, str] = _named(
    "the answer cannot be read",
    "HttpResponseError DecodeError DeserializationError ODataV4Error PartialBatchErrorException ResourceExistsError "
    "ResourceNotFoundError ResourceModifiedError ResourceNotModifiedError TooManyRedirectsError",
)
"""The service's side failed: these come with an answer, and here there was none."""

_OURS: Mapping[str, str] = _named("the request cannot be made", "SerializationError")
"""The request: the item's own, unless the probe fails as well."""

_LIBRARY: Mapping[str, str] = _named(
    "the library cannot be used", "AzureError StreamConsumedError StreamClosedError ResponseNotReadError"
)
"""A broken installation, or a mistake of this plugin."""


def _away(what: str, where: str) -> HaulierError:
    return NetworkError(what, where=where, advice=_TRUST if "certificate" in what else None, reached=False)


_TABLES: tuple[tuple[Mapping[str, str], Callable[[str, str], HaulierError]], ...] = (
    (_AWAY, _away),
    (_BROKEN, lambda what, where: NetworkError(what, where=where)),
    (_CREDENTIAL, lambda what, where: AuthenticationError(what, where=where, advice=_CREDENTIALS)),
    (_GARBLED, lambda what, where: ServerError(what, where=where)),
    (_OURS, lambda what, where: ValidationError(what, where=where)),
    (_LIBRARY, lambda what, where: PluginError(what, where=where, advice="Install azure-storage-blob anew")),
)

DECIDED = frozenset(name for table, _ in _TABLES for name in table)
"""Names of all classes that are decided."""


def library_error(error: BaseException, *, where: str) -> HaulierError:
    """The error for an exception that is no answer: by its own name, else by that of its nearest base.

    Args:
        error: What a call raised.
        where: The object or container.
    """
    for kind in type(error).__mro__:
        for table, make in _TABLES:
            if kind.__name__ in table:
                return make(_with_detail(table[kind.__name__], error), where)
    if isinstance(error, OSError):
        return NetworkError(_with_detail("the connection failed", error), where=where)
    return PluginError(f"the SDK raised {type(error).__name__}", where=where)


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, by the ways in which SDK, requests and urllib3 wrap."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = (getattr(current, name, None) for name in ("inner_exception", "reason", "__cause__"))
        waiting.extend([*current.args, *inner])


def _with_detail(what: str, error: BaseException) -> str:
    """The words with what the system says, which never quotes an address."""
    links = list(chain(error))
    refused = next((each for each in links if isinstance(each, ssl.SSLCertVerificationError)), None)
    if refused is not None:
        return f"{what} (certificate: {refused.verify_message})"
    if any(isinstance(each, socket.gaierror) for each in links):
        return f"{what} (the host name cannot be resolved)"
    told = next((each.strerror for each in links if isinstance(each, OSError) and each.strerror), None)
    return f"{what} ({told or type(error).__name__})"
