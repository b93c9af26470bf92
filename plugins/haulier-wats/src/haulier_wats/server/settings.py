"""What a server is told: its folder, its tokens, its limits, its clock."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from haulier_wats.server.folders import disk_free
from haulier_wats.server.rows import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from haulier_wats.server.tokens import Tokens

__all__ = [
    "MAX_APPEND_SIZE",
    "MAX_FILE_SIZE",
    "MAX_METADATA_SIZE",
    "MIN_FREE",
    "SESSION_TTL",
    "ServerOptions",
    "ServerSettings",
    "ServerSetupError",
]

MAX_FILE_SIZE = 16 << 30
"""Most bytes of one video."""

MAX_METADATA_SIZE = 16 << 20
"""Most bytes of one metadata file."""

MAX_APPEND_SIZE = 64 << 20
"""Most bytes of one append."""

MIN_FREE = 512 << 20
"""Bytes of the disk that stay free."""

SESSION_TTL = 24 * 60 * 60.0
"""Seconds that an upload session lives after its last acknowledged byte."""

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_OWN_SEGMENTS = frozenset({"health", "openapi.json", "uploads", "recordings", "metrics"})
_LARGEST_INTEGER = 999_999_999_999_999  # of a structured field, RFC 8941 section 3.3.1
_LONGEST = 100 * 365 * 24 * 60 * 60
_SIZES = {"max_file_size": 1, "max_metadata_size": 1, "max_append_size": 1, "min_free": 0, "audit_size": 1}


class ServerSetupError(ValueError):
    """The server cannot start as it was asked to; the text says what, where and what to do."""


class ServerOptions(TypedDict, total=False):
    """What an operator may set besides folder, tokens and prefix; see :class:`ServerSettings`."""

    max_file_size: int
    max_metadata_size: int
    max_append_size: int
    min_free: int
    session_ttl: float
    audit_log: Path | None


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How one server behaves.

    Attributes:
        data_dir: Folder of the recordings; made if missing.
        tokens: Who may call.
        prefix: Path that is answered besides ``/``; empty or ``/`` for none.
        max_file_size: Most bytes of one file.
        max_metadata_size: Most bytes of one metadata file, where that is less.
        max_append_size: Most bytes of one append to an upload resource.
        min_free: Bytes of the disk that stay free: what would leave less is refused.
        session_ttl: Seconds that an upload session lives after its creation and after each acknowledged byte.
        ended_ttl: Seconds that an expired or cancelled session can still be asked about.
        silence: Seconds without a byte after which a request's body is given up.
        sweep_interval: Seconds between two looks for sessions whose time is up.
        audit_log: File of the audit log; None puts it into the data folder, at ``.server/audit.jsonl``.
        audit_size: Bytes after which the audit log is set aside and a new one begun.
        clock: Seconds since the epoch, now.
        free_space: Tells the free bytes of a folder's disk.

    Raises:
        ServerSetupError: The prefix or a limit makes no sense.
    """

    data_dir: Path
    tokens: Tokens = field(repr=False)
    prefix: str = "/api"
    max_file_size: int = MAX_FILE_SIZE
    max_metadata_size: int = MAX_METADATA_SIZE
    max_append_size: int = MAX_APPEND_SIZE
    min_free: int = MIN_FREE
    session_ttl: float = SESSION_TTL
    ended_ttl: float = 7 * SESSION_TTL
    silence: float = 60.0
    sweep_interval: float = 60.0
    audit_log: Path | None = None
    audit_size: int = 64 << 20
    clock: Callable[[], float] = time.time
    free_space: Callable[[Path], int] = disk_free

    def __post_init__(self) -> None:
        path = self.prefix.rstrip("/")
        if path and (not _PREFIX.fullmatch(path) or path.split("/")[1] in _OWN_SEGMENTS):
            raise ServerSetupError(
                f"the prefix {self.prefix!r} cannot be served: give a path such as /api that begins with a slash, "
                "holds letters, digits and ._~- (no dot after a slash) and does not begin with "
                f"one of {', '.join(sorted(_OWN_SEGMENTS))}"
            )
        for name, least in _SIZES.items():
            if not least <= getattr(self, name) <= _LARGEST_INTEGER:
                raise ServerSetupError(f"{name} must lie between {least} and {_LARGEST_INTEGER} bytes")
        for name in ("session_ttl", "silence", "sweep_interval"):
            if not 0 < getattr(self, name) <= _LONGEST:
                raise ServerSetupError(f"{name} must be a positive number of seconds, {_LONGEST} at most")

    @property
    def base_paths(self) -> tuple[str, ...]:
        """The paths below which every route is answered; the empty one is ``/``."""
        path = self.prefix.rstrip("/")
        return (path, "") if path else ("",)

    def max_size(self, kind: Kind) -> int:
        """Most bytes of one file of this kind."""
        return min(self.max_metadata_size, self.max_file_size) if kind is Kind.METADATA else self.max_file_size
