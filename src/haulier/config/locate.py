"""Find the configuration file.

In this order: the one that is named, ``HAULIER_CONFIG``, the working folder's if it belongs to the user, the user's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haulier.config.ownership import belongs_to_user
from haulier.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

__all__ = ["FILE_NAMES", "VARIABLE", "Location", "default_user_folder", "locate"]

VARIABLE = "HAULIER_CONFIG"
FILE_NAMES = ("haulier.toml", "haulier.json")


@dataclass(frozen=True, slots=True)
class Location:
    """Where the configuration lies.

    Attributes:
        path: The file, or None when there is none.
        chosen: Whether somebody chose it. One that merely lies in the working folder may load no plugin files: it may
            have come with an archive or a checkout.
        warnings: What was passed over, and why.
    """

    path: Path | None
    chosen: bool = True
    warnings: tuple[str, ...] = ()


def default_user_folder() -> Path:
    """The platform's folder for this user's configurations."""
    import platformdirs

    return Path(platformdirs.user_config_dir("haulier", appauthor=False))


def locate(
    named: str | os.PathLike[str] | None,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    user_folder: Path,
    owned: Callable[[Path], bool] = belongs_to_user,
) -> Location:
    """Find the file to read.

    Args:
        named: The file somebody named, or None.
        environ: The environment.
        cwd: The working folder.
        user_folder: The folder with the user's own configuration.
        owned: Tells whether a file belongs to the user.

    Raises:
        ConfigError: A file that was named does not exist.
    """
    if named is not None:
        return Location(_existing(cwd / Path(named).expanduser(), "the configuration file"))
    if environ.get(VARIABLE):
        return Location(_existing(cwd / Path(environ[VARIABLE]).expanduser(), f"the file named by {VARIABLE}"))
    warnings: list[str] = []
    for path in (cwd / name for name in FILE_NAMES):
        if not path.is_file():
            continue
        if _owned(path, owned):
            return Location(path, chosen=False)
        warnings.append(f"{path}: passed over, as it belongs to another user; name it with --config to use it")
    found = next((path for path in (user_folder / name for name in FILE_NAMES) if path.is_file()), None)
    return Location(found, warnings=tuple(warnings))


def _existing(path: Path, what: str) -> Path:
    if path.is_file():
        return path
    state = "is a folder" if path.is_dir() else "does not exist"
    raise ConfigError(
        f"{what} {state}", where=str(path), advice="Name an existing file, or make one with `haulier init`"
    )


def _owned(path: Path, owned: Callable[[Path], bool]) -> bool:
    try:
        return owned(path)
    except OSError:  # who cannot be asked is not the user
        return False
