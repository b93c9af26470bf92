"""Credentials: found where google-auth finds them, renewed before they expire, and forgotten when they are refused."""

from __future__ import annotations

import json
import threading
import warnings
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from haulier.backends.http_errors import error_for_status, parse_retry_after
from haulier.errors import NetworkError, UnsupportedError
from haulier_gcs.contexts import Hurried
from haulier_gcs.library_errors import access_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Context
    from haulier_gcs.options import GcsOptions
    from haulier_gcs.transport import HttpAnswer, Transport

__all__ = ["Access"]

# What changes an object's metadata takes this one; what the credentials may do is for their role to say.
_SCOPES = ("https://www.googleapis.com/auth/devstorage.full_control",)
_LARGEST_FILE = 1024 * 1024
_TRY_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_SERVER_ERROR = 5
_SIGNER = "Name a service account's key file with `credentials_file`"


class Access:
    """What is sent to show who asks. Thread-safe: one thread renews a token, the others wait for it.

    Args:
        options: Which credentials.
        transport: The way to those who give out tokens.
        now: Wall time, seconds since the epoch.
    """

    def __init__(self, options: GcsOptions, transport: Transport, now: Callable[[], float]) -> None:
        self._options = options
        self._transport = transport
        self._now = now
        self._lock = threading.Lock()
        self._credentials: Any = None  # of google-auth, whose methods have no types

    def headers(self, context: Context) -> dict[str, str]:
        """Header fields for a request to the service; a token that is about to expire is renewed before.

        Raises:
            AuthenticationError: There are no credentials, or nobody gives a token for them.
            TransferError: Those who give out tokens cannot be reached, or fail.
        """
        if self._options.anonymous:
            return {}
        headers: dict[str, str] = {}
        with self._lock:
            try:
                credentials = self._found(context)
                if not credentials.valid:
                    credentials.refresh(_TokenRequest(self._transport, context, self._now))
                credentials.apply(headers)
            except Exception as error:
                made = access_error(error, where=self._where())
                if made is error:
                    raise
                raise made from None  # the library's own texts quote what it was answered
        return headers

    def forget(self) -> None:
        """Look for credentials anew at the next request: these were refused."""
        with self._lock:
            self._credentials = None

    def signer(self, context: Context) -> tuple[str, Callable[[bytes], bytes]]:
        """Name of the service account, and what signs with its key (RSA, SHA-256).

        Raises:
            UnsupportedError: The credentials hold no key.
        """
        if self._options.anonymous:
            raise UnsupportedError("nothing can be signed without credentials", advice=_SIGNER)
        with self._lock:
            try:
                credentials = self._found(context)
            except Exception as error:  # noqa: BLE001  each kind is decided on there
                raise access_error(error, where=self._where()) from None
        sign, email = getattr(credentials, "sign_bytes", None), getattr(credentials, "signer_email", None)
        if not callable(sign) or not isinstance(email, str):
            raise UnsupportedError("these credentials hold no key to sign with", advice=_SIGNER)
        return email, sign

    def _where(self) -> str:
        return str(self._options.credentials_file or "credentials")

    def _found(self, context: Context) -> Any:
        if self._credentials is None:
            if self._options.credentials_file is not None:
                self._credentials = self._from_file()
            else:
                import google.auth

                request: Any = _TokenRequest(self._transport, context, self._now, is_search=True)
                self._credentials, _ = google.auth.default(scopes=_SCOPES, request=request)
        return self._credentials

    def _from_file(self) -> Any:
        path = self._options.credentials_file
        if path is None:
            raise AssertionError("no credentials_file")
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE)
        info = json.loads(text)
        kind = info.get("type") if isinstance(info, dict) else None
        if kind == "service_account":
            from google.oauth2 import service_account

            of_key: Any = service_account.Credentials
            return of_key.from_service_account_info(info, scopes=_SCOPES)
        if kind == "authorized_user":
            from google.oauth2 import credentials

            of_user: Any = credentials.Credentials
            return of_user.from_authorized_user_info(info, scopes=_SCOPES)
        return _of_any_kind(info)


def _of_any_kind(info: Mapping[str, Any]) -> Any:
    """Workload identity, impersonation and the like. The file is the user's own choice, which is what is warned of."""
    import google.auth

    load: Any = google.auth.load_credentials_from_dict
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made, _ = load(info, scopes=_SCOPES)
    return made


class _TokenAnswer:
    """An answer as google-auth wants it."""

    def __init__(self, answer: HttpAnswer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.data = answer.body


class _TokenRequest:
    """How google-auth asks: once, through our connections, and without its own retries.

    Its retries sleep; what would be tried again is raised as an error of ours, and the engine waits instead.

    Args:
        transport: The way.
        context: What to obey.
        now: Wall time, seconds since the epoch.
        is_search: Whether it only looks whether there is somebody to ask; then nobody there is an answer.
    """

    def __init__(
        self, transport: Transport, context: Context, now: Callable[[], float], *, is_search: bool = False
    ) -> None:
        self._transport = transport
        self._context = context
        self._now = now
        self._is_search = is_search

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _TokenAnswer:
        """Ask; see :class:`google.auth.transport.Request`."""
        where = urlsplit(url).hostname or "credentials"
        content = body.encode() if isinstance(body, str) else body
        context = Hurried(self._context, timeout) if timeout and self._is_search else self._context
        try:
            answer = self._transport.request(method, url, context, where=where, headers=headers, body=content)
        except NetworkError as error:
            if not self._is_search:
                raise
            from google.auth import exceptions

            away: Any = exceptions.TransportError
            raise away(error.what) from error
        if answer.status in _TRY_LATER or answer.status // 100 == _SERVER_ERROR:
            retry_after = parse_retry_after(answer.headers.get("Retry-After"), self._now())
            raise error_for_status(answer.status, where=where, retry_after=retry_after)
        return _TokenAnswer(answer)
