"""Making a first configuration: options as people type them, checked before anything is written."""

from __future__ import annotations

import os
import tomllib
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from haulier.config.settings import Setting

__all__ = ["checked_options", "missing_options", "parse_assignments", "write_new"]


def parse_assignments(texts: Iterable[str]) -> dict[tuple[str, ...], str]:
    """``KEY=VALUE`` by the path of the key, which may be dotted.

    Raises:
        ValueError: One has another form; the message names it without its value.
    """
    found = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise ValueError(f"{key!r} is no KEY=VALUE")
        found[tuple(key.strip().split("."))] = value
    return found


def missing_options(settings: Mapping[str, Setting], given: Iterable[tuple[str, ...]]) -> list[Setting]:
    """Required options that nobody gave."""
    names = {path[0] for path in given}
    return [setting for setting in settings.values() if setting.required and setting.name not in names]


def checked_options(
    backend_class: type[Any], name: str, given: Mapping[tuple[str, ...], str], base_dir: Path
) -> dict[str, Any]:
    """Options as they are to be written, after the same checks as at every start; secrets are not looked up.

    Raises:
        ConfigError: One is missing, unknown or wrong.
        InputError: A secret is given itself.
    """
    from haulier.config.models import BackendConfig
    from haulier.config.options import build_options
    from haulier.config.overlay import nested
    from haulier.config.secrets import Secret
    from haulier.config.settings import settings_of
    from haulier.config.validation import check

    settings = settings_of(backend_class.options_type)
    typed = nested({path: value if len(path) == 1 else _toml_value(value) for path, value in given.items()})
    trial: dict[str, Any] = {}
    for key, value in typed.items():
        if key not in settings or not settings[key].secret:
            trial[key] = value
            continue
        trial[key] = Secret("x") if isinstance(value, str) else {inner: Secret("x") for inner in value}
        _refuse_literals(key, value)
    config = BackendConfig(name, backend_class.type, trial, dict.fromkeys(trial, "--set"), frozenset(trial))
    build_options(backend_class, config, environ=os.environ, base_dir=base_dir)
    return {
        key: value if settings[key].secret else _plain(check(settings[key], value, as_text=True))
        for key, value in typed.items()
    }


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a file that only this user may read, never over another one unless forced.

    Raises:
        InputError: It exists, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123  a descriptor
            file.write(text)
    except FileExistsError as error:
        raise InputError("the file exists already", where=str(path), advice="--force replaces it") from error
    except OSError as error:
        raise InputError(f"the file cannot be written ({error.strerror or error})", where=str(path)) from error


def _refuse_literals(key: str, value: Any) -> None:
    from haulier.config.references import is_reference

    texts = [value] if isinstance(value, str) else list(value.values())
    if not all(isinstance(text, str) and is_reference(text) for text in texts):
        raise ConfigError(
            "a secret is not written into the file",
            where=f"--set {key}",
            advice="Give env:NAME, file:PATH or keyring:SERVICE/NAME",
        )


def _toml_value(text: str) -> Any:
    """A value inside a table that nobody described: as TOML reads it, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plain(value: Any) -> Any:
    """A checked value as TOML has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(entry) for entry in value)
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
