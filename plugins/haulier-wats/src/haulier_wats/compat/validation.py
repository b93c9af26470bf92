"""What a recording must be before it is queued: two files of sane size, and metadata that names its session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier_wats.compat.exceptions import MissingFileError, ValidationError
from haulier_wats.compat.log import logger

if TYPE_CHECKING:
    import os

    from haulier.files import Files

__all__ = ["Limits", "check_recording"]

log = logger("validation")

_TOO_LARGE = 413
_EXPECTED: dict[str, tuple[type, ...]] = {
    "connection_info": (dict,),
    "start_time": (str,),
    "recorder_settings": (dict,),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Most bytes of a file. The video's is that of the reference server; servers may take less, and then say so."""

    video: int = 16 << 30
    metadata: int = 1 << 20


def check_recording(
    video_file: str | os.PathLike[str],
    metadata_file: str | os.PathLike[str] | None,
    limits: Limits | None = None,
    *,
    files: Files | None = None,
) -> dict[str, Any]:
    """Refuse what no server could take; warn of what is merely odd.

    Args:
        video_file: The video.
        metadata_file: Its metadata: a JSON object with a text ``session_id``. None for a recording without.
        limits: Most bytes.
        files: Operating system; None for this machine's.

    Returns:
        The metadata; empty without a file.

    Raises:
        MissingFileError: One of the files does not exist.
        ValidationError: A file is empty, too large, or the metadata is not what it must be.
    """
    limits = limits or Limits()
    _check_size(Path(video_file), "video", limits.video)
    if metadata_file is None:
        log.warning("%s has no metadata file; the server is told what its name tells", Path(video_file).name)
        return {}
    path = Path(metadata_file)
    _check_size(path, "metadata", limits.metadata)
    document = _read(path, files, limits)
    for name, kinds in _EXPECTED.items():
        if not isinstance(document.get(name), kinds):
            log.warning("%s: %s is missing or of another kind; it is sent as it is", path.name, name)
    return document


def _check_size(path: Path, what: str, most: int) -> None:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ValidationError(f"{path}: the {what} file is no file")
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: there is no such {what} file") from error
    except OSError as error:
        raise ValidationError(f"{path}: the {what} file cannot be looked at ({error.strerror})") from error
    if size == 0:
        raise ValidationError(f"{path}: the {what} file is empty")
    if size > most:
        raise ValidationError(f"{path}: the {what} file has {size} bytes; at most {most} are taken", _TOO_LARGE)


def _read(path: Path, files: Files | None, limits: Limits) -> dict[str, Any]:
    from haulier.files import Files

    try:
        document = json.loads((files or Files()).read_bytes(path, limits.metadata).decode("utf-8-sig"))
    except OSError as error:
        raise ValidationError(f"{path}: the metadata file cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{path}: the metadata is no JSON") from error
    if not isinstance(document, dict):
        raise ValidationError(f"{path}: the metadata is no JSON object")
    if not isinstance(document.get("session_id"), str) or not document["session_id"]:
        raise ValidationError(f"{path}: the metadata has no session_id, or it is no text")
    return document
