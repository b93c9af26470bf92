"""The destination that a conformance test runs against: how to meet it, and how it looks from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from haulier.backends.api import PutBackend
from haulier.backends.keys import PARTIAL_FOLDER
from haulier.backends.put import adapt
from haulier.config.models import BackendConfig
from haulier.config.options import build_options
from haulier.transfer.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from haulier.backends.api import Backend
    from haulier.testing.backend_suite.faults import Faults

__all__ = ["BackendWorld", "FolderWorld", "NotApplicable", "World", "build_backend"]

OTHER_ITEM = "b" * 64
"""Item id of what somebody else stored."""


_Skipped: Any = pytest.skip.Exception


class NotApplicable(_Skipped):  # type: ignore[misc]
    """A test says nothing about this backend; the text says which ability or which view of the world it would need."""


class World(ABC):
    """One destination, empty at the start of each test. Subclasses need :meth:`backend`; the rest makes more tests run.

    Attributes:
        part_size: Bytes of a part in ordinary tests, before the backend's limits.
        many: Parts of the object with many parts.
        listing: Objects that the test of paging makes: more than two pages.
        large: Bytes of the object that must pass through without being held.
        names_itself: Whether the destination gives objects keys of its own.
        in_this_process: Whether it lives in the memory of the test's process, so that no other process can meet it.
        secrets: Texts that no answer and no error may show.
        settles: Whether ``settle`` can be expected to find what was committed.
        salt: Makes item ids differ from those of other tests, for servers that outlive a test and remember them.
    """

    part_size: int = 32
    many: int = 12
    listing: int = 25
    large: int = 64 << 20
    names_itself: bool = False
    in_this_process: bool = False
    secrets: tuple[str, ...] = ()
    settles: bool = True
    salt: str = ""

    @abstractmethod
    def backend(self) -> Backend:
        """Another instance that meets this destination, as a new process would make it."""

    def close(self) -> None:
        """The test is over: close what :meth:`backend` made."""
        return

    def table(self) -> tuple[str, str, Mapping[str, Any]]:
        """Module, class and options with which another process makes such an instance."""
        raise NotApplicable("the world has no `table`: another process cannot make the backend")

    # -- the view from outside; where there is none the backend is asked -----------------------------------------

    def visible(self) -> list[str]:
        """Keys of all visible objects, sorted."""
        backend = self._asked("list", "visible")
        return sorted(stored.key for stored in backend.list("", RunContext()))

    def content(self, key: str) -> bytes | None:
        """An object's bytes; None when it is not there."""
        backend = self._asked("read", "content")
        if backend.stat(key, RunContext()) is None:
            return None
        return b"".join(backend.read(key, RunContext()))

    def put(self, key: str, content: bytes) -> None:
        """Put an object there as somebody else would, over whatever lies there."""
        del key, content
        raise NotApplicable("the world has no `put`: nobody else can store something there")

    def remove(self, key: str) -> None:
        """Remove an object."""
        self._asked("delete", "remove").delete(key, RunContext())

    def leftovers(self) -> list[str]:
        """What unfinished uploads left and what does not expire by itself."""
        raise NotApplicable("the world has no `leftovers`: what unfinished uploads leave cannot be seen")

    def strays(self) -> list[str]:
        """What lies outside the place that the backend was given."""
        return []

    # -- what may happen to it ---------------------------------------------------------------------------------

    def forget(self) -> None:
        """Forget all upload sessions, as a destination that was restored from a backup does."""
        raise NotApplicable("the world has no `forget`: its upload sessions cannot be lost")

    def expire(self) -> None:
        """Let so much time pass that all upload sessions expire."""
        raise NotApplicable("the world has no `expire`: time cannot be moved there")

    @property
    def faults(self) -> Faults:
        """What stands between client and server, for destinations that speak HTTP."""
        raise NotApplicable("the world has no `faults`: nothing stands between client and server")

    def _asked(self, ability: str, feature: str) -> Backend:
        backend = self.backend()
        if ability not in backend.abilities.optional:
            raise NotApplicable(f"the world has no `{feature}`, and the backend has not the ability {ability!r}")
        return backend


class BackendWorld(World):
    """A destination met by a backend class and the options of its table.

    Args:
        backend_class: The backend type, also one for whole objects alone.
        options: What stands in its ``[backends.NAME]`` table, JSON.
        secrets: Texts that no answer and no error may show.
    """

    name: ClassVar[str] = "archive"

    def __init__(
        self,
        backend_class: type[Backend | PutBackend],
        options: Mapping[str, Any] | None = None,
        *,
        secrets: Iterable[str] = (),
    ) -> None:
        self.backend_class = backend_class
        self.options = dict(options or {})
        self.secrets = tuple(secrets)
        self._made: list[Backend] = []

    def backend(self) -> Backend:
        """See :class:`World`."""
        self._made.append(build_backend(self.backend_class, self.options, name=self.name))
        return self._made[-1]

    def close(self) -> None:
        """See :class:`World`."""
        for backend in self._made:
            backend.close()

    def table(self) -> tuple[str, str, Mapping[str, Any]]:
        """See :class:`World`."""
        if self.in_this_process:
            raise NotApplicable("the destination lives in this process")
        return self.backend_class.__module__, self.backend_class.__qualname__, self.options


class FolderWorld(BackendWorld):
    """A destination whose objects are files below a folder that the test can look into.

    Args:
        backend_class: The backend type.
        options: Its table.
        folder: Where the keys begin. What lies beside it is a stray.
        partials: First component of names that belong to unfinished uploads.
        secrets: Texts that no answer and no error may show.
    """

    def __init__(
        self,
        backend_class: type[Backend | PutBackend],
        options: Mapping[str, Any],
        folder: Path,
        *,
        partials: str = PARTIAL_FOLDER,
        secrets: Iterable[str] = (),
    ) -> None:
        super().__init__(backend_class, options, secrets=secrets)
        self.folder = folder
        self.partials = partials
        self._beside = set(self._outside())

    def visible(self) -> list[str]:
        """See :class:`World`."""
        return sorted(name for name in self._files() if name.partition("/")[0] != self.partials)

    def content(self, key: str) -> bytes | None:
        """See :class:`World`."""
        path = self.folder / key
        return path.read_bytes() if path.is_file() else None

    def put(self, key: str, content: bytes) -> None:
        """See :class:`World`."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def remove(self, key: str) -> None:
        """See :class:`World`."""
        (self.folder / key).unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        """See :class:`World`."""
        return sorted(name for name in self._files() if name.partition("/")[0] == self.partials)

    def strays(self) -> list[str]:
        """See :class:`World`."""
        return sorted(set(self._outside()) - self._beside)

    def forget(self) -> None:
        """See :class:`World`."""
        for name in self.leftovers():
            (self.folder / name).unlink()

    def _files(self) -> list[str]:
        return [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if not path.is_dir()]

    def _outside(self) -> list[str]:
        parent = self.folder.parent
        return [str(path) for path in parent.rglob("*") if not path.is_dir() and self.folder not in path.parents]


def build_backend(
    backend_class: type[Backend | PutBackend], options: Mapping[str, Any], *, name: str = "archive"
) -> Backend:
    """Make a backend of its table, as a manager does.

    Raises:
        ConfigError: An option is missing, unknown or wrong.
    """
    config = BackendConfig(name, backend_class.type, options)
    made, _ = build_options(backend_class, config, environ={}, base_dir=Path.cwd())
    full: type[Backend] = adapt(backend_class) if issubclass(backend_class, PutBackend) else backend_class
    return full(name, made)
