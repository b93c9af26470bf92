"""Objects below the prefix of a bucket: looking, listing, reading, removing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Stored
from haulier.backends.keys import split_key
from haulier.errors import TransferError, ValidationError
from haulier_s3.checksums import digests_of
from haulier_s3.failures import code_of, status_of
from haulier_s3.metadata import item_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haulier.backends.api import Context
    from haulier_s3.client import S3Client

__all__ = ["Place"]

_BLOCK = 1 << 20
_LONGEST_KEY = 1024  # bytes of UTF-8; Amazon S3 User Guide, "Naming Amazon S3 objects"
_NOT_FOUND = 404


class Place:
    """Where a backend's keys begin. Thread-safe.

    Args:
        client: Of the bucket.

    Attributes:
        client: The same.
    """

    def __init__(self, client: S3Client) -> None:
        self.client = client
        prefix = client.options.prefix
        self.prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"

    def whole_key(self, key: str) -> str:
        """The key in the bucket.

        Raises:
            ValidationError: It is none that can lie below the prefix, or too long.
        """
        split_key(key, platform="linux")
        whole = self.prefix + key
        try:
            size = len(whole.encode())
        except UnicodeEncodeError:
            raise ValidationError(f"the key {key!r} is no Unicode text", where=self.location()) from None
        if size > _LONGEST_KEY:
            raise ValidationError(
                f"the key has {size} bytes, and {_LONGEST_KEY} are the most",
                where=self.location(),
                advice="Change the key template or the file's name",
            )
        return whole

    def location(self, key: str = "") -> str:
        """Where an object lies, or where they all do."""
        return self.client.location(self.prefix + key)

    def head(self, key: str, context: Context) -> dict[str, Any] | None:
        """What the service says of an object; None for not found.

        Raises:
            TransferError: Anything else. A refusal comes without a reason here: this call's answers have no body.
        """
        whole = self.whole_key(key)
        try:
            return self.client.call("head_object", key=whole, silence=context.silence, ChecksumMode="ENABLED")
        except TransferError as error:
            if error.__cause__ is not None and status_of(error.__cause__) == _NOT_FOUND:
                return None
            raise

    def stored(self, key: str, answer: Mapping[str, Any], **changes: Any) -> Stored:
        """An object as an answer to HeadObject describes it."""
        size = answer.get("ContentLength")
        told: dict[str, Any] = {
            "size": size if isinstance(size, int) else None,
            "version": str(answer.get("VersionId") or ""),
            "digests": digests_of(answer),
            "item_id": item_of(answer),
        }
        return Stored(key=key, location=self.location(key), **{**told, **changes})

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object. Not found in a bucket that is not there either is no absence."""
        answer = self.head(key, context)
        if answer is not None:
            return self.stored(key, answer)
        self.client.call("head_bucket", silence=context.silence)
        return None

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects whose keys begin so, page by page."""
        more: dict[str, Any] = {}
        while True:
            answer = self.client.call("list_objects_v2", silence=context.silence, Prefix=self.prefix + prefix, **more)
            for entry in answer.get("Contents", ()):
                key = entry["Key"].removeprefix(self.prefix)
                yield Stored(key=key, location=self.location(key), size=entry.get("Size"))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}
            context.check_cancelled()

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks of 1 MiB.

        Raises:
            ValidationError: There is no such object.
        """
        whole = self.whole_key(key)
        body = self.client.call("get_object", key=whole, silence=context.silence)["Body"]
        try:
            while block := self._block(body, whole):
                yield block
                context.check_cancelled()
        finally:
            body.close()

    def _block(self, body: Any, whole: str) -> bytes:
        try:
            block: bytes = body.read(_BLOCK)
        except Exception as error:
            raise self.client.translated(error, whole) from error
        return block

    def sha256(self, key: str, context: Context) -> str:
        """Digest of an object, read back."""
        digest = hashlib.sha256()
        for block in self.read(key, context):
            digest.update(block)
        return digest.hexdigest()

    def delete(self, key: str, context: Context, version: str = "") -> bool:
        """Remove an object, in a versioned bucket one version of it; False when it was not there."""
        if self.stat(key, context) is None:
            return False
        more: dict[str, Any] = {"VersionId": version} if version else {}
        self.client.call("delete_object", key=self.whole_key(key), silence=context.silence, **more)
        return True

    def ask(self, context: Context) -> None:
        """One cheap question that writes nothing. Credentials that may not list are known all the same.

        Raises:
            HaulierError: Why the service cannot be used.
        """
        try:
            self.client.call("list_objects_v2", silence=context.silence, Prefix=self.prefix, MaxKeys=1)
        except TransferError as error:
            if error.__cause__ is None or code_of(error.__cause__) != "AccessDenied":
                raise
