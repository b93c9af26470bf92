"""The memory store as a destination: it lives in the test's process, the child reaches it through a socket."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING, Any, ClassVar

from haulier import hookimpl
from haulier.backends.api import Backend, LastPart
from haulier.backends.memory import MemoryBackend, MemoryOptions, MemoryStore
from haulier.errors import HaulierError
from haulier.testing.crash.destination import Destination
from haulier.transfer.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from haulier.backends.api import Abilities, Body, Context, Held, Part, Settled, Stored, Token, Upload

__all__ = ["PLUGIN", "LinkedBackend", "LinkedOptions", "MemoryDestination", "memory_destinations"]

TYPE = "linked-memory"
MODES: Mapping[str, Mapping[str, str | int]] = {
    "memory-parallel": {"parts": "parallel", "resume": "list"},
    "memory-sequential": {"parts": "sequential", "resume": "offset"},
    "memory-whole": {"parts": "whole", "resume": "none", "commit": "last_part"},
    "memory-unasked": {"parts": "whole", "resume": "none", "commit": "last_part", "unasked": 1_000_000},
}
_PARTS_AT_ONCE = {"memory-sequential": 1, "memory-whole": 0, "memory-unasked": 0}


@dataclass(frozen=True)
class _SentBody:
    """A body that arrived through the socket."""

    data: bytes
    digests: Mapping[str, str]
    whole_digests: Mapping[str, str] = field(default_factory=dict)
    position: list[int] = field(default_factory=lambda: [0])

    @property
    def size(self) -> int:
        return len(self.data)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def read(self, size: int = -1, /) -> bytes:
        start = self.position[0]
        piece = self.data[start:] if size < 0 else self.data[start : start + size]
        self.position[0] += len(piece)
        return piece

    def rewind(self) -> None:
        self.position[0] = 0

    def digest(self, name: str) -> str:
        return self.digests[name]

    def whole(self, name: str) -> str:
        return self.whole_digests[name]


def _sent(body: Body, names: frozenset[str]) -> _SentBody:
    return _SentBody(body.read(), {name: body.digest(name) for name in sorted(names)})


class _Served:
    """A memory backend that answers on a socket. One thread per connection, so that a dead child holds up nobody."""

    def __init__(self, options: Mapping[str, str | int]) -> None:
        self._options = options
        self._listener = Listener(family="AF_UNIX", backlog=16, authkey=b"matrix")
        self.address: str = str(self._listener.address)
        self.backend = self.renew()
        self._thread = threading.Thread(target=self._accept, name="crash-store", daemon=True)
        self._thread.start()

    def renew(self) -> MemoryBackend:
        """An empty store for the children to come."""
        self.backend = MemoryBackend("store", MemoryOptions(**self._options, store=MemoryStore()))  # type: ignore[arg-type]
        return self.backend

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (EOFError, ConnectionError):
                continue  # the child died while it introduced itself
            except Exception:  # noqa: BLE001 - the listener was closed, which shows in several ways
                return
            # What a dead child asked for last ends in the store that it asked.
            link = (connection, self.backend)
            threading.Thread(target=_serve, args=link, name="crash-store-link", daemon=True).start()


def _serve(connection: Any, backend: MemoryBackend) -> None:
    with connection, suppress(EOFError, OSError):
        while True:
            method, arguments = connection.recv()
            connection.send(_answer(backend, method, arguments))


def _answer(backend: MemoryBackend, method: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    context = RunContext(silence=10.0, commit_timeout=10.0)
    try:
        if method == "commit":
            upload, token, held, digests, last = arguments
            return "answer", backend.commit(upload, token, held, digests, context, last)
        return "answer", getattr(backend, method)(*arguments, context)
    except HaulierError as error:
        return "error", error


@dataclass(frozen=True)
class LinkedOptions:
    """Where the store answers, and what it is."""

    address: str = field(metadata={"help": "socket of the store"})
    parts: str = field(metadata={"help": "see the memory backend"})
    resume: str = field(metadata={"help": "see the memory backend"})
    commit: str = field(default="explicit", metadata={"help": "see the memory backend"})
    unasked: int = field(default=0, metadata={"help": "see the memory backend"})


class LinkedBackend(Backend):
    """Hands each call to a store in another process. Thread-safe: each call has a connection to itself."""

    type: ClassVar[str] = TYPE
    options_type: ClassVar[Any] = LinkedOptions

    def __init__(self, name: str, options: LinkedOptions) -> None:
        super().__init__(name, options)
        modes: Any = {"parts": options.parts, "resume": options.resume, "commit": options.commit}
        likeness = MemoryBackend(name, MemoryOptions(**modes, unasked=options.unasked))
        self.abilities, self.unasked = likeness.abilities, likeness.unasked
        self._idle: list[Any] = []  # connections

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def probe(self, context: Context) -> None:
        """Ask the store."""
        del context
        self._call("probe")

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Begin a session."""
        del context
        return self._call("open", upload)  # type: ignore[no-any-return]

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Say what the session has."""
        del context
        return self._call("held", upload, token)  # type: ignore[no-any-return]

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Send one part."""
        del context
        return self._call("send", upload, token, part, _sent(body, self.abilities.part_digests))  # type: ignore[no-any-return]

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Commit."""
        del context
        sent = LastPart(last.part, _sent(last.body, self.abilities.part_digests)) if last else None
        plain = {index: dict(known) for index, known in digests.items()}
        return self._call("commit", upload, token, held, plain, sent)  # type: ignore[no-any-return]

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Find out what became of an upload."""
        del context
        return self._call("settle", upload, token)  # type: ignore[no-any-return]

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Drop the session."""
        del context
        self._call("abort", upload, token)

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object."""
        del context
        return self._call("stat", key)  # type: ignore[no-any-return]

    def delete(self, key: str, context: Context) -> bool:
        """Remove an object."""
        del context
        return bool(self._call("delete", key))

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Not needed here."""
        raise NotImplementedError

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """Not needed here."""
        raise NotImplementedError

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = Client(self.options.address, family="AF_UNIX", authkey=b"matrix")
        connection.send((method, arguments))
        kind, answer = connection.recv()
        self._idle.append(connection)
        if kind == "error":
            raise answer
        return answer


class _Plugin:
    @hookimpl
    def register_backends(self) -> list[type[Backend]]:
        return [LinkedBackend]


PLUGIN = _Plugin()


class MemoryDestination(Destination):
    """A memory store in one of its modes.

    Args:
        name: One of ``MODES``.
    """

    plugins = (f"{__name__}:PLUGIN",)

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts_at_once = _PARTS_AT_ONCE.get(name, Destination.parts_at_once)
        self.says_what_it_holds = MODES[name]["resume"] != "none"
        self._served: _Served | None = None

    def __enter__(self) -> Self:
        self._served = _Served(MODES[self.name])
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    @property
    def _link(self) -> _Served:
        if self._served is None:
            raise RuntimeError("the destination was not entered")
        return self._served

    def reset(self, folder: Path) -> None:
        """Begin with an empty store."""
        del folder
        self._link.renew()

    def table(self) -> Mapping[str, Any]:
        """The address and the mode."""
        return {"type": TYPE, "address": self._link.address, **MODES[self.name]}

    def stored(self) -> Mapping[str, bytes]:
        """The store's objects."""
        store = self._link.backend.store
        with store.lock:
            return {entry.key: entry.content or b"" for entry in store.objects.values()}

    def pending(self) -> Sequence[str]:
        """Sessions without a commit."""
        store = self._link.backend.store
        with store.lock:
            return [session.id for session in store.sessions.values() if not session.committed]

    def received(self) -> int:
        """As the store counted."""
        return sum(self._link.backend.store.bytes_received.values())


def memory_destinations() -> list[Destination]:
    """The store in each mode."""
    return [MemoryDestination(name) for name in MODES]
