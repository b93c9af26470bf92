"""Objects below the prefix of a container: looking, listing, reading, removing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Stored
from haulier.backends.keys import split_key
from haulier.errors import TransferError, ValidationError
from haulier_azure.failures import code_of, is_a_lack_of_rights
from haulier_azure.metadata import ITEM, SESSION, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.backends.api import Context
    from haulier_azure.client import AzureClient

__all__ = ["Place"]

_LONGEST_KEY = 1024  # characters; "Naming and referencing containers, blobs, and metadata"
_MOST_NAMES = 254  # of a path; the same
_ABSENT = frozenset({"BlobNotFound", "ResourceNotFound"})


class Place:
    """Where a backend's keys begin. Thread-safe.

    Args:
        client: Of the container.

    Attributes:
        client: The same.
    """

    def __init__(self, client: AzureClient) -> None:
        self.client = client
        prefix = client.options.prefix
        self.prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"

    def whole_key(self, key: str) -> str:
        """The key in the container.

        Raises:
            ValidationError: It is none that can lie below the prefix, or too long.
        """
        split_key(key, platform="linux")
        whole = self.prefix + key
        try:
            whole.encode()
        except UnicodeEncodeError:
            raise ValidationError(f"the key {key!r} is no Unicode text", where=self.location()) from None
        if len(whole) > _LONGEST_KEY or whole.count("/") >= _MOST_NAMES:
            raise ValidationError(
                f"the key has {len(whole)} characters and {whole.count('/') + 1} names; the most are {_LONGEST_KEY} "
                f"and {_MOST_NAMES}",
                where=self.location(),
                advice="Change the key template or the file's name",
            )
        return whole

    def location(self, key: str = "") -> str:
        """Where an object lies, or where they all do."""
        return self.client.location(self.prefix + key)

    def head(self, key: str, context: Context) -> Any:
        """What the service says of an object: the SDK's ``BlobProperties``; None for not found.

        Raises:
            TransferError: Anything else, also a container that is not there.
        """
        try:
            return self.client.blob("get_blob_properties", self.whole_key(key), silence=context.silence)
        except TransferError as error:
            if code_of(error) in _ABSENT:
                return None
            raise

    def stored(self, key: str, properties: Any) -> Stored:
        """An object as the service describes it.

        An MD5 of the whole counts where Haulier wrote the object: it never sends one along for the service to keep, so
        that the service has computed it. What others gave their objects is their own word.
        """
        md5 = properties.content_settings.content_md5
        by_us = bool(told(properties.metadata, ITEM) and told(properties.metadata, SESSION))
        return Stored(
            key=key,
            location=self.location(key),
            size=properties.size,
            version=properties.get("version_id") or "",
            digests={"md5": bytes(md5).hex()} if md5 and by_us else {},
            item_id=told(properties.metadata, ITEM),
        )

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object."""
        properties = self.head(key, context)
        return None if properties is None else self.stored(key, properties)

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects whose keys begin so, page by page."""
        blobs = self.client.container("list_blobs", silence=context.silence, name_starts_with=self.prefix + prefix)
        while True:
            entry = self.client.run(lambda: next(blobs, None))
            if entry is None:
                return
            context.check_cancelled()
            key = entry.name.removeprefix(self.prefix)
            yield Stored(key=key, location=self.location(key), size=entry.size)

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks of 4 MiB.

        Raises:
            ValidationError: There is no such object.
        """
        whole = self.whole_key(key)
        blocks = self.client.blob("download_blob", whole, silence=context.silence, max_concurrency=1)
        chunks = self.client.run(blocks.chunks, whole)
        while block := self.client.run(lambda: next(chunks, b""), whole):
            yield block
            context.check_cancelled()

    def sha256(self, key: str, context: Context) -> str:
        """Digest of an object, read back."""
        digest = hashlib.sha256()
        for block in self.read(key, context):
            digest.update(block)
        return digest.hexdigest()

    def delete(self, key: str, context: Context) -> bool:
        """Remove an object; False when it was not there."""
        try:
            self.client.blob("delete_blob", self.whole_key(key), silence=context.silence)
        except TransferError as error:
            if code_of(error) in _ABSENT:
                return False
            raise
        return True

    def ask(self, context: Context) -> None:
        """One cheap question that writes nothing. Credentials that may not list are known all the same.

        Raises:
            HaulierError: Why the service cannot be used.
        """
        try:
            self.first(context)
        except TransferError as error:
            if not is_a_lack_of_rights(error):
                raise

    def first(self, context: Context) -> None:
        """List one key."""
        pages = self.client.container(
            "list_blobs", silence=context.silence, name_starts_with=self.prefix or None, results_per_page=1
        ).by_page()
        self.client.run(lambda: next(pages, None))
