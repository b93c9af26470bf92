"""The system's limit of open files: each client takes one, and each upload another."""

from __future__ import annotations

import errno
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["ENOUGH", "TOO_MANY", "allow_many_files", "tell_of_too_many"]

ENOUGH = 4096
"""Open files that a thousand clients at once need, with much to spare."""

TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors that say that no more files may be opened."""

_ADVICE = "raise the limit (ulimit -n, or LimitNOFILE of systemd)"
_log = logging.getLogger(__name__)


def allow_many_files() -> None:
    """Let this process have as many files open as it may; where that is little, say so. Windows has no such limit."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = resource.RLIM_INFINITY
        wanted = ENOUGH if hard == unlimited else min(ENOUGH, hard)
        if soft != unlimited and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        if soft != unlimited and soft < ENOUGH:
            _log.warning(
                "only %d files may be open, which is enough for some %d clients at once; %s", soft, soft // 3, _ADVICE
            )


def tell_of_too_many(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say in one line that clients have to wait; to be a loop's exception handler. The loop tries again by itself."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in TOO_MANY:
        _log.warning("too many open files: clients that come now wait until others are gone; %s", _ADVICE)
    else:
        loop.default_exception_handler(context)
