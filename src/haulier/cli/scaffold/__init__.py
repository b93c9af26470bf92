"""A ready distribution for a new backend type, written from templates that are plain text."""

from __future__ import annotations

import re
import shutil
from importlib.resources import files as package_files
from string import Template
from typing import TYPE_CHECKING

from haulier import __version__
from haulier.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["write_distribution"]

LONGEST = 40
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TARGETS = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "init.py": "src/$package/__init__.py",
    "plugin.py": "src/$package/plugin.py",
    "backend.py": "src/$package/backend.py",
    "py.typed": "src/$package/py.typed",
    "conformance.py": "tests/test_${module}_conformance.py",
}


def write_distribution(name: str, parent: Path) -> tuple[Path, list[str]]:
    """Write the distribution ``haulier-NAME`` as a new folder; all of it or nothing.

    Args:
        name: Of the backend type: lower-case letters, digits and single hyphens.
        parent: Where the folder is made; must exist.

    Returns:
        The folder, and the files in it relative to it.

    Raises:
        InputError: The name cannot be one, or the folder is there or cannot be written.
    """
    words = _words(name)
    target = parent / f"haulier-{name}"
    try:
        target.mkdir()
    except FileExistsError as error:
        raise InputError("the folder exists already", where=str(target), advice="Choose another name") from error
    except OSError as error:
        raise InputError(f"the folder cannot be made: {error.strerror or error}", where=str(target)) from error
    try:
        return target, [_write(target, source, place, words) for source, place in _TARGETS.items()]
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise InputError(f"it cannot be written: {error.strerror or error}", where=str(target)) from error


def _words(name: str) -> Mapping[str, str]:
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise InputError(
            "this cannot be the name of a backend type",
            where=name,
            advice=f"Use lower-case letters, digits and single hyphens, a letter first, at most {LONGEST} characters",
        )
    major, minor = (int(number) for number in __version__.split(".")[:2])
    module = name.replace("-", "_")
    return {
        "name": name,
        "module": module,
        "package": f"haulier_{module}",
        "camel": "".join(word.capitalize() for word in name.split("-")),
        "least": __version__,
        "below": f"{major}.{minor + 1}" if major == 0 else str(major + 1),
    }


def _write(target: Path, source: str, place: str, words: Mapping[str, str]) -> str:
    text = package_files(__name__).joinpath("templates", f"{source}.template").read_text("utf-8")
    relative = Template(place).substitute(words)
    path = target / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(text).substitute(words), "utf-8", newline="\n")
    return relative
