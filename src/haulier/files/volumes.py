"""What kind of place a path is: local, on a network, in a folder that a cloud service synchronises."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["has_lasting_file_ids", "is_network_type", "is_synchronised", "type_of_mount"]

NETWORK_TYPES = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.davfs", "fuse.glusterfs", "fuse.gcsfuse"),
        *("fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"),
        *("remote", "smb3", "smbfs", "virtiofs", "webdav"),
    }
)
MADE_UP_FILE_IDS = frozenset({"9p", "cifs", "davfs", "exfat", "fat", "msdos", "remote", "smb3", "smbfs", "vfat"})

_SYNCHRONISED = re.compile(
    r"onedrive( - .+)?|dropbox( \(.+\))?|google ?drive|icloud ?drive|com~apple~clouddocs|mobile documents|cloudstorage"
)
_SYNCHRONISED_ROOT = re.compile(r"my drive")  # Google Drive as a drive letter of its own
_SYNCHRONISED_VARIABLES = ("OneDrive", "OneDriveConsumer", "OneDriveCommercial")


def type_of_mount(mounts: str, path: str) -> str:
    """The type of the volume below a path.

    Args:
        mounts: Lines as in ``/proc/self/mounts`` (fstab(5)): device, mount point, type, ...; later lines hide earlier.
        path: Absolute and without links.

    Returns:
        The type in lower case, or ``""`` when no line fits.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - device, mount point, type
            continue
        point = _unescape(fields[1])
        if _is_below(path, point) and len(point) >= len(best):
            best, kind = point, fields[2].lower()
    return kind


def is_network_type(kind: str) -> bool:
    """Whether a file-system type keeps its files on another machine."""
    return kind in NETWORK_TYPES


def has_lasting_file_ids(kind: str) -> bool:
    """Whether a file keeps its number on volumes of this type, rather than getting a new one at each mount."""
    return kind not in MADE_UP_FILE_IDS and not kind.startswith("fuse")


def is_synchronised(path: str, environ: Mapping[str, str], *, windows: bool) -> bool:
    """Whether a path lies in a folder of OneDrive, Dropbox, Google Drive or iCloud Drive, as far as names tell."""
    flavour = PureWindowsPath if windows else PurePosixPath
    parts = [part.casefold() for part in flavour(path).parts]
    if any(_SYNCHRONISED.fullmatch(part) for part in parts[1:]):
        return True
    if windows and any(_SYNCHRONISED_ROOT.fullmatch(part) for part in parts[1:2]):
        return True
    roots = [[part.casefold() for part in flavour(environ.get(name, "")).parts] for name in _SYNCHRONISED_VARIABLES]
    return any(root and parts[: len(root)] == root for root in roots)


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(posixpath.join(point, ""))


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
