"""The operating system's files: the one place where Haulier opens, renames, locks and deletes."""

from haulier.files.handles import SourceHandle
from haulier.files.names import comparison_key, is_private_name, original_name, private_name
from haulier.files.port import FileEntry, FileLock, Files
from haulier.files.system import System, native_system

__all__ = [
    "FileEntry",
    "FileLock",
    "Files",
    "SourceHandle",
    "System",
    "comparison_key",
    "is_private_name",
    "native_system",
    "original_name",
    "private_name",
]
