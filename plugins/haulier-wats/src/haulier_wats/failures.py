"""From the exceptions of requests, urllib3 and sockets to Haulier's errors.

Texts are made here, of what is known not to be secret: the libraries' own messages quote addresses with their queries.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING

import requests
import urllib3.exceptions

from haulier.backends.http_errors import error_for_status
from haulier.errors import NetworkError, ServerError, TransferError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LIBRARY_ERRORS", "root_cause", "translate"]

LIBRARY_ERRORS = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    UnicodeError,
)
"""What a request may raise."""

_BAD_ADDRESS = (
    requests.exceptions.URLRequired,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidHeader,
    requests.exceptions.TooManyRedirects,
    urllib3.exceptions.LocationValueError,
    UnicodeError,
)
_NEVER_REACHED = (
    requests.exceptions.ProxyError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.InvalidProxyURL,
)
_WRAPPERS = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)
_BAD_ANSWER = (requests.exceptions.InvalidJSONError, requests.exceptions.ContentDecodingError)
_TRUST = "Check the server's certificate, or name its authority with ca_bundle"

_ROOT_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host name cannot be resolved"),
    (ConnectionRefusedError, "the connection was refused"),
    (http.client.RemoteDisconnected, "the server closed the connection without an answer"),
    (BrokenPipeError, "the connection was closed by the server"),
    (ConnectionError, "the connection was reset"),
    (TimeoutError, "nothing moved on the connection in time"),
)
_WRAPPER_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.InvalidProxyURL, "the proxy's address cannot be used"),
    (urllib3.exceptions.ConnectTimeoutError, "no connection in time"),
    (urllib3.exceptions.TimeoutError, "nothing moved on the connection in time"),
    (requests.exceptions.Timeout, "nothing moved on the connection in time"),
    (http.client.IncompleteRead, "the answer broke off"),
    (http.client.HTTPException, "the answer is no HTTP"),
)


def translate(error: Exception, *, where: str, reached: bool) -> TransferError:
    """Make the error that an exception of the HTTP libraries stands for.

    Args:
        error: The exception.
        where: The address, fit for messages.
        reached: Whether a connection stood when it happened.

    Returns:
        The error; raise it ``from`` :func:`root_cause`, whose text quotes no address.
    """
    if isinstance(error, _NEVER_REACHED):
        proxy = "the proxy cannot be used: " if isinstance(error, requests.exceptions.ProxyError) else ""
        return NetworkError(proxy + _describe(error), where=where, reached=False)
    if isinstance(error, _BAD_ADDRESS):
        return ValidationError("the address cannot be used for a request", where=where)
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return error_for_status(error.response.status_code, where=where)
    if isinstance(error, _BAD_ANSWER):
        return ServerError("the server's answer cannot be decoded", where=where)
    root = root_cause(error)
    if isinstance(root, ssl.SSLError):
        return NetworkError(_describe_tls(root), where=where, advice=None if reached else _TRUST, reached=reached)
    return NetworkError(_describe(error), where=where, reached=reached)


def root_cause(error: BaseException) -> BaseException | None:
    """The exception of the system or the standard library at the bottom; None when there is none."""
    *_, last = _chain(error)
    return last if isinstance(last, (OSError, http.client.HTTPException)) and not isinstance(last, _WRAPPERS) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, outermost first, by all the ways in which these libraries wrap."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if not isinstance(current, _WRAPPERS):
            return  # what it was raised in the handling of is somebody else's
        wrapped = (current.__cause__, getattr(current, "reason", None), *current.args, current.__context__)
        current = next((link for link in wrapped if isinstance(link, BaseException)), None)


def _describe(error: Exception) -> str:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    root = root_cause(error)
    for kind, words in _ROOT_WORDS:
        if isinstance(root, kind):
            return words
    if detail := getattr(root, "strerror", None):
        return f"the connection failed ({detail})"
    chain = tuple(_chain(error))
    for kind, words in _WRAPPER_WORDS:
        if any(isinstance(link, kind) for link in chain):
            return words
    return f"the connection failed ({type(root or error).__name__})"


def _describe_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({error.verify_message})"
    return f"TLS failed ({error.reason or type(error).__name__})"
