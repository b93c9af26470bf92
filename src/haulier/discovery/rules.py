"""What a scan takes and what it leaves alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEDIA_SUFFIXES", "ScanRules"]

MEDIA_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov", ".wmv"})


@dataclass(frozen=True, slots=True)
class ScanRules:
    """The rules of one scan.

    Attributes:
        source_id: This installation, for identities.
        media_suffixes: Lower-case file-name suffixes of media files, each with its dot.
        settle_seconds: A file whose size and modification time are that old is whole.
        max_age_days: Files modified longer ago are left alone; None for no limit.
        since: Only files modified after this wall time (seconds since the epoch) are taken; None for no limit.
    """

    source_id: str
    media_suffixes: frozenset[str] = MEDIA_SUFFIXES
    settle_seconds: float = 10.0
    max_age_days: float | None = None
    since: float | None = None

    def too_old(self, mtime: float, now: float) -> str:
        """Why a file is left alone for its age, or ``""``.

        Args:
            mtime: When it was modified, seconds since the epoch.
            now: Wall time, seconds since the epoch.
        """
        if self.max_age_days is not None and now - mtime > self.max_age_days * 86_400:
            return f"was modified more than {self.max_age_days:g} days ago"
        if self.since is not None and mtime <= self.since:
            return "lay there before the start, and older recordings are not taken"
        return ""
