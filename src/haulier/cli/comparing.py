"""Comparing what lies at a destination with what a receipt says of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from haulier.errors import HaulierError, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Backend, Context, Stored
    from haulier.models import Receipt, ReceiptEntry

__all__ = ["Comparison", "Verdict", "compare_receipt"]


class Verdict(StrEnum):
    """What the destination's answer shows."""

    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Comparison:
    """One artifact compared.

    Attributes:
        receipt: Its receipt.
        entry: Its entry in it.
        verdict: What was shown.
        by: What was compared: ``content``, ``size`` or nothing.
        remark: Why, where that is not plain.
        error: Why the destination could not be asked, or None.
    """

    receipt: Receipt
    entry: ReceiptEntry
    verdict: Verdict
    by: str = ""
    remark: str = ""
    error: HaulierError | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "task": self.receipt.task,
            "backend": self.receipt.backend,
            "role": str(self.entry.role),
            "key": self.entry.key,
            "location": self.entry.location,
            "verdict": str(self.verdict),
            "by": self.by or None,
            "remark": self.remark,
            "error": {"code": self.error.code, "message": self.error.what} if self.error else None,
        }


def compare_receipt(
    receipt: Receipt, backend_of: Callable[[str], Backend], context: Context, *, read: bool = False
) -> list[Comparison]:
    """Ask the destination for each artifact of a receipt.

    Args:
        receipt: The receipt.
        backend_of: Gives a backend by name.
        context: What calls obey.
        read: Whether content is read back where the destination tells no digest.
    """
    return [_compare(receipt, entry, backend_of, context, read=read) for entry in receipt.artifacts]


def _compare(
    receipt: Receipt, entry: ReceiptEntry, backend_of: Callable[[str], Backend], context: Context, *, read: bool
) -> Comparison:
    try:
        backend = backend_of(receipt.backend)
        stored = backend.stat(entry.key, context)
        if stored is None:
            return Comparison(receipt, entry, Verdict.MISSING, remark="nothing lies under this key")
        if stored.size is not None and stored.size != entry.size:
            remark = f"{stored.size} bytes instead of {entry.size}"
            return Comparison(receipt, entry, Verdict.DIFFERS, "size", remark)
        digests = _known_digests(backend, entry, stored, context, read=read)
    except HaulierError as error:
        return Comparison(receipt, entry, Verdict.CANNOT_TELL, remark=error.what, error=error)
    except Exception as error:  # noqa: BLE001  a plugin may raise anything
        defect = PluginError(f"the backend raised {error!r}", where=receipt.backend)
        return Comparison(receipt, entry, Verdict.CANNOT_TELL, remark=defect.what, error=defect)
    return _judge(receipt, entry, stored, digests)


def _judge(receipt: Receipt, entry: ReceiptEntry, stored: Stored, digests: Mapping[str, str]) -> Comparison:
    expected = {**entry.digests, "sha256": entry.sha256}
    common = [name for name in digests if name in expected]
    wrong = next((name for name in common if digests[name].lower() != expected[name].lower()), "")
    if wrong:
        return Comparison(receipt, entry, Verdict.DIFFERS, "content", f"another {wrong}")
    if common:
        return Comparison(receipt, entry, Verdict.SAME, "content")
    if stored.size is not None:
        return Comparison(receipt, entry, Verdict.SAME, "size", "only the size: the destination tells no digest")
    return Comparison(receipt, entry, Verdict.CANNOT_TELL, remark="the destination tells neither size nor digest")


def _known_digests(
    backend: Backend, entry: ReceiptEntry, stored: Stored, context: Context, *, read: bool
) -> Mapping[str, str]:
    told = {name: digest for name, digest in stored.digests.items() if name in {*entry.digests, "sha256"}}
    if told or not read or "read" not in backend.abilities.optional:
        return told
    digest = hashlib.sha256()
    for block in backend.read(entry.key, context):
        digest.update(block)
    return {"sha256": digest.hexdigest()}
