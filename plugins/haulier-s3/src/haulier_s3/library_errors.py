"""What each exception of ``botocore.exceptions`` that is no answer of the service means for an upload.

By name, so that a test can compare the table with the library: a class that appears there must be decided here.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from haulier.errors import (
    AuthenticationError,
    HaulierError,
    NetworkError,
    PluginError,
    ServerError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DECIDED", "library_error"]

_TRUST = "Check the service's certificate, or name its authority with `ca_bundle`"
_REINSTALL = "Install boto3 and botocore anew"
_OPTIONS = "Correct the backend's options and the AWS configuration files"
_CREDENTIALS = "Give credentials in the backend's options, in the environment or in the AWS configuration files"


def _named(words: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), words)


_AWAY: Mapping[str, str] = {
    **_named("no connection could be made", "ConnectionError EndpointConnectionError"),
    **_named("no connection in time", "ConnectTimeoutError"),
    **_named("TLS failed", "SSLError"),
    **_named("the proxy cannot be used", "ProxyConnectionError InvalidProxiesConfigError"),
}
"""Nobody was reached: the whole backend waits."""

_BROKEN: Mapping[str, str] = {
    **_named("the connection failed", "HTTPClientError"),
    **_named("the connection was closed", "ConnectionClosedError"),
    **_named("nothing moved on the connection in time", "ReadTimeoutError"),
    **_named("the answer broke off", "IncompleteReadError ResponseStreamingError"),
}
"""A connection stood: costs the task an attempt."""

_CREDENTIAL: Mapping[str, str] = {
    **_named("there are no credentials", "NoCredentialsError NoAuthTokenError"),
    **_named("the credentials are incomplete", "PartialCredentialsError UnknownCredentialError"),
    **_named(
        "the credentials cannot be had",
        "CredentialRetrievalError MetadataRetrievalError TokenRetrievalError UnknownTokenProviderError "
        "InvalidIMDSEndpointError InvalidIMDSEndpointModeError RefreshWithMFAUnsupportedError "
        "MissingDependencyException",
    ),
    **_named(
        "the login has ended",
        "SSOError SSOTokenLoadError UnauthorizedSSOTokenError LoginError LoginRefreshRequired "
        "LoginInsufficientPermissions LoginTokenLoadError LoginAuthorizationCodeError",
    ),
    **_named("the profile does not exist", "ProfileNotFound"),
    **_named(
        "the AWS configuration files cannot be used",
        "ConfigParseError ConfigNotFound InvalidConfigError InfiniteLoopConfigError",
    ),
}
"""Credentials: the whole backend waits for them."""

_GARBLED: Mapping[str, str] = {
    **_named("the answer has another checksum than it says", "ChecksumError FlexibleChecksumError"),
    **_named("the answer cannot be read", "PaginationError EventStreamError ClientError CapacityNotAvailableError"),
}
"""The service's side failed."""

_OURS: Mapping[str, str] = {
    **_named(
        "the request cannot be made",
        "ParamValidationError ValidationError MissingParametersError UnknownParameterError UnknownKeyError RangeError "
        "AliasConflictParameterError InvalidExpressionError UnseekableStreamError AwsChunkedWrapperError "
        "InvalidDNSNameError InvalidHostLabelError UnsupportedS3ArnError UnsupportedS3ControlArnError "
        "UnsupportedOutpostResourceError",
    ),
    **_named(
        "the options do not fit together",
        "NoRegionError UnknownRegionError InvalidRegionError ServiceNotInRegionError BaseEndpointResolverError "
        "EndpointVariantError UnknownEndpointError UnknownFIPSEndpointError EndpointProviderError "
        "EndpointResolutionError UnknownEndpointResolutionBuiltInName InvalidEndpointConfigurationError "
        "InvalidEndpointDiscoveryConfigurationError InvalidS3AddressingStyleError UnsupportedS3ConfigurationError "
        "UnsupportedS3AccesspointConfigurationError UnsupportedS3ControlConfigurationError "
        "InvalidS3UsEast1RegionalEndpointConfigError InvalidSTSRegionalEndpointsConfigError "
        "InvalidRetryConfigurationError InvalidMaxRetryAttemptsError InvalidRetryModeError InvalidDefaultsMode "
        "InvalidChecksumConfigError UnknownSignatureVersionError UnsupportedSignatureVersionError",
    ),
}
"""The request or the options: the item's own, unless the probe fails as well."""

_LIBRARY: Mapping[str, str] = _named(
    "the library cannot be used",
    "BotoCoreError DataNotFoundError UnknownServiceError ApiVersionNotFoundError UnknownServiceStyle "
    "OperationNotPageableError UnknownClientMethodError WaiterError WaiterConfigError StubResponseError "
    "StubAssertionError UnStubbedResponseError MD5UnavailableError UndefinedModelAttributeError MissingServiceIdError "
    "UnsupportedServiceProtocolsError UnsupportedTLSVersionWarning ImminentRemovalWarning",
)
"""A broken installation, or a mistake of this plugin."""


def _away(what: str, where: str) -> HaulierError:
    return NetworkError(what, where=where, advice=_TRUST if what.startswith("TLS") else None, reached=False)


_TABLES: tuple[tuple[Mapping[str, str], Callable[[str, str], HaulierError]], ...] = (
    (_AWAY, _away),
    (_BROKEN, lambda what, where: NetworkError(what, where=where)),
    (_CREDENTIAL, lambda what, where: AuthenticationError(what, where=where, advice=_CREDENTIALS)),
    (_GARBLED, lambda what, where: ServerError(what, where=where)),
    (_OURS, lambda what, where: ValidationError(what, where=where, advice=_OPTIONS)),
    (_LIBRARY, lambda what, where: PluginError(what, where=where, advice=_REINSTALL)),
)

DECIDED = frozenset(name for table, _ in _TABLES for name in table)
"""Names of all classes that are decided."""


def library_error(error: Exception, *, where: str) -> HaulierError:
    """The error for an exception that is no answer: by its own name, else by that of its nearest base.

    Args:
        error: What a call raised.
        where: The object or bucket.
    """
    for kind in type(error).__mro__:
        for table, make in _TABLES:
            if kind.__name__ in table:
                return make(_with_detail(table[kind.__name__], error), where)
    if isinstance(error, OSError):
        return NetworkError(_with_detail("the connection failed", error), where=where)
    return PluginError(f"boto3 raised {type(error).__name__}", where=where)


def _with_detail(what: str, error: Exception) -> str:
    """The words with what the system says, which never quotes an address."""
    root: BaseException | None = error
    while (deeper := _wrapped(root)) is not None:
        root = deeper
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"{what} ({root.verify_message})"
    if isinstance(root, socket.gaierror):
        return f"{what} (the host name cannot be resolved)"
    if isinstance(root, OSError) and root.strerror:
        return f"{what} ({root.strerror})"
    return f"{what} ({type(error).__name__})"


def _wrapped(error: BaseException | None) -> BaseException | None:
    inner = getattr(error, "kwargs", {}).get("error") if error is not None else None
    if isinstance(inner, BaseException):
        return inner
    candidates = (getattr(error, "reason", None), *getattr(error, "args", ()), getattr(error, "__cause__", None))
    return next((each for each in candidates if isinstance(each, BaseException) and each is not error), None)
