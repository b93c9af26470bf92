"""Load the configuration: defaults < file < environment < arguments."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.config.assemble import assemble
from haulier.config.documents import read_document, translate
from haulier.config.environment import environment_layer
from haulier.config.locate import default_user_folder, locate
from haulier.config.overlay import Given, flatten, merge
from haulier.config.problems import Problems

if TYPE_CHECKING:
    from haulier.config.documents import Readers
    from haulier.config.models import Config
    from haulier.config.overlay import Layer, Path

__all__ = ["load_config"]


def load_config(
    path_or_mapping: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: pathlib.Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    readers: Readers | None = None,
    lenient: bool = False,
    user_folder: pathlib.Path | None = None,
) -> Config:
    """Load and check the configuration.

    Args:
        path_or_mapping: A TOML or JSON file, or its content as a mapping. None looks in the usual places; when there
            is none, the defaults hold.
        environ: The environment; default that of this process.
        cwd: The folder that relative paths outside of files refer to; default the working folder.
        arguments: The topmost layer, shaped like the file. None within it is "not given".
        readers: Readers for files of other shapes by the section that marks them, or a callable that provides them
            when one is needed.
        lenient: A wrong value or unknown key gives the default and one warning instead of an error, and texts may stand
            for numbers and truth values everywhere.
        user_folder: The folder with the user's configuration; default the platform's.

    Raises:
        ConfigError: A file cannot be read; when strict also a wrong value or an unknown key. The message names the
            file, the key, what is allowed and the nearest known key, and never shows a backend's option values.
    """
    environ = os.environ if environ is None else environ
    cwd = pathlib.Path.cwd() if cwd is None else cwd
    problems = Problems(lenient)
    source = _Source(environ, cwd, readers or {}, problems)
    if isinstance(path_or_mapping, Mapping):
        file, below = None, source.given(path_or_mapping)
    else:
        file, below = source.found(path_or_mapping, user_folder)
    layers = [
        below,
        environment_layer(environ, below, cwd, problems),
        flatten(arguments or {}, source.giver("argument", cwd)),
    ]
    return assemble(merge(layers), file, problems)


@dataclass(frozen=True, slots=True)
class _Source:
    """Reads the layer of the file."""

    environ: Mapping[str, str]
    cwd: pathlib.Path
    readers: Readers
    problems: Problems

    def giver(self, origin: str, base_dir: pathlib.Path) -> Any:
        """Make the function that marks values with their origin."""
        lenient = self.problems.lenient

        def give(path: Path, value: Any) -> Given:
            return Given(value, origin, ".".join(path), base_dir, as_text=lenient)

        return give

    def given(self, document: Mapping[str, Any]) -> Layer:
        """The layer of a mapping that a host passed."""
        return self._layer(document, "argument", self.cwd)

    def found(
        self, named: str | os.PathLike[str] | None, user_folder: pathlib.Path | None
    ) -> tuple[pathlib.Path | None, Layer]:
        """The configuration file, if there is one, and its layer."""
        location = locate(named, environ=self.environ, cwd=self.cwd, user_folder=user_folder or default_user_folder())
        self.problems.warnings.extend(location.warnings)
        if location.path is None:
            return None, {}
        path = pathlib.Path(os.path.abspath(location.path))  # noqa: PTH100 - resolve() would follow links
        layer = self._layer(read_document(path), str(path), path.parent)
        if not location.chosen and layer.pop(("plugins", "files"), None) is not None:
            self.problems.warn(
                f"{path}: plugins.files",
                "is ignored in a file that was found in the working folder; name it with --config to use it",
            )
        return path, layer

    def _layer(self, document: Mapping[str, Any], origin: str, base_dir: pathlib.Path) -> Layer:
        translated = translate(document, self.readers, origin, self.problems)
        as_text = self.problems.lenient or bool(translated.marker)

        def give(path: Path, value: Any) -> Given:
            return Given(value, origin, translated.label(path), base_dir, as_text=as_text)

        return flatten(translated.document, give)
