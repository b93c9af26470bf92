"""What an ``OSError`` from a destination's file system means for an upload."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from haulier.errors import (
    ConflictError,
    NetworkError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    TransferError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["away", "disk_errors", "translate"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MALFORMED = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ELOOP})
_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})
_AWAY_NAMES = (
    *("EIO", "ESTALE", "ENODEV", "ENXIO", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    *("ECONNREFUSED", "EREMOTEIO", "ENOMEDIUM", "ETIMEDOUT"),
)
_AWAY = frozenset(number for name in _AWAY_NAMES if (number := getattr(errno, name, None)) is not None)

# Windows' own numbers, where errno is too coarse: a file that another program holds open, and drives that went away.
_WIN_SHARED = frozenset({32, 33})
_WIN_AWAY = frozenset({21, 53, 55, 59, 64, 65, 67, 121, 1167, 1231, 1232})


def away(what: str, where: str) -> NetworkError:
    """The error for a destination that is not there at all: the backend waits, nobody is charged."""
    return NetworkError(what, where=where, advice="Bring the folder or volume back; uploads go on then", reached=False)


def translate(error: OSError, where: str) -> TransferError:
    """The error of :mod:`haulier.errors` whose consequence fits; ``where`` names the path or address."""
    text = error.strerror or str(error) or type(error).__name__
    number, windows = error.errno, getattr(error, "winerror", None)
    if windows in _WIN_SHARED:
        return ServerError(f"another program holds the file open ({text})", where=where)
    if number in _AWAY or windows in _WIN_AWAY or isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return away(f"the storage does not answer ({text})", where)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return NetworkError(text, where=where)
    if number in _FULL:
        return QuotaError(f"the storage is full ({text})", where=where, advice="Free space there, then `haulier retry`")
    if number in _FORBIDDEN or isinstance(error, PermissionError):
        return PermissionDeniedError(f"not allowed ({text})", where=where)
    if number == errno.EXDEV:
        return ValidationError("this folder is another volume than the root; give it a backend of its own", where=where)
    if number in _IN_THE_WAY or isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)):
        return ConflictError(f"something else is in the way ({text})", where=where)
    if number in {errno.ENOTSUP, errno.EOPNOTSUPP}:
        return ValidationError(f"the file system cannot do what is needed ({text})", where=where)
    if number in _MALFORMED:
        return ValidationError(f"the file system refuses the name ({text})", where=where)
    return ServerError(f"the file system failed ({text})", where=where)


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Translate any ``OSError`` raised inside. Reading the source does not belong inside."""
    try:
        yield
    except OSError as error:
        raise translate(error, where) from error
