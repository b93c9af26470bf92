"""Settings in environment variables: ``HAULIER_UPLOAD__MAX_RETRIES=5`` is ``max_retries = 5`` in ``[upload]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.config.overlay import Given, Path
from haulier.config.settings import SECTIONS, settings_of

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Iterator, Mapping

    from haulier.config.overlay import Layer
    from haulier.config.problems import Problems

__all__ = ["PREFIX", "environment_layer", "variable_name"]

PREFIX = "HAULIER_"
_SEPARATOR = "__"


def variable_name(path: Path) -> str:
    """The variable that sets a key."""
    return PREFIX + _SEPARATOR.join(path).upper().replace("-", "_")


def environment_layer(
    environ: Mapping[str, str], known: Iterable[Path], base_dir: pathlib.Path, problems: Problems
) -> Layer:
    """The values given by environment variables.

    A name is lower-cased, unless a lower layer has the same key in another spelling: case, and ``-`` for ``_``.
    Variables without a double underscore are no settings (``HAULIER_CONFIG``, or a secret by that name).

    Args:
        environ: The environment.
        known: Keys of the lower layers, for their spelling.
        base_dir: The folder that relative paths refer to.
        problems: Is told of a variable that looks like a setting written with a single underscore.
    """
    spellings = _spellings(known)
    slips = {variable_name(path).replace(_SEPARATOR, "_"): variable_name(path) for path in _own_settings()}
    layer: Layer = {}
    for name in sorted(environ):
        upper = name.upper()
        if not upper.startswith(PREFIX):
            continue
        segments = upper.removeprefix(PREFIX).split(_SEPARATOR)
        if len(segments) == 1:
            if upper in slips:
                problems.warn(f"environment {name}", f"is not used; the setting's name is {slips[upper]}")
            continue
        path = _spelt(segments, spellings)
        origin = f"environment {name}"
        layer[path] = Given(environ[name], origin, ".".join(path), base_dir, as_text=True)
    return layer


def _own_settings() -> Iterator[Path]:
    for section, owner in SECTIONS.items():
        yield from ((section, name) for name in settings_of(owner))


def _folded(path: Path) -> Path:
    return tuple(segment.upper().replace("-", "_") for segment in path)


def _spellings(known: Iterable[Path]) -> dict[Path, str]:
    """How the last segment of each known key, and of each table above it, is spelt."""
    return {_folded(path[:length]): path[length - 1] for path in known for length in range(1, len(path) + 1)}


def _spelt(segments: list[str], spellings: Mapping[Path, str]) -> Path:
    return tuple(spellings.get(tuple(segments[: index + 1]), segment.lower()) for index, segment in enumerate(segments))
