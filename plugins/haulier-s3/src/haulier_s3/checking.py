"""What ``haulier doctor`` tries: each right by itself, and nothing is left behind.

Writing is tried with a multipart upload that is dropped again: it takes the right to put objects, and makes none, so
that buckets without the right to delete, and those that lock what they hold, can be tried as well.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Answer, Artifact, CheckReport, Upload
from haulier.errors import CancelledError, HaulierError, PermissionDeniedError
from haulier.models import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.backends.api import Context
    from haulier_s3.place import Place
    from haulier_s3.uploads import Uploads

__all__ = ["check"]

_RIGHTS = ("reach", "list", "write", "resume", "abort", "read", "delete")
_NEEDS = {
    "list": "s3:ListBucket",
    "write": "s3:PutObject",
    "lock": "s3:PutObjectRetention and s3:PutObjectLegalHold, and a bucket with object lock",
    "resume": "s3:ListMultipartUploadParts",
    "abort": "s3:AbortMultipartUpload",
    "read": "s3:GetObject",
    "delete": "s3:DeleteObject",
}
_KEPT_VERSIONS = "delete: not tried, since the bucket keeps versions and a delete marker would stay"


def check(place: Place, uploads: Uploads, context: Context) -> CheckReport:
    """Try each right.

    Args:
        place: Where objects lie.
        uploads: Writes them.
        context: What to obey.
    """
    return _Check(place, uploads, context).run()


class _Check:
    """One check. Used by one thread."""

    def __init__(self, place: Place, uploads: Uploads, context: Context) -> None:
        self._place = place
        self._uploads = uploads
        self._context = context
        self._upload = _upload(f"haulier-check-{secrets.token_hex(8)}")
        self._key = place.whole_key(self._upload.media.key)
        options = place.client.options
        self._locks = bool(options.object_lock_mode) or options.object_lock_legal_hold
        self._rights = dict.fromkeys(_RIGHTS, Answer.UNTESTED)
        self._remarks: list[str] = []

    def run(self) -> CheckReport:
        """Try them in an order in which each answer tells most."""
        if not self._reaches():
            return CheckReport(self._rights, tuple(self._remarks))
        self._try_writing()
        if self._rights["list"] is Answer.YES:
            # To those who may not list, an object that is not there looks like one that they may not read.
            self._try("read", lambda: self._place.head(self._upload.media.key, self._context))
        else:
            self._remarks.append("read: not tried, since it takes the right to list to tell what is not there")
        self._try_deleting()
        return CheckReport(self._rights, tuple(self._remarks))

    def _reaches(self) -> bool:
        try:
            self._call("list_objects_v2", Prefix=self._place.prefix, MaxKeys=1)
            self._rights["list"] = Answer.YES
        except PermissionDeniedError as error:
            self._refused("list", error)
        except CancelledError:
            raise
        except HaulierError as error:
            self._rights["reach"] = Answer.NO
            self._remarks.append(str(error))
            return False
        self._rights["reach"] = Answer.YES
        return True

    def _try_writing(self) -> None:
        writing = self._uploads.writing(self._upload, self._upload.media)
        plain = {name: value for name, value in writing.items() if not name.startswith("ObjectLock")}
        upload_id = self._try("write", lambda: self._begin(plain))
        if upload_id is None:
            return
        self._try("resume", lambda: self._of_upload("list_parts", upload_id))
        self._try("abort", lambda: self._of_upload("abort_multipart_upload", upload_id))
        if self._locks:
            locked = self._try("lock", lambda: self._begin(writing))
            if locked is None:
                self._rights["write"] = Answer.NO  # as it is configured
            else:
                self._try("abort", lambda: self._of_upload("abort_multipart_upload", locked))

    def _try_deleting(self) -> None:
        """Remove what was never there: leaves a marker where versions are kept, so there it is not done."""
        try:
            status = self._call("get_bucket_versioning").get("Status", "")
        except CancelledError:
            raise
        except HaulierError:
            self._remarks.append("delete: not tried, since whether the bucket keeps versions could not be learnt")
            return
        if status:
            self._remarks.append(_KEPT_VERSIONS)
            return
        self._try("delete", lambda: self._call("delete_object", key=self._key))

    def _begin(self, writing: dict[str, Any]) -> str:
        upload_id: str = self._call("create_multipart_upload", key=self._key, **writing)["UploadId"]
        return upload_id

    def _of_upload(self, operation: str, upload_id: str) -> dict[str, Any]:
        return self._call(operation, key=self._key, UploadId=upload_id)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._place.client.call(operation, silence=self._context.silence, **parameters)

    def _try(self, right: str, call: Callable[[], Any]) -> Any:
        """Note whether a call is allowed; its answer, None when it is not."""
        try:
            answer = call()
        except CancelledError:
            raise
        except HaulierError as error:
            self._refused(right, error)
            return None
        self._rights[right] = Answer.YES
        return answer

    def _refused(self, right: str, error: HaulierError) -> None:
        self._rights[right] = Answer.NO
        self._remarks.append(f"{right}: {error.what}; it takes {_NEEDS[right]}")


def _upload(name: str) -> Upload:
    artifact = Artifact(0, Role.MEDIA, name, name, 0, "application/octet-stream")
    return Upload(name, name, "check", (artifact,))
