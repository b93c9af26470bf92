"""What the program's exit code says."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from haulier.errors import (
    AuthenticationError,
    ConfigError,
    JournalDamagedError,
    JournalUnavailableError,
    JournalVersionError,
    PluginError,
    StateFolderError,
    TransientError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ExitCode", "exit_code_of", "first_of"]


class ExitCode(IntEnum):
    """Exit codes. Of several outcomes the first of credentials, configuration, failed, try later holds."""

    OK = 0  # all done
    FAILED = 1  # something failed
    USAGE = 2  # the command line was wrong
    CONFIGURATION = 4  # configuration, state folder, journal, plugins
    CREDENTIALS = 5  # a destination refused the credentials
    TRY_LATER = 75  # tasks are left queued, or something is away just now
    INTERRUPTED = 130


_PRECEDENCE = (ExitCode.CREDENTIALS, ExitCode.CONFIGURATION, ExitCode.FAILED, ExitCode.TRY_LATER)

_CODES: tuple[tuple[tuple[type[Exception], ...], ExitCode], ...] = (
    ((AuthenticationError,), ExitCode.CREDENTIALS),
    (
        (ConfigError, PluginError, StateFolderError, JournalVersionError, JournalDamagedError),
        ExitCode.CONFIGURATION,
    ),
    ((JournalUnavailableError, TransientError, WaitTimeoutError), ExitCode.TRY_LATER),
)


def exit_code_of(error: Exception) -> ExitCode:
    """The code of a program that ends with this error."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), ExitCode.FAILED)


def first_of(codes: Iterable[ExitCode]) -> ExitCode:
    """The code that holds when several outcomes come together."""
    found = set(codes)
    return next((code for code in _PRECEDENCE if code in found), ExitCode.OK)
