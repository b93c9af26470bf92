"""The configuration's JSON Schema, and a list of all settings for the reference page and its tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from haulier.config.settings import SECTIONS, settings_of
from haulier.config.toml_text import value_text
from haulier.config.validation import adapter_for
from haulier.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.config.settings import Setting

__all__ = ["SettingDescription", "config_schema", "default_text", "describe_settings"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """One line of the reference page.

    Attributes:
        path: Dotted; a backend's option is ``backends.TYPE.option``, with the backend type for its name.
        allowed: What may be given, in words.
        default: As TOML, or in words; empty when the setting is required.
        help: For people.
        required: Whether it must be given.
        secret: Whether it should be given as a reference.
    """

    path: str
    allowed: str
    default: str
    help: str
    required: bool
    secret: bool


def describe_settings(option_types: Mapping[str, type] | None = None) -> tuple[SettingDescription, ...]:
    """Every setting of the core, then every option of the given backend types.

    Args:
        option_types: Options dataclass by backend type.
    """
    tables = {**SECTIONS, **{f"backends.{name}": owner for name, owner in sorted((option_types or {}).items())}}
    return tuple(
        SettingDescription(
            f"{table}.{setting.name}",
            setting.allowed,
            default_text(setting),
            setting.help,
            setting.required,
            setting.secret,
        )
        for table, owner in tables.items()
        for setting in settings_of(owner).values()
    )


def default_text(setting: Setting) -> str:
    """The default as TOML, or in words where it has none; empty when the setting is required."""
    if setting.default_text or setting.required:
        return setting.default_text
    try:
        return value_text(setting.make_default())
    except TypeError:  # None, or an object of the plugin's own
        return "none"


def config_schema(option_types: Mapping[str, type] | None = None) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the configuration file, TOML or JSON.

    Args:
        option_types: Options dataclass by backend type; tables of other types may hold anything.
    """
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {section: _table(owner, definitions) for section, owner in SECTIONS.items()}
    types = sorted((option_types or {}).items())
    for name, owner in types:
        table = _table(owner, definitions)
        table["properties"] = {"type": {"type": "string"}, **table["properties"]}
        definitions[f"backend {name}"] = table
    names = [name for name, _ in types]
    properties["backends"] = {
        "type": "object",
        "description": "One table per backend, under a name of its own.",
        "properties": {name: _backend_named(name) for name in names},
        "additionalProperties": {"$ref": "#/$defs/backend"},
    }
    definitions["backend"] = _any_backend(names)
    return {
        "$schema": _DIALECT,
        "title": "Haulier configuration",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _reference(name: str) -> dict[str, str]:
    # A JSON pointer in a URI fragment: the blank must be escaped.
    return {"$ref": f"#/$defs/backend%20{name}"}


def _any_backend(names: list[str]) -> dict[str, Any]:
    """A table whose key ``type`` selects what else it may hold."""
    choices = [
        {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": _reference(name)}
        for name in names
    ]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"type": {"type": "string", "description": "Backend type; default: the table's own name."}},
    }
    return {**schema, "allOf": choices} if choices else schema


def _backend_named(name: str) -> dict[str, Any]:
    """A table with the name of a type: it is of that type unless it says otherwise."""
    return {"if": {"required": ["type"]}, "then": {"$ref": "#/$defs/backend"}, "else": _reference(name)}


def _table(owner: type, definitions: dict[str, Any]) -> dict[str, Any]:
    settings = settings_of(owner)
    table: dict[str, Any] = {
        "type": "object",
        "properties": {name: _property(setting, definitions) for name, setting in settings.items()},
        "additionalProperties": False,
    }
    required = [name for name, setting in settings.items() if setting.required]
    return {**table, "required": required} if required else table


def _property(setting: Setting, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _type_schema(setting, definitions)
    if setting.size:
        schema = {"anyOf": [schema, {"type": "string", "pattern": r"^\s*[0-9.]+\s*([KMGTkmgt]?[iI]?[bB])?\s*$"}]}
    if setting.help:
        schema["description"] = setting.help
    default = None if setting.required or setting.default_text or setting.secret else setting.make_default()
    if default is not None:
        try:
            schema["default"] = json.loads(json.dumps(default, default=_jsonable))
        except TypeError:
            schema.pop("default", None)
    return schema


def _type_schema(setting: Setting, definitions: dict[str, Any]) -> dict[str, Any]:
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        schema = adapter_for(setting).json_schema()
    except (PydanticInvalidForJsonSchema, PluginError):
        return {}
    definitions.update(schema.pop("$defs", {}))
    return schema


def _jsonable(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")
