"""What a configuration dataclass says about its fields, ours or a plugin's, in one form.

Plugins' options dataclasses may use the same metadata: ``help``, and ``minimum``, ``maximum``, ``size``,
``default_text`` (see :func:`haulier.config.models.setting`), and ``renew``: the command that gives a secret anew.
"""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, get_args, get_origin

from haulier.config.models import PluginsConfig, UploadConfig, WatchConfig
from haulier.config.secrets import Secret
from haulier.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SECTIONS", "Setting", "holds_secret", "settings_of"]

SECTIONS: Mapping[str, type] = types.MappingProxyType(
    {"upload": UploadConfig, "watch": WatchConfig, "plugins": PluginsConfig}
)
"""The tables with fixed keys. ``backends`` is the one beside them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: Key in its table.
        kind: Its type as annotated.
        help: For people.
        minimum: Least number allowed, or None.
        maximum: Greatest number allowed, or None.
        size: Whether it is a number of bytes that may be written with a unit.
        required: Whether it has no default.
        make_default: Makes the default; raises ``LookupError`` when required.
        default_text: Says what the default is when it is no constant.
        renew: The command that gives a secret anew, for messages.
    """

    name: str
    kind: Any
    help: str
    minimum: float | None
    maximum: float | None
    size: bool
    required: bool
    make_default: Callable[[], Any]
    default_text: str
    renew: str = ""

    @property
    def allowed(self) -> str:
        """What may be given, in words: completes the sentence "must be ..."."""
        if self.size:
            return f'a size in bytes or a text such as "64MiB"{_range(self.minimum, self.maximum)}'
        return _kind_text(self.kind) + _range(self.minimum, self.maximum)

    @property
    def secret(self) -> bool:
        """Whether its type holds a :class:`~haulier.config.secrets.Secret`."""
        return holds_secret(self.kind)


def settings_of(owner: type) -> dict[str, Setting]:
    """The settings of a dataclass by key, in its order.

    Raises:
        PluginError: It is no dataclass, or its annotations cannot be resolved.
    """
    if not is_dataclass(owner):
        raise PluginError(f"{owner!r} does not describe options", advice="Make it a frozen dataclass")
    hints = _hints(owner)
    described = {}
    for item in fields(owner):
        if not item.init:
            continue
        default, factory = item.default, item.default_factory
        described[item.name] = Setting(
            name=item.name,
            kind=hints[item.name],
            help=item.metadata.get("help", ""),
            minimum=item.metadata.get("minimum"),
            maximum=item.metadata.get("maximum"),
            size=bool(item.metadata.get("size")),
            required=default is MISSING and factory is MISSING,
            make_default=factory if factory is not MISSING else _constant(item.name, default),
            default_text=item.metadata.get("default_text", ""),
            renew=item.metadata.get("renew", ""),
        )
    return described


def holds_secret(kind: Any) -> bool:
    """Whether a type is a secret or contains one."""
    return kind is Secret or any(holds_secret(argument) for argument in get_args(kind))


def _constant(name: str, default: Any) -> Callable[[], Any]:
    def make() -> Any:
        if default is MISSING:
            raise LookupError(f"{name} has no default")
        return default

    return make


def _hints(owner: type) -> dict[str, Any]:
    """Resolve the annotations, also those whose names are imported for type checkers alone."""
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except NameError:
        usual = {"Path": Path, "Secret": Secret, "Any": Any, "Mapping": dict, "Sequence": tuple}
    try:
        return typing.get_type_hints(owner, localns=usual, include_extras=True)
    except NameError as error:
        raise PluginError(
            f"the options {owner.__qualname__} use a type that cannot be found: {error}",
            where=owner.__module__,
            advice="Import the types of its fields outside of TYPE_CHECKING",
        ) from error


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum:.15g} to {maximum:.15g}"
    if minimum is not None:
        return f", at least {minimum:.15g}"
    return "" if maximum is None else f", at most {maximum:.15g}"


def _kind_text(kind: Any) -> str:
    simple = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        Secret: "a secret: env:NAME, file:PATH or keyring:SERVICE/NAME",
        Any: "any value",
    }
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        return _kind_text(arguments[0])
    if kind in simple:
        return simple[kind]
    if origin is typing.Literal:
        return _choices(arguments)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_kind_text(argument) for argument in arguments if argument is not types.NoneType)
    if isinstance(origin, type):
        return _container_text(origin, arguments)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choices(tuple(member.value for member in kind))
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return "a path"
    return f"a {getattr(kind, '__name__', kind)}"


def _choices(values: tuple[Any, ...]) -> str:
    return "one of " + ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)


def _container_text(origin: type, arguments: tuple[Any, ...]) -> str:
    if issubclass(origin, (tuple, list, set, frozenset)):
        return f"a list, each entry {_kind_text(arguments[0])}" if arguments else "a list"
    return "a table"
