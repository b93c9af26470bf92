"""Multipart uploads that nobody finished: they are invisible, and are paid for until they are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.errors import TransferError
from haulier_s3.failures import code_of, status_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from haulier.backends.api import Context
    from haulier_s3.place import Place

__all__ = ["Leftover", "leftovers"]

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Leftover:
    """One of them.

    Attributes:
        key: Whole key in the bucket.
        upload_id: The service's name for it.
        since: When it began, seconds since the epoch.
    """

    key: str
    upload_id: str
    since: float

    def drop(self, place: Place, context: Context) -> bool:
        """Drop it; False when it was gone already."""
        try:
            place.client.call("abort_multipart_upload", key=self.key, silence=context.silence, UploadId=self.upload_id)
        except TransferError as error:
            cause = error.__cause__
            if cause is not None and (code_of(cause) == "NoSuchUpload" or status_of(cause) == _NOT_FOUND):
                return False
            raise
        return True


def leftovers(place: Place, context: Context, *, before: float, except_ids: Collection[str]) -> Iterator[Leftover]:
    """Unfinished multipart uploads below the prefix, page by page.

    Args:
        place: Where objects lie.
        context: What to obey.
        before: Only those that began earlier, seconds since the epoch.
        except_ids: Upload ids that are still wanted.
    """
    markers: dict[str, Any] = {}
    while True:
        answer = place.client.call("list_multipart_uploads", silence=context.silence, Prefix=place.prefix, **markers)
        for entry in answer.get("Uploads", ()):
            found = Leftover(entry["Key"], entry["UploadId"], entry["Initiated"].timestamp())
            if found.since < before and found.upload_id not in except_ids:
                yield found
        if not answer.get("IsTruncated"):
            return
        markers = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}
        context.check_cancelled()
