"""The JSON API as this plugin uses it: authorised requests to the configured origin, and Haulier's errors."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from haulier.errors import ValidationError
from haulier_gcs.access import Access
from haulier_gcs.failures import refusal
from haulier_gcs.sessions import is_on
from haulier_gcs.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from haulier.backends.api import Context
    from haulier.errors import TransferError
    from haulier_gcs.bodies import Outgoing
    from haulier_gcs.options import GcsOptions
    from haulier_gcs.transport import HttpAnswer

__all__ = ["GcsClient"]


class GcsClient:
    """Calls the service. Thread-safe.

    Args:
        options: Where, and with which credentials.
        now: Wall time, seconds since the epoch.

    Attributes:
        options: As given.
        now: As given.
        access: The credentials.
    """

    def __init__(self, options: GcsOptions, now: Callable[[], float] = time.time) -> None:
        self.options = options
        self.now = now
        self._transport = Transport(options)
        self.access = Access(options, self._transport, now)

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def call(
        self,
        method: str,
        path: str,
        context: Context,
        *,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | Outgoing | None = None,
        document: Mapping[str, Any] | None = None,
        accept: Collection[int] = (),
        patience: float | None = None,
    ) -> HttpAnswer:
        """Call the API.

        Args:
            method: HTTP method.
            path: Below the service's address; see :meth:`object_path`.
            context: What to obey.
            key: Whole key of the object concerned, for messages.
            query: Parameters.
            headers: Fields to add.
            body: Content.
            document: Content as JSON instead.
            accept: Statuses, besides those of success, that are an answer and no error.
            patience: Seconds to wait for the answer, if not ``silence``.

        Raises:
            TransferError: What :func:`haulier_gcs.failures.refusal` makes of the answer, or none came.
        """
        fields = dict(headers or {})
        if document is not None:
            body = json.dumps(document, ensure_ascii=True).encode()
            fields["Content-Type"] = "application/json; charset=UTF-8"
        url = self._url(path, query)
        return self._send(method, url, context, key, fields, body, accept, ValidationError, patience)

    def call_session(
        self,
        method: str,
        address: str,
        context: Context,
        *,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Outgoing | None = None,
        accept: Collection[int] = (),
        gone: type[TransferError] = ValidationError,
        patience: float | None = None,
    ) -> HttpAnswer:
        """Call a resumable session at its address, which must be on the service's own origin.

        Args:
            method: HTTP method.
            address: Of the session: a secret.
            context: What to obey.
            key: Whole key of the object, for messages.
            headers: Fields to add.
            body: Content.
            accept: Statuses, besides those of success, that are an answer and no error.
            gone: What 404 and 410 mean.
            patience: Seconds to wait for the answer, if not ``silence``.

        Raises:
            TransferError: See :meth:`call`.
        """
        if not is_on(self.options.base_url, address):
            raise AssertionError("an upload session elsewhere")
        return self._send(method, address, context, key, dict(headers or {}), body, accept, gone, patience)

    @contextmanager
    def stream(self, path: str, context: Context, *, key: str, block: int) -> Iterator[Iterator[bytes]]:
        """Read an object's content in blocks of so many bytes."""
        url, where = self._url(path, {"alt": "media"}), self.location(key)
        fields = self.access.headers(context)
        with self._transport.stream(url, context, where=where, headers=fields, block=block) as (answer, blocks):
            if not answer.ok:
                raise self._refused(answer, key, ValidationError)
            yield blocks

    def bucket_path(self, *, upload: bool = False) -> str:
        """Path of the bucket's objects."""
        return f"{'/upload' if upload else ''}/storage/v1/b/{quote(self.options.bucket, safe='')}/o"

    def object_path(self, key: str) -> str:
        """Path of an object; ``key`` is its whole key."""
        return f"{self.bucket_path()}/{quote(key, safe='')}"

    def location(self, key: str) -> str:
        """Where an object lies, without query or credentials."""
        options = self.options
        if not options.endpoint_url:
            return f"gs://{options.bucket}/{key}"
        return f"{options.base_url}/{options.bucket}/{quote(key)}"

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        paying = {"userProject": self.options.project} if self.options.project else {}
        parameters = urlencode({**(query or {}), **paying})
        return f"{self.options.base_url}{path}" + (f"?{parameters}" if parameters else "")

    def _send(
        self,
        method: str,
        url: str,
        context: Context,
        key: str,
        headers: dict[str, str],
        body: bytes | Outgoing | None,
        accept: Collection[int],
        gone: type[TransferError],
        patience: float | None,
    ) -> HttpAnswer:
        where = self.location(key)
        fields = {**self.access.headers(context), **headers}
        answer = self._transport.request(
            method, url, context, where=where, headers=fields, body=body, patience=patience
        )
        if answer.ok or answer.status in accept:
            return answer
        raise self._refused(answer, key, gone)

    def _refused(self, answer: HttpAnswer, key: str, gone: type[TransferError]) -> TransferError:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self.access.forget()
        return refusal(answer, where=self.location(key), now=self.now(), gone=gone)
