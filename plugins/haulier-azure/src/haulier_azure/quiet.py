"""Keeps shared access signatures out of the logs of the libraries below the SDK.

The SDK's own loggers write a signature as stars. ``urllib3`` writes each request's whole path and query when somebody
turns debugging on.
"""

from __future__ import annotations

import logging
import re

__all__ = ["hide_signatures"]

_SIGNATURE = re.compile(r"(?<![a-z0-9])(sig=)[^&\s\"']+", re.IGNORECASE)
_LOGGERS = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")


class _SignatureFilter(logging.Filter):
    """Writes stars instead of signatures."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change what is shown; keep every record."""
        if isinstance(record.args, tuple):
            record.args = tuple(_hidden(value) for value in record.args)
        record.msg = _hidden(record.msg)
        return True


def hide_signatures() -> None:
    """Let the loggers hide signatures from now on. May be called again."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _SignatureFilter) for each in logger.filters):
            logger.addFilter(_SignatureFilter())


def _hidden(value: object) -> object:
    """A text without its signatures; anything else as it is, unless its own text shows one."""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return _SIGNATURE.sub(r"\1***", text) if _SIGNATURE.search(text) else value
