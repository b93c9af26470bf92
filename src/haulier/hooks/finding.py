"""Where plugins come from: passed in, installed, or single files. Nothing is imported before ``load`` is called."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from haulier.hooks.records import ENTRY_POINT, FILE, PluginRecord
from haulier.hooks.spec import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

__all__ = ["Choice", "Found", "from_files", "from_objects", "installed", "installed_entry_points", "name_of"]


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that may be loaded; ``load`` may raise anything."""

    record: PluginRecord
    load: Callable[[], object]


class Choice:
    """Which of the installed plugins are wanted, by plugin or distribution name; ``-``, ``_``, ``.`` and case are one.

    Args:
        allow: Names that may be loaded; empty for all.
        deny: Names that are not; this wins.
    """

    def __init__(self, allow: Iterable[str], deny: Iterable[str]) -> None:
        self._allow = {_canonical(name) for name in allow}
        self._deny = {_canonical(name) for name in deny}

    def wants(self, record: PluginRecord) -> bool:
        """Whether this one is to be loaded."""
        names = {_canonical(name) for name in (record.name, record.distribution) if name}
        return not names & self._deny and (not self._allow or bool(names & self._allow))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(plugin: object) -> str:
    """The name under which a module or object is registered."""
    name = getattr(plugin, "__name__", None)
    return name if isinstance(name, str) and name else type(plugin).__name__


def from_objects(plugins: Iterable[object], source: str, distribution: str = "") -> Iterator[Found]:
    """Modules or objects that somebody passed in."""
    for plugin in plugins:
        yield Found(PluginRecord(name_of(plugin), distribution, "", source), partial(_itself, plugin))


def installed_entry_points() -> Sequence[importlib.metadata.EntryPoint]:
    """Entry points of the group ``haulier``; a frozen program has none."""
    return tuple(importlib.metadata.entry_points(group=PROJECT))


def installed(entry_points: Callable[[], Iterable[Any]]) -> Iterator[Found]:
    """Installed plugins, sorted by name."""
    try:
        found = [Found(_record_of(one), one.load) for one in entry_points()]
    except Exception as error:  # noqa: BLE001  the metadata of any installed package may be broken
        yield Found(PluginRecord("installed plugins", "", "", ENTRY_POINT), _raising(error))
        return
    yield from sorted(found, key=lambda one: (one.record.name, one.record.distribution))


def _record_of(entry_point: Any) -> PluginRecord:
    distribution, version = "", ""
    try:
        distribution = entry_point.dist.name or ""
        version = entry_point.dist.version or ""
    except Exception:  # noqa: BLE001, S110  what cannot be read of a package's metadata stays empty
        pass
    return PluginRecord(str(entry_point.name), distribution, version, ENTRY_POINT)


def _raising(error: Exception) -> Callable[[], object]:
    def load() -> object:
        raise error

    return load


def _itself(plugin: object) -> object:
    return plugin


def from_files(paths: Collection[Path]) -> Iterator[Found]:
    """Plugins that are one Python file each, named by their file name."""
    for path in paths:
        yield Found(PluginRecord(path.stem, "", "", FILE), partial(_import_file, path))


def _import_file(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    name = f"haulier_plugin_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up by name, the former while it is being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
