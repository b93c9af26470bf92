"""Options of the memory backend, and what they make of its abilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haulier.backends.api import Abilities, CommitMode, IfAbsent, Limits, PartsMode, ResumeMode
from haulier.backends.memory_store import MemoryStore  # noqa: TC001 - options are resolved when a table is validated
from haulier.errors import ConfigError, ValidationError
from haulier.models import Proof

if TYPE_CHECKING:
    from haulier.backends.api import Part

__all__ = ["MemoryOptions", "abilities_of", "check_limits", "limits_of"]


@dataclass(frozen=True)
class MemoryOptions:
    """Options of the memory backend; the sizes are those of :class:`~haulier.backends.api.Limits`, in bytes."""

    parts: PartsMode = field(default=PartsMode.PARALLEL, metadata={"help": "how parts may be sent"})
    resume: ResumeMode = field(default=ResumeMode.LIST, metadata={"help": "how it tells what it holds"})
    commit: CommitMode = field(default=CommitMode.EXPLICIT, metadata={"help": "what makes an upload visible"})
    if_absent: IfAbsent = field(default=IfAbsent.ATOMIC, metadata={"help": "how existing objects are protected"})
    proof: Proof = field(default=Proof.CONTENT, metadata={"help": "how much it tells about what it stored"})
    settles: bool = field(default=True, metadata={"help": "whether it can say what became of a lost commit"})
    part_digests: frozenset[str] = field(default=frozenset(), metadata={"help": "digests it checks of each part"})
    unasked: int = field(default=0, metadata={"help": "sessions of files up to this many bytes begin without a call"})
    sidecar_first: bool = field(default=False, metadata={"help": "whether the sidecar is sent first"})
    case_folding: bool = field(default=False, metadata={"help": "whether keys that differ in case are the same"})
    keep_content: bool = field(default=True, metadata={"help": "keep objects' bytes, or their digests alone"})
    min_part: int = field(default=1, metadata={"help": "least size of a part, in bytes"})
    max_part: int | None = field(default=None, metadata={"help": "most of a part, in bytes"})
    multiple_of: int = field(default=1, metadata={"help": "parts are multiples of this many bytes"})
    max_parts: int | None = field(default=None, metadata={"help": "most parts of one artifact"})
    max_object: int | None = field(default=None, metadata={"help": "most of one artifact, in bytes"})
    store: MemoryStore | None = field(
        default=None, compare=False, metadata={"config": False, "help": "where it keeps things; None: a new store"}
    )


def abilities_of(options: MemoryOptions, store: MemoryStore) -> Abilities:
    """What a backend with these options can do.

    Raises:
        ConfigError: Two of them exclude each other.
    """
    abilities = Abilities(
        parts=PartsMode(options.parts),
        resume=ResumeMode(options.resume),
        commit=CommitMode(options.commit),
        if_absent=IfAbsent(options.if_absent),
        part_digests=frozenset(options.part_digests),
        proof=Proof(options.proof),
        sidecar_first=options.sidecar_first,
        case_folding=store.case_folding,
        optional=frozenset({"list", "delete", "read"} if store.keep_content else {"list", "delete"}),
    )
    if abilities.parts is PartsMode.PARALLEL and abilities.resume is ResumeMode.OFFSET:
        raise ConfigError(
            'parts that come in any order have no one offset: set resume to "list" or "none", or parts to "sequential"'
        )
    return abilities


def limits_of(options: MemoryOptions) -> Limits:
    """The sizes among the options."""
    return Limits(options.min_part, options.max_part, options.multiple_of, options.max_parts, options.max_object)


def check_limits(limits: Limits, part: Part, artifact_size: int) -> None:
    """Refuse a part that the limits do not allow.

    Raises:
        ValidationError: Which limit it breaks.
    """
    ends_artifact = part.offset + part.size == artifact_size
    wrong = (
        (part.offset + part.size > artifact_size, f"part {part.number} ends behind its artifact"),
        (limits.max_part is not None and part.size > limits.max_part, f"a part of {part.size} bytes is too large"),
        (limits.max_parts is not None and part.number > limits.max_parts, f"{part.number} parts are too many"),
        (not ends_artifact and part.size < limits.min_part, f"a part of {part.size} bytes is too small"),
        (not ends_artifact and part.size % limits.multiple_of != 0, f"{part.size} bytes are no whole multiple"),
    )
    for applies, text in wrong:
        if applies:
            raise ValidationError(text)
