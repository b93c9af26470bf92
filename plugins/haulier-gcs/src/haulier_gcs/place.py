"""Objects below the prefix of a bucket: looking, listing, reading, removing."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Stored
from haulier.backends.keys import split_key
from haulier.errors import PermissionDeniedError, TransferError, ValidationError
from haulier_gcs.checksums import digests_of
from haulier_gcs.failures import is_refusal_of_a_right, refusal
from haulier_gcs.metadata import item_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haulier.backends.api import Context
    from haulier_gcs.client import GcsClient

__all__ = ["Place"]

_BLOCK = 1 << 20
_LONGEST_KEY = 1024  # bytes of UTF-8; Cloud Storage, "About objects", "Object names"
_PAGE = 1000
_LONGEST_NUMBER = 19  # digits
_NOT_TOLD = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN})
_FIELDS = "name,size,generation,crc32c,md5Hash,metadata"


class Place:
    """Where a backend's keys begin. Thread-safe.

    Args:
        client: Of the bucket.

    Attributes:
        client: The same.
        prefix: What whole keys begin with.
    """

    def __init__(self, client: GcsClient) -> None:
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

    def resource(self, key: str, context: Context) -> dict[str, Any] | None:
        """What the service says of an object; None for not found.

        Raises:
            TransferError: Anything else.
        """
        found, may_look = self.look(key, context)
        if not may_look:
            raise PermissionDeniedError(
                "the credentials may not look at objects",
                where=self.location(key),
                advice="Allow storage.objects.get and storage.objects.list",
            )
        return found

    def look(self, key: str, context: Context) -> tuple[dict[str, Any] | None, bool]:
        """The same, and whether the credentials may look at all: a refusal of that right is no error here."""
        whole = self.whole_key(key)
        path, query = self.client.object_path(whole), {"fields": _FIELDS}
        answer = self.client.call("GET", path, context, key=whole, query=query, accept=_NOT_TOLD)
        if answer.status == HTTPStatus.FORBIDDEN and not is_refusal_of_a_right(answer):
            raise refusal(answer, where=self.location(key), now=self.client.now())
        return (answer.members() if answer.ok else None), answer.status != HTTPStatus.FORBIDDEN

    def stored(self, key: str, resource: Mapping[str, Any], **changes: Any) -> Stored:
        """An object as its resource describes it."""
        told: dict[str, Any] = {
            "size": number_of(resource.get("size")),
            "version": str(number_of(resource.get("generation")) or ""),
            "digests": digests_of(resource),
            "item_id": item_of(resource),
        }
        return Stored(key=key, location=self.location(key), **{**told, **changes})

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object. Not found in a bucket that is not there either is no absence."""
        resource = self.resource(key, context)
        if resource is not None:
            return self.stored(key, resource)
        self._page(context, prefix=self.whole_key(key), most=1)
        return None

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects whose keys begin so, page by page, in the order of their keys."""
        token = ""
        while True:
            members = self._page(context, prefix=self.prefix + prefix, token=token)
            items = members.get("items")
            named = [each for each in items if _is_named(each)] if isinstance(items, list) else []
            for item in sorted(named, key=_name_of):
                key = item["name"].removeprefix(self.prefix)
                yield Stored(key=key, location=self.location(key), size=number_of(item.get("size")))
            following = members.get("nextPageToken")
            if not isinstance(following, str) or not following or following == token:
                return
            token = following
            context.check_cancelled()

    def _page(self, context: Context, *, prefix: str, token: str = "", most: int = _PAGE) -> dict[str, Any]:
        query = {"prefix": prefix, "maxResults": str(most), "fields": "nextPageToken,items(name,size)"}
        if token:
            query["pageToken"] = token
        return self.client.call("GET", self.client.bucket_path(), context, key=self.prefix, query=query).members()

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks of 1 MiB.

        Raises:
            ValidationError: There is no such object.
        """
        whole = self.whole_key(key)
        with self.client.stream(self.client.object_path(whole), context, key=whole, block=_BLOCK) as blocks:
            for block in blocks:
                yield block
                context.check_cancelled()

    def sha256(self, key: str, context: Context) -> str:
        """Digest of an object, read back."""
        digest = hashlib.sha256()
        for block in self.read(key, context):
            digest.update(block)
        return digest.hexdigest()

    def delete(self, key: str, context: Context, generation: str = "") -> bool:
        """Remove an object, or one generation of it and no other; False when it was not there."""
        whole = self.whole_key(key)
        query = {"ifGenerationMatch": generation} if generation else {}
        path = self.client.object_path(whole)
        answer = self.client.call("DELETE", path, context, key=whole, query=query, accept={HTTPStatus.NOT_FOUND})
        if answer.ok:
            return True
        self._page(context, prefix=whole, most=1)
        return False

    def ask(self, context: Context) -> None:
        """One cheap question that writes nothing. Credentials that may not list are known all the same.

        Raises:
            HaulierError: Why the service cannot be used.
        """
        query = {"prefix": self.prefix, "maxResults": "1", "fields": "items(name)"}
        path = self.client.bucket_path()
        answer = self.client.call("GET", path, context, key=self.prefix, query=query, accept={HTTPStatus.FORBIDDEN})
        if not answer.ok and not is_refusal_of_a_right(answer):
            raise refusal(answer, where=self.location(), now=self.client.now())

    def remove_if_may(self, key: str, context: Context, generation: str) -> None:
        """Remove one generation of an object; whoever may not leaves it."""
        try:
            if generation:
                self.delete(key, context, generation)
        except TransferError:
            return


def number_of(value: Any) -> int | None:
    """A count, which the service writes as a text of digits; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    plain = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER
    return int(value) if plain else None


def _is_named(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str)


def _name_of(item: Mapping[str, Any]) -> str:
    name: str = item["name"]
    return name
