"""Writing: multipart uploads and single requests, each with a checksum that the service compares."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from haulier.backends.api import HeldPart
from haulier.errors import (
    HaulierError,
    IntegrityError,
    PermissionDeniedError,
    SessionLostError,
    TransferError,
    ValidationError,
)
from haulier_s3.bodies import OutgoingBody
from haulier_s3.checksums import MD5, Checksum, candidates
from haulier_s3.failures import code_of, status_of
from haulier_s3.metadata import object_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Artifact, Body, Context, Part, Upload
    from haulier_s3.options import S3Options
    from haulier_s3.place import Place

__all__ = ["Uploads"]

_UNKNOWN_HERE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_IMPLEMENTED})
_UNKNOWN_CODES = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented", "UnsupportedArgument"})


class Uploads:
    """The service's calls that write. Thread-safe.

    Args:
        place: Where objects lie.
        clock: Wall time, seconds since the epoch, for the end of retention.

    Attributes:
        conditional: Whether ``If-None-Match`` is sent; False once the service refused it.
    """

    def __init__(self, place: Place, clock: Callable[[], float] = time.time) -> None:
        self.conditional = place.client.options.if_absent != "check_then_write"
        self._place = place
        self._options: S3Options = place.client.options
        self._clock = clock
        self._chain = candidates(self._options.checksum, at_amazon=not self._options.endpoint_url)

    # -- multipart ---------------------------------------------------------------------------------------------

    def create(self, upload: Upload, artifact: Artifact, context: Context) -> tuple[str, Checksum]:
        """Begin a multipart upload; its id, and the checksum that the service took."""
        key = self._place.whole_key(artifact.key)
        writing = self.writing(upload, artifact)

        def call(checksum: Checksum) -> dict[str, Any]:
            more = {**writing, **checksum.creation()}
            return self._place.client.call("create_multipart_upload", key=key, silence=context.silence, **more)

        checksum, answer = self._with_known_checksum(call)
        if checksum.algorithm and not answer.get("ChecksumAlgorithm") and MD5 in self._chain:
            checksum = MD5  # a service that says nothing of checksums knows none
        self._learn(checksum)
        return answer["UploadId"], checksum

    def parts(self, artifact: Artifact, upload_id: str, checksum: Checksum, context: Context) -> dict[int, HeldPart]:
        """All parts that the service holds, page by page.

        Raises:
            SessionLostError: It does not know the upload, or the credentials may not ask.
        """
        found: dict[int, HeldPart] = {}
        marker: dict[str, Any] = {}
        while True:
            answer = self._listed(artifact, upload_id, context, **marker)
            for entry in answer.get("Parts", ()):
                told = checksum.told(entry)
                digests = {checksum.name: told} if told else {}
                found[entry["PartNumber"]] = HeldPart(entry["Size"], entry["ETag"], digests)
            if not answer.get("IsTruncated"):
                return found
            marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}
            context.check_cancelled()

    def _listed(self, artifact: Artifact, upload_id: str, context: Context, **marker: Any) -> dict[str, Any]:
        """One page. Who may write but not list starts over: that costs bytes, and failing would cost the upload."""
        try:
            return self._of_session("list_parts", artifact, upload_id, context.silence, **marker)
        except PermissionDeniedError as error:
            if _code(error) != "AccessDenied":
                raise
            with suppress(TransferError):
                self.abort(artifact, upload_id, context)
            raise SessionLostError("the credentials may not list parts", where=error.where) from error

    def send(
        self, artifact: Artifact, upload_id: str, checksum: Checksum, part: Part, body: Body, context: Context
    ) -> HeldPart:
        """Send one part.

        Raises:
            SessionLostError: The service does not know the upload.
            IntegrityError: It acknowledges other bytes.
        """
        digest = body.digest(checksum.name)
        more = {"PartNumber": part.number, "Body": OutgoingBody(body), **checksum.header(digest)}
        answer = self._of_session("upload_part", artifact, upload_id, context.silence, **more)
        self._compare(checksum, digest, answer, artifact)
        return HeldPart(part.size, answer["ETag"], {checksum.name: digest})

    def complete(
        self,
        artifact: Artifact,
        upload_id: str,
        checksum: Checksum,
        parts: Mapping[int, HeldPart],
        whole: str,
        context: Context,
    ) -> dict[str, Any]:
        """Make an object of the parts, only if there is none.

        Args:
            artifact: What.
            upload_id: Of which upload.
            checksum: Its checksum.
            parts: All of them.
            whole: This checksum of the full object, for those that are such.
            context: What to obey.

        Raises:
            SessionLostError: The service does not know the upload, or wants it done anew.
            OffsetError: A part is missing.
            ConflictError: Something lies under the key.
        """
        listed = [
            {"PartNumber": number, "ETag": part.etag, **checksum.of_part(part.digests.get(checksum.name, ""))}
            for number, part in sorted(parts.items())
        ]
        more = {"MultipartUpload": {"Parts": listed}, **checksum.completion(whole)}

        def call(**condition: str) -> dict[str, Any]:
            wait = {"patience": max(context.silence, context.commit_timeout)}
            operation = "complete_multipart_upload"
            return self._of_session(operation, artifact, upload_id, context.silence, **wait, **more, **condition)

        try:
            return self._if_absent(call)
        except TransferError as error:
            if _code(error) != "ConditionalRequestConflict":
                raise
            # Amazon S3 API, CompleteMultipartUpload: after this answer the upload is to be done anew.
            self.abort(artifact, upload_id, context)
            raise SessionLostError(
                "another write to the same key came in between", where=self._place.location(artifact.key)
            ) from error

    def abort(self, artifact: Artifact, upload_id: str, context: Context) -> None:
        """Drop a multipart upload; one that is unknown is fine."""
        try:
            self._of_session("abort_multipart_upload", artifact, upload_id, context.silence)
        except SessionLostError:
            return

    def _of_session(
        self, operation: str, artifact: Artifact, upload_id: str, silence: float, **parameters: Any
    ) -> dict[str, Any]:
        key = self._place.whole_key(artifact.key)
        try:
            return self._place.client.call(operation, key=key, silence=silence, UploadId=upload_id, **parameters)
        except ValidationError as error:
            if _status(error) != HTTPStatus.NOT_FOUND or _code(error) == "NoSuchBucket":
                raise
            raise SessionLostError(error.what, where=error.where) from error

    # -- one request -------------------------------------------------------------------------------------------

    def put(self, upload: Upload, artifact: Artifact, body: Body, context: Context) -> dict[str, Any]:
        """Write an object in one request, only if there is none.

        Raises:
            ConflictError: Something lies under the key.
            IntegrityError: The service acknowledges other bytes.
        """
        key = self._place.whole_key(artifact.key)
        writing = self.writing(upload, artifact)
        fallback = MD5.header(body.whole("md5")) if MD5 in self._chain else {}

        def call(checksum: Checksum) -> dict[str, Any]:
            more = {**writing, **fallback, **checksum.header(body.whole(checksum.name))}
            return self._if_absent(
                lambda **condition: self._place.client.call(
                    "put_object", key=key, silence=context.silence, Body=_rewound(body), **more, **condition
                )
            )

        checksum, answer = self._with_known_checksum(call)
        shown = MD5 if fallback and not checksum.told(answer) else checksum
        self._compare(shown, body.whole(shown.name), answer, artifact)
        return answer

    # -- what the service knows --------------------------------------------------------------------------------

    @property
    def whole_digests(self) -> frozenset[str]:
        """Names of digests of whole objects that it may tell."""
        return frozenset(each.name for each in self._chain if each.whole or each is MD5)

    @property
    def part_digests(self) -> frozenset[str]:
        """Names of digests that go with parts."""
        return frozenset(each.name for each in self._chain)

    @property
    def usual(self) -> Checksum:
        """The checksum for a session that begins with no request."""
        return self._chain[0]

    def _learn(self, checksum: Checksum) -> None:
        """Ask for nothing else from now on."""
        self._chain = (checksum,)

    def _with_known_checksum(self, call: Callable[[Checksum], dict[str, Any]]) -> tuple[Checksum, dict[str, Any]]:
        """The first checksum that the service does not refuse, with its answer."""
        *others, last = self._chain
        for checksum in others:
            try:
                return checksum, call(checksum)
            except TransferError as error:
                if not _is_unknown(error):
                    raise
        return last, call(last)

    def _if_absent(self, call: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        """Call with the condition that nothing lies there; without it where the service does not know conditions."""
        if not self.conditional:
            return call()
        try:
            return call(IfNoneMatch="*")
        except TransferError as error:
            if _status(error) != HTTPStatus.NOT_IMPLEMENTED or self._options.if_absent == "atomic":
                raise
            self.conditional = False
            return call()

    def _compare(self, checksum: Checksum, digest: str, answer: Mapping[str, Any], artifact: Artifact) -> None:
        if checksum.told(answer) not in {"", digest}:
            raise IntegrityError(
                f"the service acknowledges other bytes ({checksum.name} differs)",
                where=self._place.location(artifact.key),
                advice="Where a service's ETags are no MD5, choose another checksum" if checksum is MD5 else None,
            )

    def writing(self, upload: Upload, artifact: Artifact) -> dict[str, Any]:
        """Parameters that every new object has."""
        options = self._options
        lock = options.object_lock_mode
        given = {
            "ContentType": artifact.content_type,
            "Metadata": object_metadata(upload, artifact),
            "StorageClass": options.storage_class,
            "ServerSideEncryption": options.sse,
            "SSEKMSKeyId": options.kms_key_id,
            "ObjectLockMode": lock.upper(),
            "ObjectLockRetainUntilDate": self._retain_until() if lock else None,
            "ObjectLockLegalHoldStatus": "ON" if options.object_lock_legal_hold else "",
        }
        return {name: value for name, value in given.items() if value}

    def _retain_until(self) -> datetime:
        fixed = self._options.retain_until
        return fixed or datetime.fromtimestamp(self._clock(), UTC) + timedelta(days=self._options.object_lock_days)


def _rewound(body: Body) -> OutgoingBody:
    body.rewind()
    return OutgoingBody(body)


def _is_unknown(error: HaulierError) -> bool:
    """Whether a refusal may be one of the checksum's kind."""
    return _status(error) in _UNKNOWN_HERE and _code(error) in _UNKNOWN_CODES


def _status(error: HaulierError) -> int:
    return status_of(error.__cause__) if error.__cause__ else 0


def _code(error: HaulierError) -> str:
    return code_of(error.__cause__) if error.__cause__ else ""
