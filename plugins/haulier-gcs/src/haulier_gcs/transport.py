"""Requests: one try each, no redirects, no retries, answers of bounded length, and Haulier's errors."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from haulier.errors import NetworkError, ServerError
from haulier_gcs.library_errors import library_error, root_cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import requests

    from haulier.backends.api import Context
    from haulier.backends.http_wire import Exchange
    from haulier_gcs.bodies import Outgoing
    from haulier_gcs.options import GcsOptions

__all__ = ["HttpAnswer", "Transport"]

ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes of an answer that are kept in memory: more than a page of a thousand objects."""

_READ_BLOCK = 64 * 1024
_CONNECTIONS = 64
_INFORMATIONAL = 1
_SUCCESS = 2


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer with its body. Header names are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    @property
    def ok(self) -> bool:
        """Whether it reports success (2xx)."""
        return self.status // 100 == _SUCCESS

    def members(self) -> dict[str, Any]:
        """The members of a JSON object; empty when the body is anything else."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


class Transport:
    """The way to the service and to those who give out tokens. Thread-safe; connections are pooled.

    Args:
        options: Proxy and certificate authorities.
    """

    def __init__(self, options: GcsOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._session: requests.Session | None = None

    def close(self) -> None:
        """Close all pooled connections."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def request(
        self,
        method: str,
        url: str,
        context: Context,
        *,
        where: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Outgoing | None = None,
        patience: float | None = None,
    ) -> HttpAnswer:
        """Send one request and read its answer, whatever its status.

        Args:
            method: HTTP method.
            url: Absolute address.
            context: What to obey; its ``silence`` bounds each socket operation.
            where: The object, bucket or host, for messages: never the address itself, which may grant rights.
            headers: Fields to send.
            body: Content.
            patience: Seconds to wait for the answer, if not ``silence``.

        Raises:
            NetworkError: No whole answer came.
            ServerError: The answer is longer than 8 MiB.
            CancelledError: The context was cancelled; so are errors of reading the body passed on.
        """
        with self._exchange(method, url, context, where, headers, body, patience) as response:
            return HttpAnswer(response.status_code, response.headers, _read(response, where))

    @contextmanager
    def stream(
        self, url: str, context: Context, *, where: str, headers: Mapping[str, str], block: int
    ) -> Iterator[tuple[HttpAnswer, Iterator[bytes]]]:
        """GET content that is read in blocks of so many bytes; that of a failure lies in the answer."""
        with self._exchange("GET", url, context, where, headers, None, None) as response:
            answer = HttpAnswer(response.status_code, response.headers)
            if not answer.ok:
                answer = HttpAnswer(response.status_code, response.headers, _read(response, where))
            yield answer, response.iter_content(block) if answer.ok else iter(())

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        context: Context,
        where: str,
        headers: Mapping[str, str] | None,
        body: bytes | Outgoing | None,
        patience: float | None,
    ) -> Iterator[requests.Response]:
        import requests
        import urllib3.exceptions

        from haulier.backends.http_wire import Exchange

        exchange = Exchange()
        timeout = (context.silence, patience or context.silence)
        failures = (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            UnicodeError,
        )
        with ExitStack() as stack:
            stack.callback(context.on_cancel(exchange.cut))
            context.check_cancelled()
            try:
                response = stack.enter_context(self._send(method, url, headers, body, timeout, exchange))
                _raise_failure(body)
                if response.status_code // 100 == _INFORMATIONAL:  # http.client takes any but 100 for the last answer
                    raise NetworkError("the server sent no final answer", where=where)
                yield response
            except failures as error:
                _raise_failure(body)
                context.check_cancelled()
                raise library_error(error, where=where, reached=exchange.connected) from root_cause(error)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | Outgoing | None,
        timeout: tuple[float, float],
        exchange: Exchange,
    ) -> requests.Response:
        # Not Session.send: to it a 308 is a redirect, and here it says where an upload stands.
        import requests

        session = self._opened()
        request = requests.Request(method, url, headers=headers, data=body, auth=_as_it_is)
        prepared = session.prepare_request(request)
        settings = session.merge_environment_settings(
            prepared.url, self._proxies(), stream=True, verify=self._options.ca_bundle or None, cert=None
        )
        with exchange:
            return session.get_adapter(url).send(prepared, timeout=timeout, **cast("dict[str, Any]", settings))

    def _opened(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                self._session = _make_session()
            return self._session

    def _proxies(self) -> dict[str, str]:
        if not self._options.proxy:
            return {}
        parts = urlsplit(self._options.proxy)
        user, _, password = self._options.proxy_credentials.reveal().partition(":")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        address = f"{parts.scheme}://{login}{parts.netloc}"
        return {"http": address, "https": address}


def _make_session() -> requests.Session:
    import requests

    from haulier.backends.http_wire import WireAdapter

    session = requests.Session()
    session.adapters.clear()
    for scheme in ("http://", "https://"):
        session.mount(scheme, WireAdapter(connections=_CONNECTIONS))
    session.headers.update({"User-Agent": "haulier-gcs", "Accept": "*/*", "Accept-Encoding": "identity"})
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stands for credentials, so that requests looks into no netrc file for others."""
    return request


def _read(response: requests.Response, where: str) -> bytes:
    content = bytearray()
    for block in response.iter_content(_READ_BLOCK):
        content += block
        if len(content) > ANSWER_LIMIT:
            raise ServerError(f"the server's answer is longer than {ANSWER_LIMIT} bytes", where=where)
    return bytes(content)


def _raise_failure(body: bytes | Outgoing | None) -> None:
    """Raise what reading the source raised: it is not the network's."""
    failure = getattr(body, "failure", None)
    if failure is not None:
        raise failure
