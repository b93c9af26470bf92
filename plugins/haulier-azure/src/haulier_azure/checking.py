"""What ``haulier doctor`` tries: each right by itself, and no object comes into being.

Writing is tried with a block that is never committed: it takes the right to write and makes nothing visible, so that
containers without the right to delete, and those that keep what they hold, can be tried as well. It is always the same
block under the same name, and expires after a week.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haulier.backends.api import Answer, CheckReport
from haulier.errors import CancelledError, HaulierError, PermissionDeniedError
from haulier_azure.failures import code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.backends.api import Context
    from haulier_azure.place import Place

__all__ = ["check"]

_RIGHTS = ("reach", "list", "write", "resume", "read", "delete")
_KEY = "haulier-check"
_BLOCK = "haulier-check-".ljust(63, "0")
_NEEDS = {
    "list": "`list` in a SAS, or the data action blobs/read",
    "write": "`write` and `create` in a SAS, or the data actions blobs/write and blobs/add/action",
    "resume": "`read` in a SAS, or the data action blobs/read",
    "read": "`read` in a SAS, or the data action blobs/read",
    "delete": "`delete` in a SAS, or the data action blobs/delete",
}
_ABSENT = frozenset({"BlobNotFound", "ResourceNotFound"})
_RETENTION = "immutability: not tried, since what is kept cannot be removed again"


def check(place: Place, context: Context) -> CheckReport:
    """Try each right.

    Args:
        place: Where objects lie.
        context: What to obey.
    """
    return _Check(place, context).run()


class _Check:
    """One check. Used by one thread."""

    def __init__(self, place: Place, context: Context) -> None:
        self._place = place
        self._context = context
        self._key = place.whole_key(_KEY)
        self._rights = dict.fromkeys(_RIGHTS, Answer.UNTESTED)
        self._remarks: list[str] = []

    def run(self) -> CheckReport:
        """Try them in an order in which each answer tells most."""
        if self._reaches():
            self._try("write", self._write)
            self._try("resume", lambda: self._blob("get_block_list", block_list_type="uncommitted"))
            self._try("read", lambda: self._blob("get_blob_properties"))
            self._try("delete", lambda: self._blob("delete_blob"))
            self._remark_on_retention()
        return CheckReport(self._rights, tuple(self._remarks))

    def _reaches(self) -> bool:
        try:
            self._place.first(self._context)
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

    def _write(self) -> None:
        self._blob("stage_block", block_id=_BLOCK, data=b"x", length=1)

    def _remark_on_retention(self) -> None:
        options = self._place.client.options
        if options.immutability_mode or options.legal_hold:
            self._remarks.append(_RETENTION)

    def _blob(self, operation: str, **parameters: Any) -> Any:
        return self._place.client.blob(operation, self._key, silence=self._context.silence, **parameters)

    def _try(self, right: str, call: Callable[[], Any]) -> None:
        """Note whether a call is allowed; that there is no such object is an answer to those who may ask."""
        try:
            call()
        except CancelledError:
            raise
        except HaulierError as error:
            if code_of(error) not in _ABSENT:
                self._refused(right, error)
                return
        self._rights[right] = Answer.YES

    def _refused(self, right: str, error: HaulierError) -> None:
        self._rights[right] = Answer.NO
        self._remarks.append(f"{right}: {error.what}; it takes {_NEEDS[right]}")
