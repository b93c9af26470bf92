"""Lay documents over each other. Values are kept flat, by the path of their key, each with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable

__all__ = ["Given", "Layer", "Path", "flatten", "merge", "nested"]

Path = tuple[str, ...]
"""A key with its tables: ``("upload", "max_retries")``."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value somebody gave.

    Attributes:
        value: As it stood there; may be a secret.
        origin: A file, ``environment NAME`` or ``argument``.
        label: The key as that somebody wrote it.
        base_dir: The folder that relative paths refer to.
        as_text: Whether a text may stand for a number or truth value.
    """

    value: Any = field(repr=False)
    origin: str
    label: str
    base_dir: pathlib.Path
    as_text: bool = False

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.origin}: {self.label}"


Layer = dict[Path, Given]


def flatten(document: Mapping[str, Any], give: Callable[[Path, Any], Given]) -> Layer:
    """The leaves of a nested document by path. None counts as not given; an empty table is a leaf."""
    layer: Layer = {}

    def descend(path: Path, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, Mapping) and value:
            for key, entry in value.items():
                descend((*path, str(key)), entry)
        else:
            layer[path] = give(path, value)

    for key, entry in document.items():
        descend((str(key),), entry)
    return layer


def merge(layers: Iterable[Layer]) -> Layer:
    """Later layers win, key by key; tables are merged, everything else is replaced as a whole."""
    merged: Layer = {}
    for layer in layers:
        for path, given in layer.items():
            _put(merged, path, given)
    return merged


def _put(merged: Layer, path: Path, given: Given) -> None:
    below = [other for other in merged if len(other) > len(path) and other[: len(path)] == path]
    if given.value == {} and below:
        return  # an empty table adds nothing to one that has entries
    for other in below:
        del merged[other]
    for length in range(1, len(path)):
        merged.pop(path[:length], None)  # it was no table, or an empty one
    merged[path] = given


def nested(entries: Mapping[Path, Any]) -> dict[str, Any]:
    """The inverse of :func:`flatten` for plain values."""
    document: dict[str, Any] = {}
    for path, value in entries.items():
        table = document
        for segment in path[:-1]:
            table = table.setdefault(segment, {})
        table[path[-1]] = value
    return document
