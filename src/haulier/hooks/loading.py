"""Loads plugins so that a bad one costs only itself: each in its own try, checked, recorded, or refused whole.

pluggy's own entry-point loading stops at the first plugin that cannot be imported, and a hook call stops at the first
implementation that raises; here every step is taken one by one.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from haulier.errors import PluginError, UnknownBackendError
from haulier.hooks.checking import (
    RefusedError,
    check_backend_class,
    commands_from,
    readers_from,
    register_checked,
)
from haulier.hooks.deciding import DECISION_SECONDS, Decider, Decision
from haulier.hooks.finding import Choice, Found, from_files, from_objects, installed, installed_entry_points, name_of
from haulier.hooks.records import ARGUMENT, BUILTIN, ENTRY_POINT, Implementation, PluginRecord, described
from haulier.hooks.spec import DECISIONS, PROJECT, HookSpecs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import click

__all__ = ["Decision", "Implementation", "PluginHost", "PluginRecord"]

log = logging.getLogger("haulier.hooks")

T = TypeVar("T")


class PluginHost:
    """The plugins of one manager, loaded when first needed. Thread-safe.

    Every method loads first, so any of them raises :class:`~haulier.errors.PluginError` when ``strict`` is set and a
    plugin failed; :meth:`records` does not, because it is where one looks then.

    Args:
        plugins: Modules or objects with hook implementations.
        entry_points: Finds the installed ones.
        files: Python files that are plugins.
        allow: Names of installed plugins, or of their distributions, that may be loaded; empty for all.
        deny: Names of those that are not loaded.
        strict: Raise at the first error of a plugin.
        builtin: What comes with the core; always loaded, and first.
        decision_seconds: Time limit of each implementation of a decision.
        wait: Waits for a decision's answer; see :class:`~haulier.hooks.deciding.Decider`.
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
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._plugins = tuple(plugins)
        self._entry_points = entry_points
        self._files = tuple(Path(path) for path in files)
        self._choice = Choice(allow, deny)
        self._strict = strict
        self._builtin = tuple(builtin)
        self._decider = Decider(decision_seconds, wait)
        self._lock = threading.RLock()
        self._loaded = self._loading = False
        self._failure: PluginError | None = None
        self._revision = 0
        self._forget()

    def _forget(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._records: list[PluginRecord] = []
        self._places: dict[str, int] = {}  # index of the record of each registered plugin, by name
        self._passed_over: list[PluginRecord] = []
        self._registered: dict[tuple[str, str], Any] = {}  # results of registration hooks by hook and plugin
        self._types: dict[str, tuple[str, type[Any]]] = {}
        self._wanted_types: dict[str, str] = {}  # types of plugins that were refused
        self._typed: set[str] = set()

    # -- loading -----------------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Grows whenever a plugin is registered or taken out again."""
        return self._revision

    def load(self) -> None:
        """Load everything once: built-in, passed in, installed (sorted by name), single files.

        Raises:
            PluginError: A plugin failed, and ``strict`` is set.
        """
        if self._loaded and self._failure is None:
            return
        with self._lock:
            if self._failure is not None:
                raise PluginError(self._failure.what, where=self._failure.where) from self._failure.__cause__
            if self._loaded or self._loading:
                return
            self._loading = True
            try:
                self._forget()
                for found in self._candidates():
                    self._take(found)
                self._loaded = True
            finally:
                self._loading = False

    def register(self, plugin: object) -> None:
        """Add one more plugin.

        Raises:
            PluginError: It is refused; nothing of it stays.
        """
        with self._lock:
            self.backend_types()
            record = PluginRecord(name_of(plugin), "", "", ARGUMENT)
            try:
                self._register(plugin, record)
                self._add_types_of(record.name)
            except RefusedError as refusal:
                raise PluginError(f"the plugin was refused: {refusal}", where=record.name) from refusal.__cause__

    def records(self) -> list[PluginRecord]:
        """What became of each plugin, in order of loading. Asks for backend types, to tell who brings them."""
        with self._lock:
            with contextlib.suppress(PluginError):  # strict: the record tells the same
                self.backend_types()
            return list(self._records)

    def _candidates(self) -> Iterator[Found]:
        return itertools.chain(
            from_objects(self._builtin, BUILTIN, PROJECT),
            from_objects(self._plugins, ARGUMENT),
            installed(self._entry_points),
            from_files(self._files),
        )

    def _take(self, found: Found) -> None:
        record = found.record
        if record.source == ENTRY_POINT and not self._choice.wants(record):
            self._passed_over.append(record)
            return
        try:
            plugin = found.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  even SystemExit at import must cost only this plugin
            self._refuse(record, f"importing it failed: {described(error)}", error)
            return
        if record.source == ENTRY_POINT and any(plugin is known for _, known in self._manager.list_name_plugin()):
            log.debug("the installed plugin %s was passed in as well", record.name)
            return
        try:
            self._register(plugin, record)
        except RefusedError as refusal:
            self._refuse(record, str(refusal), refusal.__cause__)

    def _register(self, plugin: object, record: PluginRecord) -> None:
        if record.name in self._places:
            other = self._records[self._places[record.name]]
            raise RefusedError(
                f"the name {record.name!r} is taken by another plugin ({other.source}); "
                "give one of them another name (an object's is its __name__, else its class)"
            )
        hooks = register_checked(self._manager, plugin, record.name)
        self._places[record.name] = len(self._records)
        self._records.append(replace(record, hooks=hooks))
        self._revision += 1

    def _refuse(self, record: PluginRecord, error: str, cause: BaseException | None) -> None:
        self._records.append(replace(record, error=error))
        log.warning("plugin %s is not used: %s", record.name, error)
        self._stop_if_strict(f"the plugin was refused: {error}", record.name, cause)

    def _withdraw(self, name: str, error: str) -> int:
        """Take a registered plugin out again; the place of its record."""
        place = self._places.pop(name)
        self._manager.unregister(name=name)
        self._registered = {key: answer for key, answer in self._registered.items() if key[1] != name}
        self._records[place] = replace(self._records[place], hooks=(), error=error)
        self._revision += 1
        return place

    def _note(self, name: str, error: str, cause: BaseException | None = None) -> None:
        """Record what went wrong with a plugin that stays registered."""
        place = self._places[name]
        known = self._records[place].error
        if known is not None and error in known:
            return
        self._records[place] = replace(self._records[place], error=error if known is None else f"{known}; {error}")
        log.warning("plugin %s: %s", name, error)
        self._stop_if_strict(error, name, cause)

    def _stop_if_strict(self, error: str, name: str, cause: BaseException | None) -> None:
        if self._strict:
            self._failure = PluginError(error, where=name)
            raise self._failure from cause

    # -- registration hooks ------------------------------------------------------------------------------------

    def implementations(self, hook: str) -> list[Implementation]:
        """The implementations of a hook in pluggy's order of calling: last registered first.

        Once everything is loaded this neither raises nor waits for a lock.
        """
        if not self._loaded:
            self.load()
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return [self._implementation(found, hook) for found in reversed(caller.get_hookimpls())]

    def _implementation(self, found: pluggy.HookImpl, hook: str) -> Implementation:
        builtin = any(found.plugin is plugin for plugin in self._builtin)
        return Implementation(found.plugin_name, hook, found.function, tuple(found.argnames), builtin)

    def _registrations(self, hook: str, read: Callable[[Any], T]) -> Iterator[tuple[str, T]]:
        """What each plugin answered to a registration hook, in order of registration; each is asked once in its life.

        Args:
            hook: The hook.
            read: Checks and copies an answer; what it raises is the plugin's fault, too.
        """
        for implementation in reversed(self.implementations(hook)):
            key = (hook, implementation.plugin)
            if key not in self._registered:
                self._registered[key] = None  # a plugin that calls back from its hook is not asked again
                try:
                    self._registered[key] = read(implementation())
                except KeyboardInterrupt:
                    del self._registered[key]
                    raise
                except BaseException as error:  # noqa: BLE001  a plugin may raise anything
                    self._note(implementation.plugin, f"{hook} failed: {described(error)}", error)
            if self._registered[key] is not None:
                yield implementation.plugin, self._registered[key]

    def commands(self) -> list[click.Command]:
        """Commands that plugins add. One that fails is recorded and left out; so is one whose name is taken."""
        with self._lock:
            self.load()
            commands: dict[str, tuple[str, click.Command]] = {}
            for plugin, found in self._registrations("register_commands", commands_from):
                for command in found:
                    owner, _ = commands.setdefault(str(command.name), (plugin, command))
                    if owner != plugin:
                        self._note(plugin, f"its command {command.name!r} is taken by the plugin {owner}")
            return [command for _, command in commands.values()]

    def config_readers(self) -> dict[str, Any]:
        """Readers of other programs' configurations, by the section that marks them, in order of registration."""
        with self._lock:
            self.load()
            readers: dict[str, tuple[str, Any]] = {}
            for plugin, found in self._registrations("register_config_readers", readers_from):
                for section, reader in found.items():
                    owner, _ = readers.setdefault(section, (plugin, reader))
                    if owner != plugin:
                        self._note(plugin, f"its reader of the section {section!r} is taken by the plugin {owner}")
            return {section: reader for section, (_, reader) in readers.items()}

    # -- backend types -----------------------------------------------------------------------------------------

    def backend_types(self) -> Mapping[str, type[Any]]:
        """Subclasses of ``Backend`` and ``PutBackend`` by backend type."""
        with self._lock:
            self.load()
            for plugin, classes in list(self._registrations("register_backends", tuple)):
                if plugin in self._typed:
                    continue
                try:
                    self._add_types(plugin, classes)
                except RefusedError as refusal:
                    self._withdraw(plugin, str(refusal))
                    log.warning("plugin %s is not used: %s", plugin, refusal)
                    self._stop_if_strict(f"the plugin was refused: {refusal}", plugin, refusal.__cause__)
            return {name: found for name, (_, found) in self._types.items()}

    def _add_types_of(self, plugin: str) -> None:
        """Ask a plugin that was just registered; any fault takes it out again, with its record."""
        for implementation in self.implementations("register_backends"):
            if implementation.plugin != plugin:
                continue
            try:
                classes = self._registered["register_backends", plugin] = tuple(implementation())
                self._add_types(plugin, classes)
            except BaseException as error:
                why = str(error) if isinstance(error, RefusedError) else f"register_backends failed: {described(error)}"
                del self._records[self._withdraw(plugin, why)]
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise RefusedError(why) from error

    def _add_types(self, plugin: str, classes: tuple[Any, ...]) -> None:
        """Take in all backend classes of a plugin, or none."""
        self._wanted_types.update(dict.fromkeys((str(getattr(found, "type", "")) for found in classes), plugin))
        added: dict[str, tuple[str, type[Any]]] = {}
        for found in classes:
            name = check_backend_class(found)
            owner, _ = self._types.get(name) or added.get(name) or (None, None)
            if owner is not None:
                raise RefusedError(
                    f"the backend type {name!r} of the plugin {plugin!r} is taken by the plugin {owner!r}: "
                    "uninstall one of them, or name one in [plugins] deny"
                )
            added[name] = (plugin, found)
        self._types.update(added)
        self._typed.add(plugin)
        place = self._places[plugin]
        self._records[place] = replace(self._records[place], backends=tuple(added))

    def backend_class(self, type_name: str) -> type[Any]:
        """The class of a backend type.

        Raises:
            UnknownBackendError: Nobody registered it; the message says what failed, what resembles it, or what to
                install.
        """
        types = self.backend_types()
        if type_name in types:
            return types[type_name]
        raise UnknownBackendError(
            f"no plugin brings the backend type {type_name!r} (there are: {', '.join(sorted(types)) or 'none'})",
            advice=self._advice(type_name, types),
        )

    def _advice(self, type_name: str, types: Mapping[str, type[Any]]) -> str:
        package = f"{PROJECT}-{type_name}"
        fits = Choice(allow=(type_name, package), deny=()).wants
        with self._lock:
            for record in self._records:
                if record.error and (fits(record) or self._wanted_types.get(type_name) == record.name):
                    return f"The plugin {record.name} would bring it, but: {record.error}"
            for record in self._passed_over:
                if fits(record):
                    return f"The plugin {record.name} is installed, but [plugins] allow or deny keeps it out"
        near = difflib.get_close_matches(type_name, types, 1)
        hint = f"Did you mean {near[0]!r}? Otherwise install" if near else "Install"
        return f"{hint} the package {package}"

    # -- decisions ---------------------------------------------------------------------------------------------

    def decide(self, hook: str, **question: Any) -> Decision:
        """Ask a decision hook: the first answer that is not None, each implementation within the time limit.

        Args:
            hook: One of :data:`~haulier.hooks.spec.DECISIONS`.
            **question: All arguments of the hook's specification.
        """
        if hook not in DECISIONS:
            raise ValueError(f"{hook!r} is no decision hook: those are {', '.join(DECISIONS)}")
        self.load()
        return self._decider.ask(self.implementations(hook), question)
