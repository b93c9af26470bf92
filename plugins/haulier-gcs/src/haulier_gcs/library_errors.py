"""What each exception of requests and google-auth means for an upload.

By name, so that a test can compare the tables with the libraries: a class that appears there must be decided here.
Texts are made here, of what is known not to be secret: the libraries' own messages quote addresses with their queries.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING

from haulier.errors import (
    AuthenticationError,
    HaulierError,
    NetworkError,
    PluginError,
    ServerError,
    TransferError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["DECIDED_AUTH", "DECIDED_REQUESTS", "access_error", "library_error", "root_cause"]

_TRUST = "Check the service's certificate, or name its authority with `ca_bundle`"
_CREDENTIALS = "Correct `credentials_file` or the environment's credentials, then `haulier resume --all`"


def _named(words: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), words)


_AWAY: Mapping[str, str] = {
    **_named("no connection in time", "ConnectTimeout"),
    **_named("the proxy cannot be used", "ProxyError InvalidProxyURL"),
}
"""Nobody was reached: the whole backend waits."""

_BROKEN: Mapping[str, str] = {
    **_named("the connection failed", "RequestException ConnectionError RetryError BaseHTTPError"),
    **_named("nothing moved on the connection in time", "Timeout ReadTimeout"),
    **_named("the answer broke off", "ChunkedEncodingError"),
    **_named("TLS failed", "SSLError"),
}
"""Whether a connection stood decides who pays."""

_GARBLED: Mapping[str, str] = _named(
    "the answer cannot be read",
    "ContentDecodingError InvalidJSONError JSONDecodeError CompatJSONDecodeError HTTPError StreamConsumedError",
)
"""The service's side failed."""

_OURS: Mapping[str, str] = _named(
    "the address cannot be used for a request",
    "URLRequired TooManyRedirects MissingSchema InvalidSchema InvalidURL InvalidHeader UnrewindableBodyError",
)
"""The request itself."""

DECIDED_REQUESTS = frozenset({*_AWAY, *_BROKEN, *_GARBLED, *_OURS})
"""Names of all classes of ``requests.exceptions`` that are decided."""

_ACCESS: Mapping[str, str] = {
    **_named("there are no credentials, or they cannot be used", "DefaultCredentialsError GoogleAuthError"),
    **_named("the credentials are malformed", "MalformedError InvalidValue InvalidType InvalidOperation"),
    **_named("the credentials' file or program cannot be used", "InvalidResource OSError"),
    **_named("the credentials were refused", "RefreshError OAuthError UserAccessTokenError ResponseError"),
    **_named("the login has ended", "ReauthFailError ReauthSamlChallengeFailError"),
    **_named("the client certificate cannot be used", "ClientCertError MutualTLSChannelError"),
}
_ACCESS_AWAY: Mapping[str, str] = _named("nobody who gives out tokens was reached", "TransportError TimeoutError")

DECIDED_AUTH = frozenset({*_ACCESS, *_ACCESS_AWAY})
"""Names of all classes of ``google.auth.exceptions`` that are decided."""

_ROOT_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host name cannot be resolved"),
    (ConnectionRefusedError, "the connection was refused"),
    (http.client.RemoteDisconnected, "the server closed the connection without an answer"),
    (BrokenPipeError, "the connection was closed by the server"),
    (ConnectionError, "the connection was reset"),
    (TimeoutError, "nothing moved on the connection in time"),
    (http.client.IncompleteRead, "the answer broke off"),
    (http.client.HTTPException, "the answer is no HTTP"),
)


def library_error(error: Exception, *, where: str, reached: bool) -> TransferError:
    """The error that an exception of requests or of what lies below it stands for.

    Args:
        error: What a request raised.
        where: The object, bucket or host.
        reached: Whether a connection stood when it happened.
    """

    def network(what: str, *, reached: bool = reached) -> TransferError:
        root = root_cause(error)
        advice = _TRUST if isinstance(root, ssl.SSLError) and not reached else None
        return NetworkError(_with_detail(what, root), where=where, advice=advice, reached=reached)

    tables: tuple[tuple[Mapping[str, str], Callable[[str], TransferError]], ...] = (
        (_AWAY, lambda what: network(what, reached=False)),
        (_BROKEN, network),
        (_GARBLED, lambda what: ServerError(what, where=where)),
        (_OURS, lambda what: ValidationError(what, where=where)),
    )
    if isinstance(error, UnicodeError):
        return ValidationError("the address cannot be used for a request", where=where)
    if type(error).__module__.partition(".")[0] == "requests":
        for kind in type(error).__mro__:
            for table, make in tables:
                if kind.__name__ in table:
                    return make(table[kind.__name__])
    return network("the connection failed")


def access_error(error: Exception, *, where: str) -> HaulierError:
    """The error for an exception of google-auth, or of what reads a credentials file; ours come back as they are."""
    if isinstance(error, HaulierError):
        return error
    if type(error).__module__.startswith("google.auth"):
        for kind in type(error).__mro__:
            if kind.__name__ in _ACCESS_AWAY:
                return NetworkError(_ACCESS_AWAY[kind.__name__], where=where, reached=False)
            if kind.__name__ in _ACCESS:
                return AuthenticationError(_ACCESS[kind.__name__], where=where, advice=_CREDENTIALS)
    if isinstance(error, OSError):
        what = f"the credentials cannot be read ({error.strerror or type(error).__name__})"
        return AuthenticationError(what, where=where, advice=_CREDENTIALS)
    if isinstance(error, (ValueError, KeyError, TypeError)):
        return AuthenticationError("the credentials are malformed", where=where, advice=_CREDENTIALS)
    return PluginError(f"google-auth raised {type(error).__name__}", where=where)


def root_cause(error: BaseException) -> BaseException | None:
    """The exception of the system or the standard library at the bottom; None when there is none."""
    *_, last = _chain(error)
    is_plain = type(last).__module__ in {"builtins", "socket", "ssl", "http.client"}
    return last if is_plain and isinstance(last, (OSError, http.client.HTTPException)) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, outermost first, by all the ways in which these libraries wrap."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if type(current).__module__.partition(".")[0] not in {"requests", "urllib3"}:
            return  # what it was raised in the handling of is somebody else's
        wrapped = (current.__cause__, getattr(current, "reason", None), *current.args, current.__context__)
        current = next((link for link in wrapped if isinstance(link, BaseException)), None)


def _with_detail(what: str, root: BaseException | None) -> str:
    """The words with what the system says, which never quotes an address."""
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"the service's certificate is not trusted ({root.verify_message})"
    if isinstance(root, ssl.SSLError):
        return f"TLS failed ({getattr(root, 'reason', None) or type(root).__name__})"
    detail = next((words for kind, words in _ROOT_WORDS if isinstance(root, kind)), "")
    if not detail and isinstance(root, OSError):
        detail = root.strerror or ""
    return f"{what}: {detail}" if detail and detail != what else what
