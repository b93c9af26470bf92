"""Writing: resumable sessions (begin, ask, append, close, cancel) and single requests.

Cloud Storage, "Resumable uploads" and "Perform resumable uploads". A session persists a prefix, which may be shorter
than what was sent; bytes that are persisted are never replaced. 308 says where it stands, 200 or 201 that the object is
there. Cancelling is answered with 499.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Held
from haulier.errors import (
    OffsetError,
    PermissionDeniedError,
    ServerError,
    SessionLostError,
    TransferError,
    ValidationError,
)
from haulier_gcs.bodies import Outgoing
from haulier_gcs.checksums import encode
from haulier_gcs.failures import refusal
from haulier_gcs.metadata import SHA256, object_metadata, texts_of
from haulier_gcs.sessions import is_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Artifact, Body, Context, Part, Stored, Upload
    from haulier_gcs.options import GcsOptions
    from haulier_gcs.place import Place
    from haulier_gcs.transport import HttpAnswer

__all__ = ["Progress", "Uploads"]

_INCOMPLETE = 308
_CANCELLED = 499
_RANGE = re.compile(r"bytes=0-([0-9]{1,18})")
_MISFITS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_DAMAGE = ("crc32c", "checksum", "hash", "md5")
_LONGEST_ADDRESS = 8192


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a session stands: bytes from the start, and the object's resource once it is there."""

    prefix: int
    resource: Mapping[str, Any] | None = None


class Uploads:
    """The service's calls that write. Thread-safe.

    Args:
        place: Where objects lie.
        clock: Wall time, seconds since the epoch, for the end of retention.

    Attributes:
        conditional: Whether ``ifGenerationMatch=0`` is sent.
    """

    def __init__(self, place: Place, clock: Callable[[], float] = time.time) -> None:
        self.conditional = place.client.options.if_absent != "check_then_write"
        self._place = place
        self._options: GcsOptions = place.client.options
        self._clock = clock
        self._may_update = True

    # -- resumable sessions ------------------------------------------------------------------------------------

    def create(self, upload: Upload, artifact: Artifact, context: Context) -> str:
        """Begin a session; its address, which is a secret.

        Raises:
            ConflictError: Something lies under the key.
            ValidationError: The address is not on the configured origin: it is not used.
        """
        client, whole = self._place.client, self._place.whole_key(artifact.key)
        fields = {"X-Upload-Content-Type": artifact.content_type, "X-Upload-Content-Length": str(artifact.size)}
        path = client.bucket_path(upload=True)
        query = {"uploadType": "resumable", **self._condition()}
        document = {"name": whole, **self.writing(upload, artifact)}
        answer = client.call("POST", path, context, key=whole, query=query, headers=fields, document=document)
        address = answer.headers.get("Location", "").strip()
        if not address or len(address) > _LONGEST_ADDRESS:
            raise ServerError("the service began an upload session and did not say where", where=self._where(artifact))
        if not is_on(self._options.base_url, address):
            raise ValidationError(
                "the service named an upload session on another origin, which gets nothing",
                where=self._where(artifact),
                advice="Set `endpoint_url` to the address that the service gives itself",
            )
        return address

    def offset(self, artifact: Artifact, address: str, context: Context) -> Progress:
        """Ask where a session stands.

        Raises:
            SessionLostError: The service does not know it any more.
        """
        # Without the file's size: with it a session that holds all bytes would become an object at once.
        return self._progress(self._put(artifact, address, context, "bytes */*"), artifact)

    def send(
        self,
        artifact: Artifact,
        address: str,
        part: Part,
        body: Body,
        context: Context,
        *,
        crc32c: str = "",
        patience: float | None = None,
    ) -> Progress:
        """Append a part, from where the session stands as long as it gets on; the part that ends the file closes it.

        Args:
            artifact: Which file.
            address: Of the session.
            part: Which part of it.
            body: Its bytes.
            context: What to obey.
            crc32c: Of the whole file, if this part ends it and it is known.
            patience: Seconds to wait for each answer, if not ``silence``.

        Raises:
            OffsetError: The session stands before this part.
            ServerError: It kept nothing of what it was sent.
            SessionLostError: It is not there any more, or holds other bytes.
        """
        start, end = part.offset, part.offset + part.size
        total = str(artifact.size) if end == artifact.size else "*"
        fields = self._hash_field(crc32c) if end == artifact.size else {}
        while True:
            outgoing = Outgoing(body, skip=start - part.offset) if part.size else None
            span = f"bytes {start}-{end - 1}/{total}" if part.size else f"bytes */{artifact.size}"
            progress = self._append(artifact, address, start, outgoing, context, span, fields, patience)
            if progress.resource is not None or progress.prefix >= end:
                return progress
            if progress.prefix < start:
                raise self._elsewhere(artifact, progress)
            if progress.prefix == start:
                raise ServerError("the service kept nothing of what it was sent", where=self._where(artifact))
            start = progress.prefix

    def close(self, artifact: Artifact, address: str, context: Context, *, crc32c: str, patience: float) -> Progress:
        """Make an object of a session that holds all bytes; asked again, it says what it made.

        Raises:
            SessionLostError: The service does not know it any more, or it holds other bytes.
        """
        span, fields = f"bytes */{artifact.size}", self._hash_field(crc32c)
        return self._append(artifact, address, artifact.size, None, context, span, fields, patience)

    def cancel(self, artifact: Artifact, address: str, context: Context) -> bool:
        """Drop a session; one that is unknown is fine. False where the service has no such call: it expires there."""
        missing = {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED}
        accept = {_CANCELLED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE, *missing}
        key = self._place.whole_key(artifact.key)
        answer = self._place.client.call_session("DELETE", address, context, key=key, accept=accept)
        return answer.status not in missing

    def _append(
        self,
        artifact: Artifact,
        address: str,
        start: int,
        body: Outgoing | None,
        context: Context,
        span: str,
        fields: Mapping[str, str],
        patience: float | None,
    ) -> Progress:
        answer = self._put(artifact, address, context, span, body, fields, patience)
        if answer.status not in _MISFITS:
            return self._progress(answer, artifact)
        if fields and _tells_damage(answer):
            # What is persisted cannot be replaced: the bytes go out once more, in a session of their own.
            self.cancel(artifact, address, context)
            raise SessionLostError("the bytes arrived damaged", where=self._where(artifact))
        stands = self.offset(artifact, address, context)
        if stands.prefix != start:
            raise self._elsewhere(artifact, stands)
        raise refusal(answer, where=self._where(artifact), now=self._place.client.now())

    def _put(
        self,
        artifact: Artifact,
        address: str,
        context: Context,
        span: str,
        body: Outgoing | None = None,
        fields: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> HttpAnswer:
        return self._place.client.call_session(
            "PUT",
            address,
            context,
            key=self._place.whole_key(artifact.key),
            headers={"Content-Range": span, "Content-Type": artifact.content_type, **(fields or {})},
            body=b"" if body is None else body,
            accept={_INCOMPLETE, *_MISFITS} if body is not None or fields is not None else {_INCOMPLETE},
            gone=SessionLostError,
            patience=patience,
        )

    def _progress(self, answer: HttpAnswer, artifact: Artifact) -> Progress:
        if answer.status != _INCOMPLETE:
            return Progress(artifact.size, answer.members())
        told = answer.headers.get("Range", "").strip()
        match = _RANGE.fullmatch(told)
        if told and match is None:
            raise ServerError("the service did not say how much of the upload it holds", where=self._where(artifact))
        prefix = int(match[1]) + 1 if match else 0
        # gcp-storage-emulator says so of an empty session, and no service persists single bytes.
        return Progress(0 if prefix == 1 else prefix)

    def _elsewhere(self, artifact: Artifact, stands: Progress) -> OffsetError:
        held = Held(prefixes={artifact.index: stands.prefix})
        return OffsetError("the upload stands at another offset", where=self._where(artifact), held=held)

    # -- one request -------------------------------------------------------------------------------------------

    def put(
        self, upload: Upload, artifact: Artifact, body: Body | bytes, digests: Mapping[str, str], context: Context
    ) -> dict[str, Any]:
        """Write an object in one request, only if there is none; its resource.

        Args:
            upload: What is uploaded.
            artifact: Which file of it.
            body: All its bytes.
            digests: Of them; the service compares ``crc32c``, and ``sha256`` is kept with the object.
            context: What to obey.

        Raises:
            ConflictError: Something lies under the key.
            ServerError: The bytes arrived damaged; nothing is held of them.
        """
        client, whole = self._place.client, self._place.whole_key(artifact.key)
        document = {"name": whole, **self.writing(upload, artifact), "crc32c": encode(digests["crc32c"])}
        document["metadata"] = {**document["metadata"], SHA256: digests["sha256"]}
        boundary, before, after = _enclosed(document, artifact.content_type)
        content = before + body + after if isinstance(body, bytes) else Outgoing(body, before=before, after=after)
        answer = client.call(
            "POST",
            client.bucket_path(upload=True),
            context,
            key=whole,
            query={"uploadType": "multipart", **self._condition()},
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            body=content,
            accept={HTTPStatus.BAD_REQUEST},
            patience=max(context.silence, context.commit_timeout),
        )
        if answer.ok:
            return answer.members()
        if _tells_damage(answer):
            raise ServerError("the bytes arrived damaged and were dropped", where=self._where(artifact))
        raise refusal(answer, where=self._where(artifact), now=client.now())

    def note_sha256(self, stored: Stored, resource: Mapping[str, Any], sha256: str, context: Context) -> None:
        """Keep our digest with an object whose metadata were fixed before it was known, as far as the rights go."""
        texts = texts_of(resource)
        if not self._may_update or not stored.version or texts.get(SHA256) == sha256:
            return
        path = self._place.client.object_path(self._place.whole_key(stored.key))
        query, document = {"ifGenerationMatch": stored.version}, {"metadata": {**texts, SHA256: sha256}}
        try:
            self._place.client.call("PATCH", path, context, key=stored.key, query=query, document=document)
        except PermissionDeniedError:
            self._may_update = False
        except TransferError:
            return  # the object is there and proven without it

    # -- what every object has ---------------------------------------------------------------------------------

    def writing(self, upload: Upload, artifact: Artifact) -> dict[str, Any]:
        """Members that every new object has."""
        options = self._options
        given = {
            "contentType": artifact.content_type,
            "metadata": object_metadata(upload, artifact, options.metadata),
            "storageClass": options.storage_class,
            "kmsKeyName": options.kms_key_name,
            "temporaryHold": options.temporary_hold,
            "eventBasedHold": options.event_based_hold,
            "retention": self._retention(),
        }
        return {name: value for name, value in given.items() if value}

    def _retention(self) -> dict[str, str]:
        options = self._options
        if not options.retention_mode:
            return {}
        counted = datetime.fromtimestamp(self._clock(), UTC) + timedelta(days=options.retention_days)
        until = (options.retain_until or counted).astimezone(UTC).replace(microsecond=0, tzinfo=None)
        return {"mode": options.retention_mode.capitalize(), "retainUntilTime": f"{until.isoformat()}Z"}

    def _condition(self) -> dict[str, str]:
        return {"ifGenerationMatch": "0"} if self.conditional else {}

    def _hash_field(self, crc32c: str) -> dict[str, str]:
        return {"X-Goog-Hash": f"crc32c={encode(crc32c)}"} if crc32c else {}

    def _where(self, artifact: Artifact) -> str:
        return self._place.location(artifact.key)


def _tells_damage(answer: HttpAnswer) -> bool:
    """Whether the service compared a digest and found other bytes."""
    error = answer.members().get("error")
    message = str(error.get("message", "")) if isinstance(error, dict) else ""
    return any(word in message.lower() for word in _DAMAGE)


def _enclosed(document: Mapping[str, Any], content_type: str) -> tuple[str, bytes, bytes]:
    """A boundary, and what stands before and behind the content of a ``multipart/related`` body (RFC 2387)."""
    boundary = f"haulier-{secrets.token_hex(16)}"
    resource = json.dumps(document, ensure_ascii=True).encode()
    before = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode()
        + resource
        + f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    )
    return boundary, before, f"\r\n--{boundary}--\r\n".encode()
