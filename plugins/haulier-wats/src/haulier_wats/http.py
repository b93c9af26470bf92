"""Requests to a WATS server: one session, one origin that gets the token, no redirects, no retries, bounded answers."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase

from haulier.backends.http_errors import clean_reason, error_for_status, parse_retry_after, public_url
from haulier.backends.http_wire import Exchange, WireAdapter, tls_context
from haulier.errors import NetworkError, ServerError
from haulier_wats.addresses import UploadAddresses, origin_of
from haulier_wats.failures import LIBRARY_ERRORS, root_cause, translate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from requests.adapters import BaseAdapter

    from haulier.backends.api import Context
    from haulier.errors import TransferError
    from haulier_wats.options import WatsOptions
    from haulier_wats.outgoing import Outgoing

__all__ = ["Http", "HttpAnswer"]

ANSWER_LIMIT = 1024 * 1024
"""Bytes of an answer that is kept in memory."""

_INFORMATIONAL = 1
_SUCCESS = 2
_READ_BLOCK = 64 * 1024
_ORIGINS = 64
_TAG = re.compile(r"<[^>]*>")
_REASON_MEMBERS = ("detail", "message", "error", "title")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer with its body, at most 1 MiB. Header names are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    @property
    def ok(self) -> bool:
        """Whether it reports success (2xx)."""
        return self.status // 100 == _SUCCESS

    def members(self) -> dict[str, Any]:
        """The members of a JSON object; empty when the body is anything else."""
        value = self.json()
        return value if isinstance(value, dict) else {}

    def json(self) -> Any:
        """The JSON value of the body, or None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def reason(self) -> str:
        """The server's own words about a failure, not yet cleaned."""
        members = self.members()
        for name in _REASON_MEMBERS:
            value = members.get(name)
            if isinstance(value, dict):
                value = value.get("message")
            if value:
                return value if isinstance(value, str) else json.dumps(value)
        return "" if members else _TAG.sub(" ", self.body.decode("utf-8", "replace"))


class Http:
    """The way to one server. Thread-safe; connections are pooled.

    Args:
        options: Address, token and TLS files.
        now: Wall time, seconds since the epoch; for dates in answers.
        lookup: Finds the IP addresses of a host name; for judging upload addresses.

    Attributes:
        base_url: Address of the API without a trailing slash.
        now: As given.
    """

    def __init__(
        self,
        options: WatsOptions,
        *,
        now: Callable[[], float] = time.time,
        lookup: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        self.base_url = options.base_url.rstrip("/")
        self.now = now
        self._options = options
        self._addresses = UploadAddresses(self.base_url, lookup)
        self._auth = _OriginToken(self._addresses.origin, options.api_token.reveal())
        self._session = _make_session(options)
        self._settings: dict[tuple[str, str, int | None], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all pooled connections."""
        self._session.close()

    def resolve(self, url: str) -> str:
        """Make an address of an answer absolute.

        Raises:
            ValidationError: It is no http address, or one that the server may not name.
        """
        return self._addresses.absolute(url)

    def is_own(self, url: str) -> bool:
        """Whether an absolute address is on the base address's origin, and so gets the token."""
        return self._addresses.is_own(url)

    def request(
        self,
        method: str,
        url: str,
        context: Context,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Outgoing | None = None,
        read_timeout: float | None = None,
    ) -> HttpAnswer:
        """Send one request and read its answer, whatever its status.

        Args:
            method: HTTP method.
            url: Absolute address.
            context: What to obey; its ``silence`` bounds each socket operation.
            headers: Fields to add.
            body: Content.
            read_timeout: Seconds to wait for the answer, if not ``silence``.

        Raises:
            NetworkError: No whole answer came.
            ServerError: A successful answer is longer than 1 MiB.
            ValidationError: The address is one that the server may not name.
            CancelledError: The context was cancelled; so are errors of reading the body passed on.
        """
        with self._exchange(method, url, context, headers=headers, body=body, read_timeout=read_timeout) as response:
            return HttpAnswer(response.status_code, response.headers, self._read(response, self.where(url)))

    @contextmanager
    def stream(self, url: str, context: Context) -> Iterator[tuple[HttpAnswer, Iterator[bytes]]]:
        """GET an address whose content is read in blocks; that of a failure lies in the answer."""
        with self._exchange("GET", url, context, headers={"Accept": "*/*"}) as response:
            answer = HttpAnswer(response.status_code, response.headers)
            if not answer.ok:
                answer = HttpAnswer(response.status_code, response.headers, self._read(response, self.where(url)))
            yield answer, response.iter_content(_READ_BLOCK) if answer.ok else iter(())

    def error(self, answer: HttpAnswer, url: str, **meanings: type[TransferError]) -> TransferError:
        """The error that an unsuccessful answer stands for; ``meanings`` as in :func:`error_for_status`."""
        return error_for_status(
            answer.status,
            where=self.where(url),
            reason=self.reason(answer),
            retry_after=parse_retry_after(answer.headers.get("Retry-After"), self.now()),
            **meanings,
        )

    def reason(self, answer: HttpAnswer) -> str:
        """The server's own words, cleaned, the token cut out."""
        return clean_reason(answer.reason, redact=[self._auth.token])

    def where(self, url: str) -> str:
        """An address for messages: of other origins, whose paths may grant rights, no more than the origin."""
        if self.is_own(url):
            return public_url(url)
        return public_url(urljoin(url, "/"))

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        context: Context,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Outgoing | None = None,
        read_timeout: float | None = None,
    ) -> Iterator[requests.Response]:
        self._addresses.check(url)
        exchange = Exchange(lambda peer: self._addresses.check_peer(url, peer))
        timeout = (context.silence, read_timeout or context.silence)
        with ExitStack() as stack:
            stack.callback(context.on_cancel(exchange.cut))
            context.check_cancelled()
            try:
                response = stack.enter_context(self._send(method, url, headers, body, timeout, exchange))
                _raise_failure(body)
                if response.status_code // 100 == _INFORMATIONAL:  # http.client takes any but 100 for the last answer
                    raise NetworkError("the server sent no final answer", where=self.where(url))
                yield response
            except LIBRARY_ERRORS as error:
                _raise_failure(body)
                self._forget_settings(url)
                context.check_cancelled()
                raise translate(error, where=self.where(url), reached=exchange.connected) from root_cause(error)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | Outgoing | None,
        timeout: tuple[float, float],
        exchange: Exchange,
    ) -> requests.Response:
        # Not Session.send: it reads the whole body of a redirect and prepares the next request, even when told not to.
        prepared = self._prepared(method, url, headers, body)
        settings = self._settings_for(url)
        adapter = self._adapter(url)
        with exchange:
            return adapter.send(prepared, timeout=timeout, **settings)

    def _prepared(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | Outgoing | None
    ) -> requests.PreparedRequest:
        """The request, made step by step: what is left out (cookies, hooks, parameters) is half of the work."""
        prepared = requests.PreparedRequest()
        prepared.prepare_method(method)
        prepared.prepare_url(url, None)
        prepared.prepare_headers({**self._session.headers, **(headers or {})})
        prepared.prepare_body(body, None)
        return self._auth(prepared)

    def _settings_for(self, url: str) -> dict[str, Any]:
        """Proxies and certificates for an origin: looked up in the environment once, and anew after a failure there."""
        origin = origin_of(url)
        with self._lock:
            known = self._settings.get(origin)
        if known is not None:
            return known
        found = self._session.merge_environment_settings(
            url, {}, stream=True, verify=self._options.ca_bundle or None, cert=self._certificate(url)
        )
        settings = cast("dict[str, Any]", found)
        with self._lock:
            if len(self._settings) >= _ORIGINS:
                self._settings.clear()
            self._settings[origin] = settings
        return settings

    def _forget_settings(self, url: str) -> None:
        with self._lock:
            self._settings.pop(origin_of(url), None)

    def _certificate(self, url: str) -> str | tuple[str, str] | None:
        """The client's certificate, which like the token is shown to the server's own origin only."""
        options = self._options
        if not options.client_cert or not self.is_own(url):
            return None
        return (options.client_cert, options.client_key) if options.client_key else options.client_cert

    def _adapter(self, url: str) -> BaseAdapter:
        """The adapter of an address. Reading the system's certificates takes a while: it waits until one needs them."""
        with self._lock:
            if urlsplit(url).scheme.lower() == "https" and "https://" not in self._session.adapters:
                self._session.mount("https://", WireAdapter(_trusted(self._options.ca_bundle)))
            return self._session.get_adapter(url)

    def _read(self, response: requests.Response, where: str) -> bytes:
        content = bytearray()
        for block in response.iter_content(_READ_BLOCK):
            content += block
            if len(content) > ANSWER_LIMIT:
                if response.status_code // 100 == _SUCCESS:
                    raise ServerError("the server's answer is longer than 1 MiB", where=where)
                break
        return bytes(content[:ANSWER_LIMIT])


class _OriginToken(AuthBase):
    """Adds the token to requests to one origin, and to no other.

    Given with every request, it also keeps requests from looking into a netrc file.
    """

    def __init__(self, origin: tuple[str, str, int | None], token: str) -> None:
        self.origin = origin
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token and origin_of(str(request.url)) == self.origin:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _trusted(ca_bundle: str) -> ssl.SSLContext:
    try:
        return tls_context(ca_bundle)
    except OSError as error:
        advice = "Correct ca_bundle: it names a PEM file of certificate authorities"
        raise NetworkError(
            "the certificate authorities cannot be read", where=ca_bundle, advice=advice, reached=False
        ) from error


def _make_session(options: WatsOptions) -> requests.Session:
    session = requests.Session()
    session.adapters.clear()
    session.mount("http://", WireAdapter())
    session.headers.update(
        {"User-Agent": options.user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
    )
    return session


def _raise_failure(body: bytes | Outgoing | None) -> None:
    """Raise what reading the source raised: it is not the network's."""
    failure = getattr(body, "failure", None)
    if failure is not None:
        raise failure
