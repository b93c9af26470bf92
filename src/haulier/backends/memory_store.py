"""What a memory backend keeps: objects, upload sessions, and counts of what reached it.

A store outlives the backend instances that use it, which is how a test shows a new process meeting an old destination.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from haulier.backends.memory_faults import Call, Fault, FaultScript
from haulier.errors import ValidationError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["MemoryArtifact", "MemoryObject", "MemoryPart", "MemorySession", "MemoryStore"]


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """One object: ``size`` in bytes, ``sha256`` hexadecimal, ``content`` None when only digests are kept."""

    key: str
    size: int
    sha256: str
    item_id: str = ""
    version: str = ""
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """One received piece: ``offset`` and ``size`` in bytes; ``data`` None once it is hashed and dropped."""

    number: int
    offset: int
    size: int
    sha256: str
    data: bytes | bytearray | None = field(default=None, repr=False)


class MemoryArtifact:
    """What a session has received of one artifact. Guarded by the store's lock.

    Without ``keep_content`` a piece is dropped as soon as all bytes before it are hashed, so that only pieces that came
    too early cost memory.
    """

    def __init__(self, keep_content: bool) -> None:
        self._keep = keep_content
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        self.pieces: dict[int, MemoryPart] = {}
        self.prefix = 0
        self._hash = hashlib.sha256()
        self._by_offset: dict[int, int] = {}

    def hash_so_far(self) -> hashlib._Hash:
        """A copy of the running SHA-256 of the prefix, for bytes that are hashed while they arrive."""
        return self._hash.copy()

    def add(self, slot: int, part: MemoryPart, hash_with_it: hashlib._Hash | None = None) -> None:
        """Take a piece; one that has the slot already is replaced.

        Args:
            slot: Part number, or offset where the destination knows offsets alone.
            part: The piece.
            hash_with_it: SHA-256 of the prefix including the piece, when its bytes were not kept.

        Raises:
            ValidationError: The piece replaces another content that is hashed and dropped already.
        """
        old = self.pieces.get(slot)
        if old is not None and replace(old, data=None) == replace(part, data=None):
            return
        if old is not None and not self._keep:
            raise ValidationError(f"part {part.number} came again with other content, which needs keep_content=True")
        self.pieces[slot] = part
        if hash_with_it is not None:
            self._hash, self.prefix = hash_with_it, self.prefix + part.size
        elif old is not None:
            self._rebuild()
        else:
            self._by_offset[part.offset] = slot
            self._advance()

    def _rebuild(self) -> None:
        pieces = self.pieces
        self.restart()
        for slot in sorted(pieces):
            self.add(slot, pieces[slot])

    def _advance(self) -> None:
        while (slot := self._by_offset.pop(self.prefix, None)) is not None:
            piece = self.pieces[slot]
            self._hash.update(piece.data or b"")
            self.prefix += piece.size
            if not self._keep:
                self.pieces[slot] = replace(piece, data=None)

    @property
    def sha256(self) -> str:
        """Digest of the prefix, hexadecimal."""
        return self._hash.hexdigest()

    @property
    def content(self) -> bytes | None:
        """All bytes, or None when they are not kept."""
        if not self._keep:
            return None
        return b"".join(piece.data or b"" for piece in sorted(self.pieces.values(), key=lambda piece: piece.offset))


@dataclass(slots=True)
class MemorySession:
    """One upload session: what it has received by artifact index, and what it became."""

    id: str
    item_id: str
    artifacts: dict[int, MemoryArtifact]
    committed: tuple[MemoryObject, ...] = ()

    @property
    def holds_anything(self) -> bool:
        """Whether any part arrived."""
        return bool(self.committed) or any(received.pieces for received in self.artifacts.values())


class MemoryStore:
    """The destination behind one or more memory backends. Thread-safe.

    Args:
        keep_content: Whether objects keep their bytes, or their digests alone.
        case_folding: Whether keys that differ in case alone are the same object.

    Attributes:
        lock: Guards everything below; re-entrant.
        faults: What shall go wrong.
        objects: By folded key.
        sessions: By session id.
        requests: Calls by method, also those that failed.
        bytes_received: Body bytes by method, also those of parts that were dropped.
    """

    def __init__(self, *, keep_content: bool = True, case_folding: bool = False) -> None:
        self.keep_content = keep_content
        self.case_folding = case_folding
        self.lock = threading.RLock()
        self.faults = FaultScript()
        self.objects: dict[str, MemoryObject] = {}
        self.sessions: dict[str, MemorySession] = {}
        self.requests: Counter[str] = Counter()
        self.bytes_received: Counter[str] = Counter()
        self._versions = 0

    def __repr__(self) -> str:
        return "MemoryStore()"  # without an address: options are compared across processes

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let options hold a store; no configuration file can write one down."""
        del source, handler
        from pydantic_core import core_schema

        return core_schema.json_or_python_schema(
            json_schema=core_schema.none_schema(), python_schema=core_schema.is_instance_schema(cls)
        )

    def begin(self, method: str, item: str = "", artifact: int | None = None, part: int | None = None) -> Fault:
        """Count a call and find the rule that strikes it; an undisturbed call gets one without effects."""
        with self.lock:
            self.requests[method] += 1
            call = Call(method, self.requests[method], item, artifact, part)
        return self.faults.match(call) or Fault(method)

    def received(self, method: str, size: int) -> None:
        """Count body bytes."""
        with self.lock:
            self.bytes_received[method] += size

    def get(self, key: str) -> MemoryObject | None:
        """The object under a key, or None."""
        with self.lock:
            return self.objects.get(self._fold(key))

    def write(self, new: MemoryObject) -> MemoryObject:
        """Put an object in place, over whatever lies there; it gets a version of its own."""
        with self.lock:
            self._versions += 1
            versioned = replace(new, version=str(self._versions))
            self.objects[self._fold(new.key)] = versioned
            return versioned

    def put(self, key: str, content: bytes, item_id: str = "") -> MemoryObject:
        """Put an object there as somebody else would."""
        return self.write(MemoryObject(key, len(content), hashlib.sha256(content).hexdigest(), item_id, "", content))

    def remove(self, key: str) -> bool:
        """Remove an object; False when there was none."""
        with self.lock:
            return self.objects.pop(self._fold(key), None) is not None

    def content(self, key: str) -> bytes:
        """An object's bytes.

        Raises:
            KeyError: There is no such object, or only its digest was kept.
        """
        found = self.get(key)
        if found is None or found.content is None:
            raise KeyError(key)
        return found.content

    def forget_sessions(self, item_id: str | None = None) -> int:
        """Forget the sessions of an item, or all, as if they had expired; how many there were."""
        with self.lock:
            gone = [session.id for session in self.sessions.values() if item_id in {None, session.item_id}]
            for session_id in gone:
                del self.sessions[session_id]
            return len(gone)

    def _fold(self, key: str) -> str:
        return unicodedata.normalize("NFC", key).casefold() if self.case_folding else key
