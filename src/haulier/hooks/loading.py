"""Loads plugins so that a bad one costs only itself: each in its own try, checked, recorded, or refused whole.

pluggy's own entry-point loading stops at the first plugin that cannot be imported, and a hook call stops at the first
implementation that raises; here every step is taken one by one.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import logging
import queue
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from haulier.backends.api import API_LEVEL
from haulier.errors import PluginError, UnknownBackendError
from haulier.hooks.spec import DECISIONS, PROJECT, HookSpecs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import click

__all__ = ["Decision", "PluginHost", "PluginRecord"]

log = logging.getLogger("haulier.hooks")

DECISION_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a decision hook: ``value`` or None; ``undecided`` says why nobody knows."""

    value: Any = None
    undecided: str | None = None


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """What became of one plugin.

    Attributes:
        name: Its entry point, module or class name.
        distribution: The installed distribution it came from, else empty.
        version: That distribution's version, else empty.
        source: ``builtin``, ``argument``, ``entry point`` or ``file``.
        hooks: Names of the hooks it implements.
        backends: Backend types it brought.
        error: Why it was refused, or what went wrong later; None when all is well.
    """

    name: str
    distribution: str
    version: str
    source: str
    hooks: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    error: str | None = None


def installed_entry_points() -> Sequence[importlib.metadata.EntryPoint]:
    """Entry points of the group ``haulier``; a frozen program has none."""
    return tuple(importlib.metadata.entry_points(group=PROJECT))


class PluginHost:
    """The plugins of one manager, loaded when first needed. Thread-safe.

    Args:
        plugins: Modules or objects with hook implementations.
        entry_points: Finds the installed ones.
        files: Python files that are plugins.
        allow: Names of plugins or distributions that may be loaded; empty for all.
        deny: Names that are not loaded.
        strict: Raise at the first plugin that is refused.
        builtin: What comes with the core; always loaded.
        decision_seconds: Time limit of a decision.
    """

    def __init__(
        self,
        *,
        plugins: Sequence[object] = (),
        entry_points: Callable[[], Iterable[Any]] = installed_entry_points,
        files: Sequence[str | Path] = (),
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        strict: bool = False,
        builtin: Sequence[object] = (),
        decision_seconds: float = DECISION_SECONDS,
    ) -> None:
        self._plugins = list(plugins)
        self._entry_points = entry_points
        self._files = [Path(path) for path in files]
        self._allow = frozenset(allow)
        self._deny = frozenset(deny)
        self._strict = strict
        self._builtin = list(builtin)
        self._decision_seconds = decision_seconds
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._records: dict[str, PluginRecord] = {}
        self._types: dict[str, tuple[str, type[Any]]] | None = None
        self._hanging: set[str] = set()
        self._loaded = False
        self._lock = threading.RLock()

    # -- loading -----------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Load everything once.

        Raises:
            PluginError: One was refused, and ``strict`` is set.
        """
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            for plugin in self._builtin:
                self._add(plugin, PluginRecord(_name_of(plugin), PROJECT, "", "builtin"))
            for plugin in self._plugins:
                self._add(plugin, PluginRecord(_name_of(plugin), "", "", "argument"))
            for entry_point in sorted(self._entry_points(), key=lambda one: str(one.name)):
                self._add_entry_point(entry_point)
            for path in self._files:
                self._add_file(path)

    def register(self, plugin: object) -> None:
        """Add one more plugin.

        Raises:
            PluginError: It is refused; nothing of it stays.
        """
        self.load()
        with self._lock:
            record = PluginRecord(_name_of(plugin), "", "", "argument")
            error = self._refusal(plugin, record)
            if error is not None:
                raise PluginError(f"the plugin was refused: {error}", where=record.name)
            self._types = None

    def records(self) -> list[PluginRecord]:
        """What became of each plugin, in order of loading, with the backend types it brought."""
        self.load()
        types = self._all_types()
        with self._lock:
            return [
                replace(record, backends=tuple(name for name, (owner, _) in types.items() if owner == record.name))
                for record in self._records.values()
            ]

    def _add_entry_point(self, entry_point: Any) -> None:
        distribution = getattr(entry_point, "dist", None)
        record = PluginRecord(
            str(entry_point.name),
            getattr(distribution, "name", "") or "",
            getattr(distribution, "version", "") or "",
            "entry point",
        )
        names = {record.name, record.distribution}
        if names & self._deny or (self._allow and not names & self._allow):
            return
        self._import(entry_point.load, record)

    def _add_file(self, path: Path) -> None:
        record = PluginRecord(path.stem, "", "", "file")

        def load() -> object:
            spec = importlib.util.spec_from_file_location(f"haulier_plugin_{path.stem}", path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} is no Python file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module

        self._import(load, record)

    def _import(self, load: Callable[[], object], record: PluginRecord) -> None:
        try:
            plugin = load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  even SystemExit at import must cost only this plugin
            self._refuse(record, f"importing it failed: {error!r}")
        else:
            self._add(plugin, record)

    def _add(self, plugin: object, record: PluginRecord) -> None:
        error = self._refusal(plugin, record)
        if error is not None:
            self._refuse(record, error)

    def _refuse(self, record: PluginRecord, error: str) -> None:
        key = record.name
        while key in self._records:
            key += "'"
        self._records[key] = replace(record, error=error)
        log.warning("plugin %s is not used: %s", record.name, error)
        if self._strict:
            raise PluginError(f"the plugin was refused: {error}", where=record.name)

    def _refusal(self, plugin: object, record: PluginRecord) -> str | None:
        """Register a plugin; the reason when it cannot be, nothing of it staying behind."""
        if record.name in self._records:
            return f"the name {record.name!r} is taken by another plugin"
        try:
            self._manager.register(plugin, record.name)
        except (ValueError, pluggy.PluginValidationError) as error:
            with_name = self._manager.get_plugin(record.name)
            if with_name is not None:
                self._manager.unregister(name=record.name)
            return str(error)
        hooks = tuple(sorted(caller.name for caller in self._manager.get_hookcallers(plugin) or ()))
        unknown = [name for name in hooks if not hasattr(HookSpecs, name)]
        if unknown:
            self._manager.unregister(name=record.name)
            return _unknown_hook(unknown[0])
        self._records[record.name] = replace(record, hooks=hooks)
        return None

    # -- calls -------------------------------------------------------------------------------------------------

    def implementations(self, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Plugin name and function of each implementation, last registered first; arguments are filled by name."""
        self.load()
        caller = getattr(self._manager.hook, hook)
        for implementation in reversed(caller.get_hookimpls()):
            yield implementation.plugin_name, _by_name(implementation)

    def backend_types(self) -> Mapping[str, type[Any]]:
        """Backend classes by type."""
        return {name: found for name, (_, found) in self._all_types().items()}

    def backend_class(self, type_name: str) -> type[Any]:
        """The class of a backend type.

        Raises:
            UnknownBackendError: Nobody registered it; the message says what to install or whom it resembles.
        """
        types = self.backend_types()
        if type_name in types:
            return types[type_name]
        raise UnknownBackendError(
            f"no plugin brings the backend type {type_name!r} (there are: {', '.join(sorted(types))})",
            advice=self._advice(type_name, types),
        )

    def _advice(self, type_name: str, types: Mapping[str, type[Any]]) -> str:
        package = f"{PROJECT}-{type_name}"
        for record in self._records.values():
            if record.error and (type_name in record.name or record.distribution == package):
                return f"The plugin {record.name} could not be loaded: {record.error}"
        near = difflib.get_close_matches(type_name, types, 1)
        hint = f"Did you mean {near[0]!r}? Otherwise install" if near else "Install"
        return f"{hint} the package {package}"

    def commands(self) -> list[click.Command]:
        """Commands that plugins add; one that fails is recorded and left out."""
        return [command for _, found in self._registrations("register_commands") for command in found]

    def config_readers(self) -> dict[str, Any]:
        """Readers of other programs' configurations by the section that marks them."""
        readers: dict[str, Any] = {}
        for _, found in self._registrations("register_config_readers"):
            for section, reader in dict(found).items():
                readers.setdefault(section, reader)
        return readers

    def decide(self, hook: str, **question: Any) -> Decision:
        """Ask a decision hook: the first answer that is not None, each implementation within the time limit."""
        if hook not in DECISIONS:
            raise AssertionError(hook)
        for name, implementation in self.implementations(hook):
            answer = self._within_time(name, hook, implementation, question)
            if answer.undecided is not None or answer.value is not None:
                return answer
        return Decision()

    def _registrations(self, hook: str) -> Iterator[tuple[str, Any]]:
        for name, implementation in reversed(list(self.implementations(hook))):
            try:
                found = implementation()
            except Exception as error:  # noqa: BLE001  a plugin may raise anything
                self._note(name, f"{hook} raised {error!r}")
            else:
                yield name, found

    def _note(self, name: str, error: str) -> None:
        log.warning("plugin %s: %s", name, error)
        with self._lock:
            record = self._records.get(name)
            if record is not None:
                self._records[name] = replace(record, error=error)
        if self._strict:
            raise PluginError(error, where=name)

    def _all_types(self) -> dict[str, tuple[str, type[Any]]]:
        self.load()
        with self._lock:
            if self._types is None:
                self._types = {}
                for owner, found in self._registrations("register_backends"):
                    for backend_class in found:
                        self._add_type(owner, backend_class, self._types)
            return self._types

    def _add_type(self, owner: str, found: type[Any], types: dict[str, tuple[str, type[Any]]]) -> None:
        name = getattr(found, "type", None)
        if not isinstance(name, str) or not name:
            self._note(owner, f"the backend class {found!r} names no type")
        elif getattr(found, "api_level", API_LEVEL) != API_LEVEL:
            self._note(owner, f"the backend type {name!r} was written for contract level {found.api_level}")
        elif name in types:
            self._note(owner, f"the backend type {name!r} is taken by the plugin {types[name][0]}")
        else:
            types[name] = (owner, found)

    def _within_time(
        self, name: str, hook: str, implementation: Callable[..., Any], question: Mapping[str, Any]
    ) -> Decision:
        if name in self._hanging:
            return Decision(undecided=f"{name} still hangs in an earlier call")
        answers: queue.SimpleQueue[Decision] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(Decision(implementation(**question)))
            except Exception as error:  # noqa: BLE001  a plugin may raise anything
                answers.put(Decision(undecided=f"{name} raised {error!r} in {hook}"))
            finally:
                self._hanging.discard(name)

        threading.Thread(target=ask, name=f"haulier-decision-{name}", daemon=True).start()
        try:
            return answers.get(timeout=self._decision_seconds)
        except queue.Empty:
            self._hanging.add(name)
            return Decision(undecided=f"{name} did not answer {hook} within {self._decision_seconds:g} s")


def _name_of(plugin: object) -> str:
    return getattr(plugin, "__name__", None) or type(plugin).__name__


def _unknown_hook(name: str) -> str:
    known = [hook for hook in vars(HookSpecs) if not hook.startswith("_")]
    near = difflib.get_close_matches(name, known, 1)
    return f"there is no hook {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _by_name(implementation: Any) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        return implementation.function(*(arguments[name] for name in implementation.argnames))

    return call
