"""The backend contract: what a destination must do, what it may do, and what it must never do.

Five sentences carry the weight:

* No method retries. It reports what happened with an error of :mod:`haulier.errors`; the engine decides.
* ``open`` moves no bytes: its token is journalled before the first byte leaves.
* A lost answer is no failure: ``settle`` says present, absent or unknown, and only proof says present or absent.
* Abilities are declared. A session may narrow them, never widen them.
* A put-only destination is small: subclass :class:`PutBackend`.

The engine itself translates ``TimeoutError`` and ``ConnectionError`` (to :class:`~haulier.errors.NetworkError`) and any
other ``OSError`` or unexpected exception that escapes a backend; plugins translate their SDK's own errors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from haulier.errors import UnsupportedError
from haulier.models import Proof, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "API_LEVEL",
    "Abilities",
    "Answer",
    "Artifact",
    "Backend",
    "Body",
    "CheckReport",
    "CommitMode",
    "Context",
    "Held",
    "HeldPart",
    "IfAbsent",
    "LastPart",
    "Limits",
    "Outcome",
    "Part",
    "PartsMode",
    "PutBackend",
    "ResumeMode",
    "Settled",
    "Stored",
    "Token",
    "Upload",
]

API_LEVEL = 1
"""Level of this contract. It rises when a class that was right may be wrong afterwards."""


class PartsMode(StrEnum):
    """How parts may be sent."""

    PARALLEL = "parallel"  #: several at a time, in any order
    SEQUENTIAL = "sequential"  #: one after the other, in order
    WHOLE = "whole"  #: each artifact in one piece


class ResumeMode(StrEnum):
    """How the destination tells what it holds."""

    LIST = "list"  #: a set of parts
    OFFSET = "offset"  #: a prefix of each artifact
    NONE = "none"  #: it cannot


class CommitMode(StrEnum):
    """What makes the upload visible."""

    EXPLICIT = "explicit"  #: a call of its own
    LAST_PART = "last_part"  #: the arrival of the last part


class IfAbsent(StrEnum):
    """How well an existing object is kept from being overwritten."""

    ATOMIC = "atomic"
    CHECK_THEN_WRITE = "check_then_write"
    NONE = "none"


class Outcome(StrEnum):
    """What ``settle`` can say."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Answer(StrEnum):
    """What ``check`` can say about one right."""

    YES = "yes"
    NO = "no"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a backend can do.

    Attributes:
        parts: How parts may be sent.
        resume: How it tells what it holds.
        commit: What makes the upload visible.
        if_absent: How an existing object is protected.
        part_digests: Names of digests it wants of each part before it is sent: those that :func:`hashlib.new` knows,
            and ``crc32c`` and ``crc64nvme`` where the package ``awscrt`` (for the first also ``google-crc32c``) is
            installed.
        whole_digests: Names of digests it wants of each artifact at commit. ``sha256`` is always there.
        proof: The strongest proof it offers.
        sidecar_first: Whether the sidecar is sent before the media file.
        rewinds: Whether a part sent at a smaller offset than the held prefix cuts the prefix back first. Then only
            what was journalled as acknowledged is taken for held: after a power cut the tail may be garbage.
        case_folding: Whether keys that differ in case alone are the same object.
        optional: Those of ``list``, ``delete``, ``read``, ``copy``, ``presign`` that it has.
    """

    parts: PartsMode = PartsMode.WHOLE
    resume: ResumeMode = ResumeMode.NONE
    commit: CommitMode = CommitMode.EXPLICIT
    if_absent: IfAbsent = IfAbsent.NONE
    part_digests: frozenset[str] = frozenset()
    whole_digests: frozenset[str] = frozenset()
    proof: Proof = Proof.ACKNOWLEDGED
    sidecar_first: bool = False
    rewinds: bool = False
    case_folding: bool = False
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes; None is no limit.

    Attributes:
        min_part: Least size of a part that is not the last of its artifact.
        max_part: Most of any part.
        multiple_of: Every part that is not the last of its artifact is a multiple of this.
        max_parts: Most parts of one artifact.
        max_object: Most of one artifact.
    """

    min_part: int = 1
    max_part: int | None = None
    multiple_of: int = 1
    max_parts: int | None = None
    max_object: int | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of an upload as the backend sees it. ``size`` in bytes; ``key`` is fixed for the task's life."""

    index: int
    role: Role
    name: str
    key: str
    size: int
    content_type: str
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload.

    Attributes:
        task: Task id, for messages.
        item_id: Idempotency key: the same in every attempt and process.
        nonce: New at each start-over; for block ids and partial names.
        artifacts: Media first.
        metadata: JSON object given at submit or read from the sidecar; may be empty.
        recorded_at: Modification time of the media file, seconds since the epoch.
    """

    task: str
    item_id: str
    nonce: str
    artifacts: tuple[Artifact, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    recorded_at: float = 0.0

    @property
    def media(self) -> Artifact:
        """The media file."""
        return self.artifacts[0]

    @property
    def sidecar(self) -> Artifact | None:
        """The sidecar, if the task has one."""
        return next((artifact for artifact in self.artifacts if artifact.role is Role.SIDECAR), None)


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A byte range of one artifact. Numbers count from 1 within it; ``last`` marks the last part of the session."""

    artifact: int
    number: int
    offset: int
    size: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A resume token.

    Attributes:
        public: What may be read by anybody who reads the journal. JSON.
        secret: What grants rights; sealed before it is journalled. JSON.
        expires_at: Seconds since the epoch, None for never.
        known: Set by ``open`` when the destination knew this upload already: ``held`` is asked before anything is sent.
    """

    public: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, Any] = field(default_factory=dict, repr=False)
    expires_at: float | None = None
    known: bool = False


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part the destination has: size in bytes, its tag, and digests as it computed them (hexadecimal)."""

    size: int
    etag: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """One artifact as it lies at the destination.

    Attributes:
        key: Its key.
        location: Where it lies, without query or credentials.
        size: Bytes as the destination says; None when it does not.
        version: Version or generation, else empty.
        digests: Digests computed by the destination or read back from it, hexadecimal, by hashlib name.
        item_id: The item id kept with the object, else empty.
        compared: Whether the backend itself compared digests that the destination computed of every part with those of
            the parts that were read: for destinations that tell no digest of the whole.
    """

    key: str
    location: str
    size: int | None = None
    version: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    item_id: str = ""
    compared: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What the destination says it has of an upload session.

    Attributes:
        prefixes: Bytes from the start, by artifact index (``ResumeMode.OFFSET``).
        parts: Parts by artifact index and part number (``ResumeMode.LIST`` and whole artifacts).
        stored: Filled when the session turns out to be committed already, one entry per artifact.
    """

    prefixes: Mapping[int, int] = field(default_factory=dict)
    parts: Mapping[int, Mapping[int, HeldPart]] = field(default_factory=dict)
    stored: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer of ``settle``: ``stored`` has one entry per artifact when present."""

    outcome: Outcome
    stored: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The answer of ``check``: rights by name (``write``, ``read``, ``list``, ``delete``, ...), and remarks."""

    rights: Mapping[str, Answer] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Body(Protocol):
    """The bytes of one part. Used by one thread at a time."""

    @property
    def size(self) -> int:
        """Bytes of this part."""

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill ``buffer``; 0 only at the end.

        Raises:
            SourceChangedError: The file ended early.
            CancelledError: The upload was told to stop.
        """

    def read(self, size: int = -1, /) -> bytes:
        """The same as bytes, for libraries that want it."""

    def rewind(self) -> None:
        """Start again at this part's first byte."""

    def digest(self, name: str) -> str:
        """Digest of this part, hexadecimal, known before it is sent. ``name`` must be among ``part_digests``."""

    def whole(self, name: str) -> str:
        """Digest of the whole artifact, hexadecimal: only for the part that is sent last.

        ``name`` must be among ``whole_digests``; of a part that is all of its artifact, ``part_digests`` will do.
        """


class Context(Protocol):
    """What every call must obey. Thread-safe.

    Attributes:
        silence: Seconds without a byte in either direction after which a socket operation is given up.
        commit_timeout: Seconds a commit may take in all before its answer counts as lost.
    """

    @property
    def silence(self) -> float: ...

    @property
    def commit_timeout(self) -> float: ...

    def cancelled(self) -> bool:
        """Whether the call should stop as soon as it can."""

    def check_cancelled(self) -> None:
        """Raise :class:`~haulier.errors.CancelledError` when :meth:`cancelled`."""

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` (from another thread) on cancellation, e.g. to close a socket; the result undoes it."""


@dataclass(frozen=True, slots=True)
class LastPart:
    """The part that commits (``CommitMode.LAST_PART``) with its bytes."""

    part: Part
    body: Body


@dataclass(frozen=True, slots=True)
class UnaskedSession:
    """Sessions that begin without a call, of uploads that are one artifact: they are journalled with the claim.

    Attributes:
        largest: Most bytes of the artifact.
        abilities: As ``open`` would return them.
        public: What ``open`` would put into the public part of the token, but for ``owner``: that is a list of the
            upload's item id and nonce. Such a token has no secret and does not expire.
    """

    largest: int
    abilities: Abilities
    public: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def like(cls, token: Token, largest: int, abilities: Abilities) -> UnaskedSession:
        """Sessions whose tokens are like this one of ``open``, whoever its owner is."""
        return cls(largest, abilities, {name: value for name, value in token.public.items() if name != "owner"})


def _unsupported(backend_type: str, ability: str) -> UnsupportedError:
    return UnsupportedError(f"the backend type {backend_type!r} cannot {ability}")


class Backend(ABC):
    """One configured destination. Thread-safe once made; never retries; obeys the context.

    Subclasses set the class attributes and are made with ``cls(name, options)``. Making one does no I/O.

    Attributes:
        type: The backend type that configurations name.
        options_type: A frozen dataclass; its fields are the options of the backend's table. The core validates the
            table against it; :class:`haulier.config.secrets.Secret` marks secrets; field metadata ``help`` documents.
        api_level: Level of this contract it was written for. A class that names none was written for the first.
        abilities: What it can do at best.
        limits: Its sizes.
        unasked: Which sessions begin without a call; None where all are opened. Backends whose ``complete`` adds
            something have none.
    """

    type: ClassVar[str]
    options_type: ClassVar[Any]
    api_level: ClassVar[int] = 1
    abilities: Abilities = Abilities()
    limits: Limits = Limits()
    unasked: UnaskedSession | None = None

    def __init__(self, name: str, options: Any) -> None:
        self.name = name
        self.options = options

    def close(self) -> None:
        """Release connections. No call follows."""
        return

    def complete(self, upload: Upload) -> Upload:
        """Add what the destination cannot do without, e.g. a generated sidecar. Pure: the same answer every time."""
        return upload

    @abstractmethod
    def probe(self, context: Context) -> None:
        """Ask whether the destination is there, cheaply, writing nothing. Decides when a suspension ends.

        Raises:
            TransferError: Why not.
        """

    def check(self, context: Context) -> CheckReport:
        """Test each right for ``haulier doctor``, leaving nothing behind."""
        self.probe(context)
        return CheckReport({"reach": Answer.YES})

    @abstractmethod
    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Begin an upload session: no bytes. Idempotent by ``item_id`` and ``nonce`` where it can be.

        Returns:
            The resume token, and this session's abilities (never more than declared).
        """

    @abstractmethod
    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Say what the session holds. Already committed is an answer (``Held.stored``).

        Raises:
            SessionLostError: The destination does not know the session.
        """

    @abstractmethod
    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Send one part. The answer names at least this part (or a prefix that covers it) as held.

        Raises:
            OffsetError: The destination stands elsewhere.
            SessionLostError: The destination does not know the session.
        """

    @abstractmethod
    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Make the upload visible, only if its key is absent; one answer per artifact, in their order.

        Args:
            upload: The upload.
            token: Its session.
            held: All parts.
            digests: Digests of each whole artifact by index and hashlib name, ``sha256`` among them. Of an artifact
                that is streamed as the last part they are known only afterwards: ask ``last.body.whole``.
            context: What to obey.
            last: With ``CommitMode.LAST_PART`` the part whose arrival commits.

        Raises:
            ConflictError: Something else lies under the key.
            IntegrityError: The destination holds other bytes.
        """

    @abstractmethod
    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Find out what became of an upload whose answer was lost. Unknown unless there is proof."""

    @abstractmethod
    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Drop the session and its bytes. An unknown session is fine."""

    @abstractmethod
    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object. None is proven absence; anything else raises."""

    def delete(self, key: str, context: Context) -> bool:
        """Remove an object (ability ``delete``); False when it was not there."""
        del key, context
        raise _unsupported(self.type, "delete")

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects below a prefix in key order (ability ``list``)."""
        del prefix, context
        raise _unsupported(self.type, "list")

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks (ability ``read``)."""
        del key, context
        raise _unsupported(self.type, "read")


class PutBackend(ABC):
    """The small one: a destination that only takes whole objects. The core adapts it to :class:`Backend`.

    Attributes are those of :class:`Backend`; ``proof`` is the strongest that the answers of ``put`` or ``stat`` allow,
    None for ``size`` with ``stat`` and ``acknowledged`` without.
    """

    type: ClassVar[str]
    options_type: ClassVar[Any]
    api_level: ClassVar[int] = 1
    if_absent: IfAbsent = IfAbsent.NONE
    proof: Proof | None = None
    limits: Limits = Limits()

    def __init__(self, name: str, options: Any) -> None:
        self.name = name
        self.options = options

    def close(self) -> None:
        """Release connections. No call follows."""
        return

    def probe(self, context: Context) -> None:
        """Ask whether the destination is there; the default believes it is."""
        del context

    @abstractmethod
    def put(self, upload: Upload, artifact: Artifact, body: Body, context: Context) -> Stored:
        """Store one artifact whole under ``artifact.key``."""

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object. None is proven absence. Without it a lost answer stays unknown."""
        del key, context
        raise _unsupported(self.type, "stat")
