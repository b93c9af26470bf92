"""What the exceptions of the libraries behind fsspec mean for an upload, told by their names: none is imported here.

Most of them raise ``OSError``, which :mod:`haulier.backends.disk_errors` knows. Paramiko (sftp) and ftplib (ftp) have
exceptions of their own besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.backends.disk_errors import away
from haulier.errors import (
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    TransferError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["translate_foreign"]

_FTP_NO_LOGIN = frozenset({"430", "530", "532"})
_FTP_FULL = frozenset({"452", "552"})
_FTP_FORBIDDEN = frozenset({"534", "550"})
_FTP_BAD_NAME = frozenset({"501", "553"})
_FTP_AWAY = frozenset({"421", "425", "426"})


def _unreachable(error: BaseException, where: str) -> TransferError:
    del error
    return away("no connection to the server", where)


def _no_login(error: BaseException, where: str) -> TransferError:
    return AuthenticationError(f"the server does not accept the credentials ({type(error).__name__})", where=where)


def _wrong_host(error: BaseException, where: str) -> TransferError:
    del error
    advice = "Compare the server's key with the known one; it may be another server"
    return NetworkError("the server shows another key than the known one", where=where, advice=advice, reached=False)


def _broken(error: BaseException, where: str) -> TransferError:
    return NetworkError(f"the connection failed ({type(error).__name__})", where=where)


def _ftp_reply(error: BaseException, where: str) -> TransferError:
    """By the code that begins the server's reply (RFC 959, section 4.2)."""
    code = str(error)[:3]
    text = f"the server refused (reply {code})"
    if code in _FTP_NO_LOGIN:
        return AuthenticationError(text, where=where)
    if code in _FTP_FULL:
        return QuotaError(text, where=where)
    if code in _FTP_FORBIDDEN:
        return PermissionDeniedError(text, where=where)
    if code in _FTP_BAD_NAME:
        return ValidationError(text, where=where)
    if code in _FTP_AWAY:
        return NetworkError(text, where=where)
    return ServerError(text, where=where)


_BY_NAME: dict[tuple[str, str], Callable[[BaseException, str], TransferError]] = {
    ("paramiko", "NoValidConnectionsError"): _unreachable,
    ("paramiko", "AuthenticationException"): _no_login,
    ("paramiko", "BadHostKeyException"): _wrong_host,
    ("paramiko", "SSHException"): _broken,
    ("paramiko", "SFTPError"): _broken,
    ("ftplib", "Error"): _ftp_reply,
    ("builtins", "EOFError"): _broken,
}


def translate_foreign(error: BaseException, where: str) -> TransferError | None:
    """The error whose consequence fits; None for an exception that is not known here."""
    if type(error) is OSError and error.errno is None and "closed" in str(error):  # so says paramiko of its socket
        return _broken(error, where)
    for kind in type(error).__mro__:
        make = _BY_NAME.get((kind.__module__.partition(".")[0], kind.__name__))
        if make is not None:
            return make(error, where)
    return None
