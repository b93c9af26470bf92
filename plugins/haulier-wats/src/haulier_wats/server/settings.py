"""What a server is told: its folder, its tokens, its limits, its clock."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from haulier_wats.server.tokens import Tokens

__all__ = ["MAX_APPEND_SIZE", "MAX_FILE_SIZE", "SESSION_TTL", "ServerSettings", "ServerSetupError"]

MAX_FILE_SIZE = 16 << 30
"""Most bytes of one file."""

MAX_APPEND_SIZE = 64 << 20
"""Most bytes of one append."""

SESSION_TTL = 24 * 60 * 60.0
"""Seconds that an upload session lives after its last acknowledged byte."""

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_OWN_SEGMENTS = frozenset({"health", "openapi.json", "uploads", "recordings"})
_LARGEST_INTEGER = 999_999_999_999_999  # of a structured field, RFC 8941 section 3.3.1


class ServerSetupError(ValueError):
    """The server cannot start as it was asked to; the text says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How one server behaves.

    Attributes:
        data_dir: Folder of the recordings; made if missing.
        tokens: Who may call.
        prefix: Path that is answered besides ``/``; empty or ``/`` for none.
        max_file_size: Most bytes of one file.
        max_append_size: Most bytes of one append to an upload resource.
        session_ttl: Seconds that an upload session lives after its creation and after each acknowledged byte.
        ended_ttl: Seconds that an expired or cancelled session can still be asked about.
        silence: Seconds without a byte after which a request's body is given up.
        clock: Seconds since the epoch, now.

    Raises:
        ServerSetupError: The prefix or a limit makes no sense.
    """

    data_dir: Path
    tokens: Tokens = field(repr=False)
    prefix: str = "/api"
    max_file_size: int = MAX_FILE_SIZE
    max_append_size: int = MAX_APPEND_SIZE
    session_ttl: float = SESSION_TTL
    ended_ttl: float = 7 * SESSION_TTL
    silence: float = 60.0
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        path = self.prefix.rstrip("/")
        if path and (not _PREFIX.fullmatch(path) or path.split("/")[1] in _OWN_SEGMENTS):
            raise ServerSetupError(
                f"the prefix {self.prefix!r} cannot be served: give a path such as /api that begins with a slash, "
                "holds letters, digits and ._~- (no dot after a slash) and does not begin with "
                f"one of {', '.join(sorted(_OWN_SEGMENTS))}"
            )
        for name in ("max_file_size", "max_append_size"):
            if not 0 < getattr(self, name) <= _LARGEST_INTEGER:
                raise ServerSetupError(f"{name} must lie between 1 and {_LARGEST_INTEGER} bytes")
        for name in ("session_ttl", "silence"):
            if not getattr(self, name) > 0:
                raise ServerSetupError(f"{name} must be a positive number of seconds")

    @property
    def base_paths(self) -> tuple[str, ...]:
        """The paths below which every route is answered; the empty one is ``/``."""
        path = self.prefix.rstrip("/")
        return (path, "") if path else ("",)
