"""Read a configuration file: TOML, JSON of the same shape, or another program's shape through a reader."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from haulier.config.problems import Problems

    Reader = Callable[[dict[str, Any]], tuple[dict[str, Any], list[str]]]
    Readers = Mapping[str, Reader] | Callable[[], Mapping[str, Reader]]

__all__ = ["Translated", "read_document", "translate"]


@dataclass(frozen=True, slots=True)
class Translated:
    """A document of Haulier's own shape.

    Attributes:
        document: The document.
        marker: Name of the top-level section by which a reader knew it, or empty when it had our shape already.
        original: The document as it was.
    """

    document: Mapping[str, Any]
    marker: str
    original: Mapping[str, Any]

    def label(self, path: tuple[str, ...]) -> str:
        """A key as the author of the file knows it: ``api.max_retries`` for ``upload.max_retries``."""
        section = self.original.get(self.marker) if self.marker else None
        if isinstance(section, dict) and path[-1] in section:
            return f"{self.marker}.{path[-1]}"
        return ".".join(path)


def read_document(path: Path) -> dict[str, Any]:
    """Parse a file by its suffix, ``.toml`` or ``.json``; any other by its first character.

    Raises:
        ConfigError: It cannot be read, or is neither; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=str(path), advice="") from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", where=str(path), advice="Save it as UTF-8") from error
    suffix = path.suffix.lower()
    is_json = suffix == ".json" or (suffix != ".toml" and text.lstrip().startswith("{"))
    return _json(text, path) if is_json else _toml(text, path)


def translate(document: Mapping[str, Any], readers: Readers, where: str, problems: Problems) -> Translated:
    """Bring a document to our shape. One with an ``upload`` section has it; readers are asked for others only.

    Args:
        document: The document.
        readers: Callables by the section that marks their files, or a callable that provides them when first needed.
        where: For messages.
        problems: Takes the reader's warnings.

    Raises:
        ConfigError: The reader refuses the document (when strict).
    """
    plain = Translated(document, "", document)
    if "upload" in document:
        return plain
    available = readers() if callable(readers) else readers
    for marker, reader in available.items():
        if marker not in document:
            continue
        try:
            translated, warnings = reader(dict(document))
        except ConfigError as error:
            error.where = f"{where}: {error.where}" if error.where else where
            problems.refuse(error, "the defaults are used")
            return Translated({}, marker, document)
        for warning in warnings:
            problems.warn(where, warning)
        return Translated(translated, marker, document)
    return plain


def _json(text: str, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise ConfigError(f"is no valid JSON: {error.msg}", where=place, advice=_backslashes(error.msg)) from error
    if not isinstance(document, dict):
        raise ConfigError("must be a JSON object", where=str(path))
    return document


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Its message ends with the place, "(at line 3, column 9)".
        raise ConfigError(f"is no valid TOML: {error}", where=str(path), advice=_backslashes(str(error))) from error


def _backslashes(message: str) -> str | None:
    """The commonest slip on Windows: a path with single backslashes within double quotes."""
    slip = "\\" in message or "escape" in message.lower() or "hex value" in message.lower()
    return "Write paths with forward slashes, or double every backslash" if slip else None
