"""The configured backends of a manager: made when first needed, from the plugin that registered their type."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Backend, PutBackend
from haulier.errors import HaulierError, PluginError, UnknownBackendError
from haulier.threads import Ended, SystemThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from haulier.config.models import BackendConfig
    from haulier.threads import Threads

__all__ = ["Destinations"]


class Destinations:
    """Backends by configured name. Thread-safe.

    Args:
        tables: The configured backends.
        find_class: Gives the class of a backend type; raises UnknownBackendError.
        environ: For secrets given by reference.
        base_dir: Folder that relative paths in options refer to.
        fingerprint_key: Key for :meth:`fingerprint`.
        warn: Gets a sentence for each thing the user should know.
        wrap: Wraps each backend under the name ``backend`` before it is used.
        threads: For closing.
    """

    def __init__(
        self,
        tables: Mapping[str, BackendConfig],
        *,
        find_class: Callable[[str], type[Any]],
        environ: Mapping[str, str],
        base_dir: Path,
        fingerprint_key: bytes,
        warn: Callable[[str], None],
        wrap: Callable[[str, Any], Any],
        threads: Threads | None = None,
    ) -> None:
        self._tables = dict(tables)
        self._find_class = find_class
        self._environ = environ
        self._base_dir = base_dir
        self._fingerprint_key = fingerprint_key
        self._warn = warn
        self._wrap = wrap
        self._made: dict[str, Backend] = {}
        self._fingerprints: dict[str, str] = {}
        self._lock = threading.Lock()
        self._making: dict[str, threading.RLock] = {}
        self._threads = threads or SystemThreads()

    @property
    def names(self) -> tuple[str, ...]:
        """The configured names, in the order of the configuration."""
        return tuple(self._tables)

    def type_of(self, name: str) -> str:
        """The type of a configured backend, empty when there is none of this name."""
        table = self._tables.get(name)
        return table.type if table else ""

    def add(self, backend: Backend) -> None:
        """Add one that a host made itself."""
        with self._lock:
            self._made[backend.name] = backend
            self._tables.setdefault(backend.name, _table(backend))

    def get(self, name: str) -> Backend:
        """The backend of this name.

        Raises:
            UnknownBackendError: None is configured, or its type is unknown.
            ConfigError: Its options are wrong.
            PluginError: Its class was written for another contract, or cannot be made.
        """
        with self._lock:
            made = self._made.get(name)
            making = self._making.setdefault(name, threading.RLock())
        if made is not None:
            return made
        with making:  # one that takes its time to be made keeps those waiting who want it, and nobody else
            made = self._made.get(name)
            if made is None:
                made = self._made[name] = self._make(name)
            return made

    def fingerprint(self, name: str) -> str:
        """Keyed hash of a backend's options: other credentials give another one."""
        self.get(name)
        return self._fingerprints.get(name, "")

    def close(self, timeout: float = 1.0) -> None:
        """Close those that were made. Whatever one of them raises is told; one that does not come back is left behind.

        Args:
            timeout: Seconds for all of them together.
        """
        with self._lock:
            made, self._made = list(self._made.values()), {}
        closing = [self._threads.spawn(f"haulier-close-{one.name}", partial(self._close, one)) for one in made]
        end = time.monotonic() + timeout
        for runner in closing:
            runner.join(max(0.0, end - time.monotonic()))

    def _close(self, backend: Backend) -> None:
        try:
            backend.close()
        except Ended:
            raise
        except BaseException as error:  # noqa: BLE001  a plugin may raise anything; the others are closed all the same
            self._warn(f"the backend {backend.name!r} could not be closed: {error!r}")

    def _make(self, name: str) -> Backend:
        from haulier.config.options import build_options, options_fingerprint

        table = self._tables.get(name)
        if table is None:
            known = ", ".join(self._tables) or "none"
            raise UnknownBackendError(f"no backend {name!r} is configured (configured: {known})", where="backends")
        backend_class = self._find_class(table.type)
        options, warnings = build_options(backend_class, table, environ=self._environ, base_dir=self._base_dir)
        for warning in warnings:
            self._warn(warning)
        self._fingerprints[name] = options_fingerprint(options, self._fingerprint_key)
        made: Backend = self._wrap("backend", self._new(_backend_class(backend_class), name, options))
        return made

    def _new(self, backend_class: type[Backend], name: str, options: Any) -> Backend:
        try:
            return backend_class(name, options)
        except (HaulierError, Ended):
            raise
        except BaseException as error:  # a plugin may raise anything, even what would end a thread
            what = f"the backend type {backend_class.type!r} cannot be made: {error!r}"
            raise PluginError(what, where=f"backends.{name}") from error


def _backend_class(found: type[Backend | PutBackend]) -> type[Backend]:
    if issubclass(found, PutBackend):
        from haulier.backends.put import adapt

        return adapt(found)
    return found


def _table(backend: Backend) -> BackendConfig:
    from haulier.config.models import BackendConfig

    return BackendConfig(backend.name, backend.type)
