"""The part plan: how an artifact is cut, and what of it is still to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.backends.api import Abilities, CommitMode, Held, Limits, Part, PartsMode, ResumeMode
from haulier.errors import QuotaError, SessionLostError
from haulier.models import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from haulier.backends.api import Artifact, Token, Upload
    from haulier.journal.api import PartRow, SealedToken

__all__ = ["Plan", "Prepared", "choose_part_size", "first_plan", "make_plan"]


def choose_part_size(size: int, limits: Limits, preferred: int) -> int:
    """The part size for artifacts of up to ``size`` bytes: near ``preferred``, within ``limits``.

    Raises:
        QuotaError: The object is too large for the destination.
    """
    if limits.max_object is not None and size > limits.max_object:
        raise QuotaError(f"the file has {size} bytes, the destination takes at most {limits.max_object}")
    wanted = max(preferred, limits.min_part)
    if limits.max_parts is not None:
        wanted = max(wanted, -(-size // limits.max_parts))
    step = limits.multiple_of
    wanted = -(-wanted // step) * step
    if limits.max_part is not None and wanted > limits.max_part:
        wanted = limits.max_part // step * step
        if limits.max_parts is not None and wanted * limits.max_parts < size:
            raise QuotaError(f"the file has {size} bytes, the destination takes at most {wanted * limits.max_parts}")
    return wanted


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session that is journalled together with the claim, for it begins without a call.

    Attributes:
        upload: What is uploaded in it.
        token: As the backend gave it.
        sealed: As the journal keeps it.
        abilities: The session's.
        part_size: Bytes.
        plan: What it needs: everything.
    """

    upload: Upload
    token: Token
    sealed: SealedToken
    abilities: Abilities
    part_size: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session still needs.

    Attributes:
        missing: Parts to send, in order. With ``CommitMode.LAST_PART`` the last of them commits.
        reread: Indices of artifacts of which something is held: they are read again whole, in order.
        acknowledged: Bytes held.
    """

    missing: tuple[Part, ...]
    reread: frozenset[int]
    acknowledged: int

    @property
    def commits_at_once(self) -> bool:
        """Whether the first call that sends anything may commit."""
        return all(part.last for part in self.missing)


def first_plan(artifacts: Sequence[Artifact], abilities: Abilities, limits: Limits, preferred: int) -> tuple[int, Plan]:
    """The part size and the plan of a session that holds nothing.

    Raises:
        QuotaError: The object is too large for the destination.
    """
    part_size = choose_part_size(max(artifact.size for artifact in artifacts), limits, preferred)
    return part_size, make_plan(artifacts, abilities, part_size, Held())


def make_plan(
    artifacts: Sequence[Artifact],
    abilities: Abilities,
    part_size: int,
    held: Held,
    journalled: Sequence[PartRow] = (),
) -> Plan:
    """Compare what is held with what there is.

    Raises:
        SessionLostError: The destination holds what cannot come from this plan (other part sizes, more than the file).
    """
    ordered = _in_order(artifacts, abilities)
    missing: list[Part] = []
    acknowledged = 0
    reread: set[int] = set()
    for artifact in ordered:
        cut = list(_cut(artifact, abilities, part_size))
        absent, present = _absent(artifact, cut, abilities, held, journalled)
        acknowledged += present
        if present or not absent:
            reread.add(artifact.index)
        missing.extend(absent)
    if abilities.commit is CommitMode.LAST_PART:
        missing = _with_last(ordered, missing, abilities, part_size)
    return Plan(tuple(missing), frozenset(reread), acknowledged)


def _in_order(artifacts: Sequence[Artifact], abilities: Abilities) -> list[Artifact]:
    return sorted(artifacts, key=lambda artifact: (artifact.role is not Role.SIDECAR) == abilities.sidecar_first)


def _cut(artifact: Artifact, abilities: Abilities, part_size: int) -> Iterator[Part]:
    if abilities.parts is PartsMode.WHOLE or artifact.size <= part_size:
        yield Part(artifact.index, 1, 0, artifact.size)
        return
    for number, offset in enumerate(range(0, artifact.size, part_size), start=1):
        yield Part(artifact.index, number, offset, min(part_size, artifact.size - offset))


def _absent(
    artifact: Artifact, cut: Sequence[Part], abilities: Abilities, held: Held, journalled: Sequence[PartRow]
) -> tuple[list[Part], int]:
    if abilities.resume is ResumeMode.OFFSET:
        prefix = held.prefixes.get(artifact.index, 0)
        if abilities.rewinds:
            prefix = min(prefix, _acknowledged_prefix(artifact.index, journalled))
        return _after_prefix(artifact, cut, prefix, journalled)
    present = held.parts.get(artifact.index, {})
    sizes = {part.number: part.size for part in cut}
    for number, part in present.items():
        if sizes.get(number) != part.size:
            raise SessionLostError(
                f"the destination holds part {number} with {part.size} bytes, not {sizes.get(number)}"
            )
    return [part for part in cut if part.number not in present], sum(part.size for part in present.values())


def _acknowledged_prefix(artifact: int, journalled: Sequence[PartRow]) -> int:
    end = 0
    for row in sorted((row for row in journalled if row.artifact == artifact), key=lambda row: row.offset):
        if row.offset > end:
            break
        end = max(end, row.offset + row.size)
    return end


def _after_prefix(
    artifact: Artifact, cut: Sequence[Part], prefix: int, journalled: Sequence[PartRow]
) -> tuple[list[Part], int]:
    if prefix > artifact.size:
        raise SessionLostError(f"the destination holds {prefix} bytes of a file of {artifact.size}")
    if not prefix and artifact.size == 0:
        done = any(row.artifact == artifact.index for row in journalled)
        return ([] if done else list(cut)), 0
    absent = []
    for part in cut:
        end = part.offset + part.size
        if end > prefix:
            start = max(part.offset, prefix)
            absent.append(Part(artifact.index, part.number, start, end - start))
    return absent, prefix


def _with_last(ordered: Sequence[Artifact], missing: list[Part], abilities: Abilities, part_size: int) -> list[Part]:
    """Mark the part that commits; when all is held already, an empty part closes (a whole object is sent again)."""
    final = ordered[-1]
    if missing and missing[-1].artifact == final.index:
        last = missing.pop()
    else:
        closing = list(_cut(final, abilities, part_size))[-1]
        empty = Part(final.index, closing.number, final.size, 0)
        last = closing if abilities.parts is PartsMode.WHOLE else empty
    return [*missing, Part(last.artifact, last.number, last.offset, last.size, last=True)]
