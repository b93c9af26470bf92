"""The token's place in WATS's ``config.json``: found in the text itself, so that nothing else in the file changes."""

from __future__ import annotations

import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from haulier.files import Files

__all__ = ["TokenText", "find_token", "write_config"]

_BOM = "\ufeff"
_SPACE = " \t\n\r"
_KEY = "api_token"
_PLACES = (("api",), ("backends", "wats"))
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, repr=False)
class TokenText:
    """A ``config.json`` and the place of the token in it.

    Attributes:
        content: The whole file.
        key: The token's key, such as ``api.api_token``.
        value: What stands there: a token, a reference; empty when nothing does.
        before: The text in front of the place.
        after: The text behind it.
    """

    content: bytes
    key: str
    value: str
    before: str
    after: str

    def with_value(self, value: str) -> bytes:
        """The file with another value at the place, all else byte for byte as it was."""
        return f"{self.before}{json.dumps(value)}{self.after}".encode()


def find_token(content: bytes, where: str) -> TokenText:
    """Find the token of the backend ``wats``: ``api.api_token``, or ``backends.wats.api_token``.

    Where there is none, its place is the first in ``api``.

    Args:
        content: The file.
        where: The file's name, for messages.

    Raises:
        ConfigError: It is no JSON object in UTF-8 with an object ``api``, a key on the way to the token stands there
            twice, or the token is no text.
    """
    text = _checked(content, where)
    places = {names: _object(text, names, where) for names in _PLACES}
    if places["api",] is None:
        raise ConfigError(
            "has no object `api`", where=where, advice="Name WATS's own config.json with --config; it has this section"
        )
    found = [
        (f"{'.'.join(names)}.{_KEY}", span)
        for names, start in places.items()
        if start is not None and (span := _member(text, start, _KEY, where)) is not None
    ]
    filled = [(key, span) for key, span in found if text[slice(*span)] not in {'""', "null"}] or found[:1]
    if len(filled) > 1:
        keys = " and ".join(key for key, _ in filled)
        raise ConfigError(f"holds two tokens, {keys}", where=where, advice="Remove the one that is not used")
    if not filled:
        return _without_token(content, text, places["api",])
    key, (start, end) = filled[0]
    value = json.loads(text[start:end])
    if not isinstance(value, str | None):
        raise ConfigError("must be a text", where=f"{where}: {key}", advice="Write the token in double quotes")
    return TokenText(content, key, value or "", text[:start], text[end:])


def write_config(path: Path, old: bytes, new: bytes, files: Files) -> None:
    """Put new content in the place of old, at once or not at all; no copy of the old one is left.

    The mode is kept, and so is the owner where this user may give it. A link stays, its target is replaced.

    Args:
        path: The file.
        old: What it holds as far as the caller knows.
        new: What it is to hold.
        files: Operating system.

    Raises:
        ConfigError: It changed meanwhile, or cannot be written; it is as it was then.
    """
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        known = target.stat()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(new)
            stream.flush()
            files.fsync_file(stream.fileno())
        _take_after(draft, known)
        if target.read_bytes() != old:
            raise ConfigError(
                "was changed by another program just now", where=str(path), advice="Run the command again"
            )
        files.replace(draft, target)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror or error}; it is as it was",
            where=str(path),
            advice="Run the command as a user who may write the file and its folder",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()
    with suppress(OSError):
        files.fsync_folder(target.parent)


def _take_after(draft: Path, known: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(draft, known.st_uid, known.st_gid)
    draft.chmod(stat.S_IMODE(known.st_mode))  # last: a change of the owner takes bits away


def _checked(content: bytes, where: str) -> str:
    try:
        text = content.decode("utf-8")
        document = json.loads(text.removeprefix(_BOM))
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=where, advice="Save it as UTF-8; it was left as it is") from None
    except json.JSONDecodeError as error:
        place = f"{where}, line {error.lineno}, column {error.colno}"
        advice = "Correct it; it was left as it is"
        raise ConfigError(f"is no valid JSON: {error.msg}", where=place, advice=advice) from None
    except RecursionError:
        raise ConfigError("is nested too deeply", where=where, advice="It was left as it is") from None
    if not isinstance(document, dict):
        raise ConfigError("must be a JSON object", where=where, advice="Name WATS's own config.json with --config")
    return text


def _without_token(content: bytes, text: str, start: int | None) -> TokenText:
    """The place right behind the brace that opens ``api``, in the manner of the key that stands there now."""
    inside = (start or 0) + 1
    first = _skip(text, inside)
    key = f"{text[inside:first]}{json.dumps(_KEY)}: "
    if text[first] == "}":
        return TokenText(content, f"api.{_KEY}", "", f"{text[:inside]}{json.dumps(_KEY)}: ", text[inside:])
    return TokenText(content, f"api.{_KEY}", "", text[:inside] + key, "," + text[inside:])


def _object(text: str, names: tuple[str, ...], where: str) -> int | None:
    """Where the object of these nested names opens; None when there is none."""
    start = _skip(text, len(text) - len(text.removeprefix(_BOM)))
    for name in names:
        span = _member(text, start, name, where)
        if span is None or text[span[0]] != "{":
            return None
        start = span[0]
    return start


def _member(text: str, start: int, name: str, where: str) -> tuple[int, int] | None:
    """Where the value of a key begins and ends in the object that opens at ``start``."""
    spans = [span for key, span in _members(text, start) if key == name]
    if len(spans) > 1:
        raise ConfigError(
            f"holds the key {name!r} twice in one object", where=where, advice="Remove one; it was left as it is"
        )
    return spans[0] if spans else None


def _members(text: str, start: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Keys and the places of their values. The text is known to be valid."""
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, at) + 1)
        _, at = _DECODER.raw_decode(text, value)
        yield key, (value, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at
