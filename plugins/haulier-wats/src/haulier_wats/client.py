"""The REST client of the WATS storage protocol: one method per endpoint, one request per call, no retry anywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from haulier.errors import IntegrityError, OffsetError, ServerError, SessionLostError, ValidationError
from haulier_wats.answers import Recording, SessionAnswer, SessionStatus, recordings_in
from haulier_wats.expiry import local_moment
from haulier_wats.http import Http
from haulier_wats.multipart import MultipartFile, new_boundary
from haulier_wats.outgoing import Outgoing
from haulier_wats.presigned import put_fields
from haulier_wats.resumable import session_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haulier.backends.api import Body, Context
    from haulier_wats.options import WatsOptions

__all__ = ["WatsClient"]

PAGE = 100
"""Recordings asked for at once."""

_JSON = "application/json"
_BYTES = "application/octet-stream"
_NO_SUCH_CALL = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
_ABSENT = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class WatsClient:
    """Calls of one server. Thread-safe.

    Every method takes the context it obeys and raises the errors of :mod:`haulier.errors`; an answer that a method does
    not name is turned into one by :func:`haulier.backends.http_errors.error_for_status`.

    Args:
        options: Address, token and TLS files.
        boundary: Makes the boundary of a form.

    Attributes:
        http: The way to the server.
    """

    def __init__(self, options: WatsOptions, *, boundary: Callable[[], str] = new_boundary) -> None:
        self.http = Http(options)
        self._boundary = boundary

    def close(self) -> None:
        """Close all connections."""
        self.http.close()

    def health(self, context: Context) -> None:
        """``GET /health``: any 2xx is well."""
        url = self.url("health")
        answer = self.http.request("GET", url, context)
        if not answer.ok:
            raise self.http.error(answer, url)

    def create_session(self, body: Mapping[str, Any], idempotency_key: str, context: Context) -> SessionAnswer:
        """``POST /uploads/create-session``. The same key and body give the same session.

        Returns:
            The session; its ``expires_at`` is on this machine's clock.

        Raises:
            ServerError: The answer lacks what uploading needs, or a request with the same key still runs.
        """
        url = self.url("uploads", "create-session")
        headers = {"Content-Type": _JSON, "Idempotency-Key": f'"{idempotency_key}"'}
        answer = self.http.request("POST", url, context, headers=headers, body=_encode(body))
        if not answer.ok:
            raise self.http.error(answer, url, conflict=ServerError)
        session = SessionAnswer.from_json(answer.json())
        if session is None:
            raise ServerError("the answer lacks session_id or the upload addresses", where=self.http.where(url))
        return replace(session, expires_at=local_moment(session.expires_at, answer.headers, self.http.now()))

    def upload_file(self, url: str, body: Body, name: str, context: Context, *, method: str = "POST") -> str:
        """Send a whole file to an address of the session: ``POST`` as a form, ``PUT`` as it is.

        Returns:
            The ``file_id`` of the answer; empty when it has none.
        """
        content: Outgoing | bytes
        if method == "PUT":
            headers = {"Content-Type": _BYTES} | put_fields(url)
            content = Outgoing(body) if body.size else b""  # an empty body without a length would go out in chunks
        else:
            content = form = MultipartFile(body, name=name, boundary=self._boundary())
            headers = {"Content-Type": form.content_type}
        answer = self.http.request(method, url, context, headers=headers, body=content)
        if not answer.ok:
            raise session_error(self.http, answer, url, conflict=SessionLostError)
        recording = Recording.from_json(answer.json())
        return recording.file_id if recording else ""

    def finalize(
        self, session_id: str, files: Mapping[str, Any], idempotency_key: str, context: Context
    ) -> Recording | None:
        """``POST /uploads/{session_id}/finalize`` with sizes and digests; repeated, it answers the same.

        Args:
            session_id: The session.
            files: By name, ``{"size", "sha256"}``; may be empty.
            idempotency_key: See :meth:`create_session`.
            context: What to obey; the answer may take its ``commit_timeout``.

        Returns:
            The recording; None when an old server acknowledges and says no more.

        Raises:
            IntegrityError: The server holds other bytes (422).
            OffsetError: It misses some (409 with a member ``missing``).
            SessionLostError: The server does not know the session.
        """
        url = self.url("uploads", session_id, "finalize")
        headers = {"Content-Type": _JSON, "Idempotency-Key": f'"{idempotency_key}"'}
        body = _encode({"files": files}) if files else b""
        answer = self.http.request(
            "POST", url, context, headers=headers, body=body, read_timeout=context.commit_timeout
        )
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            reason = self.http.reason(answer) or "the server gave no reason"
            raise IntegrityError(f"the server holds other bytes (status 422): {reason}", where=self.http.where(url))
        if answer.status == HTTPStatus.CONFLICT and "missing" in answer.members():
            raise OffsetError("the server does not hold all bytes yet", where=self.http.where(url))
        if not answer.ok:
            raise session_error(self.http, answer, url)
        return Recording.from_json(answer.json())

    def session_status(self, session_id: str, context: Context) -> SessionStatus | None:
        """``GET /uploads/{session_id}/status``; None when the server knows no such session, or no such call.

        Its ``expires_at`` is on this machine's clock.
        """
        url = self.url("uploads", session_id, "status")
        answer = self.http.request("GET", url, context)
        if answer.status in _NO_SUCH_CALL or answer.status == HTTPStatus.GONE:
            return None
        if not answer.ok:
            raise self.http.error(answer, url)
        status = SessionStatus.from_json(answer.json())
        return replace(status, expires_at=local_moment(status.expires_at, answer.headers, self.http.now()))

    def drop_session(self, session_id: str, context: Context) -> None:
        """``DELETE /uploads/{session_id}``; a server that does not know it, or no such call, is fine."""
        url = self.url("uploads", session_id)
        answer = self.http.request("DELETE", url, context)
        if not answer.ok and answer.status not in _NO_SUCH_CALL and answer.status != HTTPStatus.GONE:
            raise self.http.error(answer, url)

    def recordings(self, context: Context, *, limit: int = PAGE, offset: int = 0, item_id: str = "") -> list[Recording]:
        """``GET /recordings``: one page. An old server ignores ``item_id``: look at the entries' own."""
        query = {"limit": str(limit), "offset": str(offset)} | ({"item_id": item_id} if item_id else {})
        url = f"{self.url('recordings')}?{urlencode(query)}"
        answer = self.http.request("GET", url, context)
        if not answer.ok:
            raise self.http.error(answer, url)
        if answer.json() is None:
            raise ServerError("the listing is no JSON", where=self.http.where(url))
        return recordings_in(answer.json())

    def all_recordings(self, context: Context) -> Iterator[Recording]:
        """Every recording, page by page; ends when a page brings nothing new."""
        seen: set[str] = set()
        while True:
            page = self.recordings(context, offset=len(seen))
            fresh = [recording for recording in page if recording.file_id not in seen]
            if not fresh:
                return
            seen.update(recording.file_id for recording in fresh)
            yield from fresh

    def recording(self, file_id: str, context: Context) -> Recording | None:
        """``GET /recordings/{file_id}``; None when the server has no such recording, or no such call."""
        url = self.url("recordings", file_id)
        answer = self.http.request("GET", url, context)
        if answer.status in _NO_SUCH_CALL or answer.status == HTTPStatus.GONE:
            return None
        if not answer.ok:
            raise self.http.error(answer, url)
        recording = Recording.from_json(answer.json())
        if recording is None or recording.file_id != file_id:
            raise ServerError("the answer describes another recording or none", where=self.http.where(url))
        return recording

    def content(self, file_id: str, context: Context) -> Iterator[bytes]:
        """``GET /recordings/{file_id}/content`` in blocks."""
        url = self.url("recordings", file_id, "content")
        with self.http.stream(url, context) as (answer, blocks):
            if not answer.ok:
                raise self.http.error(answer, url)
            for block in blocks:
                context.check_cancelled()
                yield block

    def delete_recording(self, file_id: str, context: Context) -> bool:
        """``DELETE /recordings/{file_id}``; False when the server had no such recording."""
        url = self.url("recordings", file_id)
        answer = self.http.request("DELETE", url, context)
        if answer.status in _ABSENT:
            return False
        if not answer.ok:
            raise self.http.error(answer, url)
        return True

    def url(self, *segments: str) -> str:
        """Address below the base address.

        Raises:
            ValidationError: A segment would lead elsewhere.
        """
        try:
            quoted = [quote(segment, safe="") for segment in segments]
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can carry
            quoted = [""]
        if not {"", ".", ".."}.isdisjoint(quoted):
            raise ValidationError("an identifier of the server cannot be part of an address", where=self.http.base_url)
        return "/".join((self.http.base_url, *quoted))


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
