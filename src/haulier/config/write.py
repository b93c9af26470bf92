"""Write the commented starter file of ``haulier init``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haulier.config.schema import default_text
from haulier.config.secrets import Secret
from haulier.config.settings import SECTIONS, settings_of
from haulier.config.toml_text import key_text, value_text
from haulier.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from haulier.config.settings import Setting

__all__ = ["starter_config"]

_HEAD = """\
# Configuration of Haulier. `haulier doctor` checks it, `haulier config show --origin` shows what holds.
# A line that begins with "# " and a key states a default; remove the sign to change it.
"""


def starter_config(
    backend_type: str,
    options: Mapping[str, Any],
    *,
    name: str = "",
    options_type: type | None = None,
    watch_paths: Iterable[str | PathLike[str]] = (),
    upload: Mapping[str, Any] | None = None,
) -> str:
    """The text of a first ``haulier.toml``.

    Args:
        backend_type: Type of the one backend.
        options: Its options; secrets by reference.
        name: The backend's name; default its type.
        options_type: The type's options dataclass: its other options are listed as comments.
        watch_paths: Folders to watch.
        upload: Values of ``[upload]`` that differ from the defaults.

    Raises:
        InputError: A secret is given itself instead of by reference.
    """
    name = name or backend_type
    secrets = [key for key, value in options.items() if isinstance(value, Secret)]
    if secrets:
        raise InputError(
            f"the option {secrets[0]!r} would be written in clear",
            advice="Give env:NAME, file:PATH or keyring:SERVICE/NAME",
        )
    folders = [str(path) for path in watch_paths]
    given: dict[str, dict[str, Any]] = {
        "upload": {"backend": name, **(upload or {})},
        "watch": {"paths": folders} if folders else {},
        "plugins": {},
    }
    blocks = [_HEAD.rstrip()]
    blocks += [_table(f"[{section}]", settings_of(owner), given[section]) for section, owner in SECTIONS.items()]
    settings = settings_of(options_type) if options_type else {}
    chosen = dict(options) if name == backend_type else {"type": backend_type, **options}
    blocks.append(_table(f"[backends.{key_text(name)}]", settings, chosen))
    return "\n\n".join(blocks) + "\n"


def _table(head: str, settings: Mapping[str, Setting], given: Mapping[str, Any]) -> str:
    lines = [head]
    lines += [f"{key_text(key)} = {value_text(value)}" for key, value in given.items() if key not in settings]
    for name, setting in settings.items():
        if setting.help:
            lines.append(f"#: {setting.help}")
        if name in given:
            lines.append(f"{key_text(name)} = {value_text(given[name])}")
        else:
            lines.append(_commented(setting))
    return "\n".join(lines)


def _commented(setting: Setting) -> str:
    """The default as a comment; one that is no constant is told in words."""
    text = default_text(setting)
    if setting.required:
        return f"#: {setting.name} is required: {setting.allowed}"
    if setting.default_text or text == "none":
        return f"#: {setting.name}: default {text}"
    return f"# {setting.name} = {text}"
