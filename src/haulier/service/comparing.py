"""Comparing what lies at a destination with what a receipt says of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from haulier.errors import HaulierError, PluginError
from haulier.models import Comparison, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Backend, Context, Stored
    from haulier.models import Receipt, ReceiptEntry

__all__ = ["compare_receipt"]


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
