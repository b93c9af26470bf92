"""Make a :class:`~haulier.config.models.Config` of the merged layers, checking every key and value."""

from __future__ import annotations

import dataclasses
import re
import string
from typing import TYPE_CHECKING, Any

from haulier.config.further import settled_also
from haulier.config.models import BackendConfig, Config, PluginsConfig, UploadConfig, WatchConfig
from haulier.config.overlay import nested
from haulier.config.problems import nearest, shown, unknown_key
from haulier.config.settings import SECTIONS, settings_of
from haulier.config.validation import anchor, check
from haulier.errors import ConfigError, UnknownBackendError

if TYPE_CHECKING:
    import pathlib

    from haulier.config.overlay import Given, Layer
    from haulier.config.problems import Problems
    from haulier.config.settings import Setting

__all__ = ["assemble"]

_NAME = re.compile(r"[\w.-]+")
_TABLE_OF_TABLES = "backends"


def assemble(merged: Layer, file: pathlib.Path | None, problems: Problems) -> Config:
    """Check everything and put it together.

    Raises:
        ConfigError: Something is wrong, and ``problems`` is strict.
    """
    _refuse_unknown_sections(merged, problems)
    origins: dict[str, str] = {}
    watch = WatchConfig(**_section("watch", merged, origins, problems))
    plugins = PluginsConfig(**_section("plugins", merged, origins, problems))
    backends = _backends(merged, origins, problems)
    upload = UploadConfig(**_section("upload", merged, origins, problems))
    upload = _settle_backend(upload, merged, backends, problems, origins)
    upload = dataclasses.replace(upload, also=settled_also(upload, merged, backends, problems))
    if origins["upload.auto_upload"] == "default":
        upload = dataclasses.replace(upload, auto_upload=bool(watch.paths))
    return Config(upload, watch, backends, plugins, origins, tuple(problems.warnings), file)


def _refuse_unknown_sections(merged: Layer, problems: Problems) -> None:
    known = {*SECTIONS, _TABLE_OF_TABLES}
    reported = set()
    for path, given in merged.items():
        section = path[0]
        if section in reported:
            continue
        if section not in known:
            reported.add(section)
            problems.refuse(unknown_key(given.origin, section, known, "table"), "it is ignored")
        elif len(path) == 1 and given.value != {}:
            problems.refuse(_wrong(given, "a table"), "it is ignored")


def _section(section: str, merged: Layer, origins: dict[str, str], problems: Problems) -> dict[str, Any]:
    """The checked values of a table with fixed keys."""
    settings = settings_of(SECTIONS[section])
    values = {name: setting.make_default() for name, setting in settings.items()}
    origins.update({f"{section}.{name}": "default" for name in settings})
    for name, given in _given_in(section, merged).items():
        if name not in settings:
            problems.refuse(unknown_key(given.where, name, settings), "it is ignored")
            continue
        try:
            values[name] = _checked(settings[name], given)
        except ValueError as reason:
            default = settings[name].default_text or shown(values[name])
            problems.refuse(_wrong(given, str(reason)), f"the default holds ({default})")
        else:
            origins[f"{section}.{name}"] = given.origin
    return values


def _given_in(section: str, merged: Layer) -> dict[str, Given]:
    """What was given in a table by key; a key with keys of its own counts as one value."""
    found: dict[str, Given] = {}
    for path, given in merged.items():
        if path[0] == section and len(path) > 1:
            inner = nested({path[2:]: given.value}) if len(path) > 2 else given.value  # noqa: PLR2004
            found[path[1]] = dataclasses.replace(given, value=inner, label=given.label)
    return found


def _checked(setting: Setting, given: Given) -> Any:
    value = anchor(check(setting, given.value, as_text=given.as_text), given.base_dir)
    if setting.name == "key_template":
        _check_template(value)
    return value


def _check_template(template: str) -> None:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template)]
    except ValueError:
        fields = []
    if not any(fields):
        raise ValueError('a template such as "{mtime:%Y/%m/%d}/{id16}/{name}"')


def _wrong(given: Given, allowed: str) -> ConfigError:
    return ConfigError(f"must be {allowed}, not {shown(given.value)}", where=given.where)


def _backends(merged: Layer, origins: dict[str, str], problems: Problems) -> dict[str, BackendConfig]:
    names = dict.fromkeys(path[1] for path in merged if path[0] == _TABLE_OF_TABLES and len(path) > 1)
    backends = {}
    for name in names:
        entries = {path[2:]: given for path, given in merged.items() if path[:2] == (_TABLE_OF_TABLES, name)}
        backend = _backend(name, entries, problems)
        if backend is None:
            continue
        backends[name] = backend
        prefix = f"{_TABLE_OF_TABLES}.{name}."
        origins[prefix + "type"] = entries[("type",)].origin if ("type",) in entries else "default"
        origins.update({prefix + option: origin for option, origin in backend.origins.items()})
    return backends


def _backend(name: str, entries: Layer, problems: Problems) -> BackendConfig | None:
    """One backend's table, or None when it is none."""
    whole = entries.pop((), None)
    if whole is not None and whole.value != {}:
        error = ConfigError("must be a table with the backend's options", where=whole.where)
        problems.refuse(error, "it is ignored")
        return None
    if not _NAME.fullmatch(name):
        place = next(iter(entries.values()), whole)
        error = ConfigError(
            f"{name!r} is no name for a backend",
            where=place.where if place else _TABLE_OF_TABLES,
            advice="Use letters, digits, '-', '_' and '.'",
        )
        problems.refuse(error, "it is ignored")
        return None
    options = {path: given for path, given in entries.items() if path[0] != "type"}
    return BackendConfig(
        name,
        _backend_type(name, entries, problems),
        nested({path: given.value for path, given in options.items()}),
        {".".join(path): given.origin for path, given in options.items()},
        frozenset(path[0] for path, given in options.items() if given.as_text),
    )


def _backend_type(name: str, entries: Layer, problems: Problems) -> str:
    given = entries.get(("type",))
    if given is None:
        return name
    if isinstance(given.value, str) and given.value:
        return given.value
    problems.refuse(_wrong(given, "the name of a backend type"), "the table's name is used")
    return name


def _settle_backend(
    upload: UploadConfig,
    merged: Layer,
    backends: dict[str, BackendConfig],
    problems: Problems,
    origins: dict[str, str],
) -> UploadConfig:
    """Fill in the only backend, and refuse one that is not configured."""
    only = next(iter(backends)) if len(backends) == 1 else ""
    if not upload.backend:
        return dataclasses.replace(upload, backend=only)
    if upload.backend in backends:
        return upload
    guess = nearest(upload.backend, backends)
    hint = f"; did you mean {guess!r}?" if guess else ""
    listing = f"Configured: {', '.join(sorted(backends))}" if backends else f"Add a table [backends.{upload.backend}]"
    error = UnknownBackendError(
        f"no backend is called {upload.backend!r}{hint}", where=merged["upload", "backend"].where, advice=listing
    )
    problems.refuse(error, f"{only!r} is used" if only else "no backend is used")
    origins["upload.backend"] = "default"
    return dataclasses.replace(upload, backend=only)
