"""What ``haulier doctor`` tries: each right by itself, and nothing is left behind.

Writing is tried with a resumable session that is cancelled again: it takes the right to create objects, and makes none,
so that buckets without the right to delete, and those that retain what they hold, can be tried as well.
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
    from haulier_gcs.place import Place
    from haulier_gcs.uploads import Uploads

__all__ = ["check"]

_RIGHTS = ("reach", "list", "write", "resume", "abort", "read", "delete")
_NEEDS = {
    "list": "storage.objects.list",
    "write": "storage.objects.create (and storage.objects.setRetention for the options retention_...)",
    "resume": "the session's own address",
    "abort": "the session's own address",
    "read": "storage.objects.get",
    "delete": "storage.objects.delete",
}
_NEEDS_LIST = "not tried, since it takes the right to list to tell what is not there"


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
        self._rights = dict.fromkeys(_RIGHTS, Answer.UNTESTED)
        self._remarks: list[str] = []

    def run(self) -> CheckReport:
        """Try them in an order in which each answer tells most."""
        if self._reaches():
            self._try_writing()
            self._try_on_what_is_not_there()
        return CheckReport(self._rights, tuple(self._remarks))

    def _reaches(self) -> bool:
        try:
            next(iter(self._place.list("", self._context)), None)
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
        media = self._upload.media
        address = self._try("write", lambda: self._uploads.create(self._upload, media, self._context))
        if address is None:
            return
        self._try("resume", lambda: self._uploads.offset(media, address, self._context))
        if self._try("abort", lambda: self._uploads.cancel(media, address, self._context)) is False:
            self._rights["abort"] = Answer.UNTESTED
            self._remarks.append("abort: the service cannot cancel upload sessions; they expire by themselves")

    def _try_on_what_is_not_there(self) -> None:
        """To those who may not list, an object that is not there looks like one that they may not touch."""
        if self._rights["list"] is not Answer.YES:
            self._remarks.extend([f"read: {_NEEDS_LIST}", f"delete: {_NEEDS_LIST}"])
            return
        key = self._upload.media.key
        self._try("read", lambda: self._place.resource(key, self._context))
        self._try("delete", lambda: self._place.delete(key, self._context))

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
