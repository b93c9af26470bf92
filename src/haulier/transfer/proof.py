"""What can be shown about stored artifacts: the comparison that a receipt stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.errors import IntegrityError
from haulier.models import Proof, ReceiptEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haulier.backends.api import Artifact, Stored

__all__ = ["prove"]


def prove(
    artifacts: Sequence[Artifact], stored: Sequence[Stored], digests: Mapping[int, Mapping[str, str]], item_id: str
) -> tuple[ReceiptEntry, ...]:
    """Compare what the destination says with what was read, artifact by artifact.

    Raises:
        IntegrityError: It holds something else.
    """
    if len(stored) != len(artifacts):
        raise IntegrityError(f"the destination answered for {len(stored)} of {len(artifacts)} files")
    return tuple(
        _entry(artifact, there, digests[artifact.index], item_id)
        for artifact, there in zip(artifacts, stored, strict=True)
    )


def _entry(artifact: Artifact, stored: Stored, ours: Mapping[str, str], item_id: str) -> ReceiptEntry:
    where = stored.location or stored.key
    if stored.item_id and stored.item_id != item_id:
        raise IntegrityError("the object belongs to another item", where=where)
    if stored.size is not None and stored.size != artifact.size:
        raise IntegrityError(f"the destination holds {stored.size} bytes, {artifact.size} were read", where=where)
    common = [name for name in stored.digests if name in ours]
    for name in common:
        if stored.digests[name].lower() != ours[name].lower():
            raise IntegrityError(f"the destination holds other content ({name} differs)", where=where)
    return ReceiptEntry(
        role=artifact.role,
        name=artifact.name,
        key=stored.key,
        location=stored.location,
        size=artifact.size,
        sha256=ours["sha256"],
        proof=_strength(stored, has_digest=bool(common)),
        version=stored.version,
        digests=dict(stored.digests),
    )


def _strength(stored: Stored, *, has_digest: bool) -> Proof:
    if has_digest or stored.compared:
        return Proof.CONTENT
    return Proof.ACKNOWLEDGED if stored.size is None else Proof.SIZE
