"""Check one value against one setting. pydantic is imported here, when the first value needs it."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from haulier.config.plain import UNSURE, plainly
from haulier.errors import PluginError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from haulier.config.settings import Setting

__all__ = ["adapter_for", "anchor", "check", "parse_size"]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY_UNITS = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def check(setting: Setting, value: Any, *, as_text: bool = False) -> Any:
    """Return the value as the setting's type.

    Args:
        setting: What is asked for.
        value: As it stood in a document.
        as_text: Whether a text may stand for a number, a truth value or a list.

    Raises:
        ValueError: It is not allowed; the message completes "must be ..." and never shows the value.
        PluginError: The setting's type cannot be checked at all.
    """
    found = UNSURE if setting.secret else plainly(setting, value)
    return _checked(setting, value, as_text=as_text) if found is UNSURE else found


def _checked(setting: Setting, value: Any, *, as_text: bool) -> Any:
    from pydantic import ValidationError

    adapter = adapter_for(setting)
    try:
        if setting.secret:
            return adapter.validate_python(value)
        if setting.size and isinstance(value, str):
            value = parse_size(value)
        elif as_text:
            value = _from_text(setting, value)
        _refuse_empty_path(setting, value)
        if as_text and isinstance(value, str):
            return adapter.validate_python(value)
        return _strictly(adapter, value)
    except (ValidationError, TypeError, ValueError, OverflowError):
        # The cause is dropped on purpose: it quotes the value, which may be a secret in the wrong place.
        raise ValueError(setting.allowed) from None


def adapter_for(setting: Setting) -> TypeAdapter[Any]:
    """The pydantic adapter of a setting with its range.

    Raises:
        PluginError: pydantic does not know its type.
    """
    from pydantic import Field, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    limits: dict[str, Any] = {}
    if setting.minimum is not None:
        limits["ge"] = setting.minimum
    if setting.maximum is not None:
        limits["le"] = setting.maximum
    if _plain(setting.kind) is float:
        limits["allow_inf_nan"] = False
    kind: Any = Annotated[setting.kind, Field(**limits)] if limits else setting.kind
    try:
        return TypeAdapter(kind)
    except PydanticSchemaGenerationError as error:
        raise PluginError(f"the option {setting.name!r} has a type that cannot be checked: {setting.kind}") from error


def parse_size(text: str) -> int:
    """Bytes of a text such as ``8MiB``, ``10 MB`` or ``4096``.

    Raises:
        ValueError: It is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = {**_UNITS, **_BINARY_UNITS}.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{text!r} is no size")
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def anchor(value: Any, base_dir: Path) -> Any:
    """Make the relative paths within a checked value absolute and expand ``~``.

    Raises:
        ValueError: The home folder of ``~`` is unknown.
    """
    if isinstance(value, Path):
        try:
            return base_dir / value.expanduser()
        except RuntimeError as error:
            raise ValueError("a path whose home folder is known") from error
    if isinstance(value, (tuple, list)):
        return type(value)(anchor(entry, base_dir) for entry in value)
    return value


def _plain(kind: Any) -> Any:
    """The type without its annotations and without "or None"."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in {typing.Union, types.UnionType}:
        rest = [argument for argument in get_args(kind) if argument is not types.NoneType]
        return _plain(rest[0]) if len(rest) == 1 else kind
    return kind


def _from_text(setting: Setting, value: Any) -> Any:
    """Read lists and tables out of a text; 0 and 1 may stand for a truth value."""
    kind = _plain(setting.kind)
    if kind is bool and type(value) is int:
        return str(value)
    if not isinstance(value, str):
        return value
    origin = get_origin(kind) or kind
    if not isinstance(origin, type):
        return value
    if issubclass(origin, Mapping):
        return json.loads(value)
    if issubclass(origin, (tuple, list, set, frozenset)):
        return _list_from_text(value, is_path=get_args(kind)[:1] == (Path,))
    return value.strip() if kind in {int, float, bool} else value


def _list_from_text(text: str, *, is_path: bool) -> Any:
    if text.lstrip().startswith("["):
        return json.loads(text)
    separator = os.pathsep if is_path else ","
    return [entry.strip() for entry in text.split(separator) if entry.strip()]


def _strictly(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Validate as a JSON document: lists become tuples and texts paths, but no text becomes a number."""
    document = json.dumps(value, default=_jsonable, ensure_ascii=False)
    try:
        return adapter.validate_json(document.encode(), strict=True)
    except UnicodeEncodeError:  # a file name that is no valid text
        return adapter.validate_python(value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in a configuration")


def _refuse_empty_path(setting: Setting, value: Any) -> None:
    """The empty path would silently mean the working folder; "." says so."""
    kind = _plain(setting.kind)
    is_list = get_origin(kind) in {tuple, list} and get_args(kind)[:1] == (Path,)
    if (kind is Path and value == "") or (is_list and isinstance(value, (tuple, list)) and "" in value):
        raise ValueError("an empty path")
