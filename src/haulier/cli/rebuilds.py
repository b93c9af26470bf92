"""What commands say of a journal that was rebuilt."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from haulier.cli.text import printable, time_text
from haulier.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from haulier.service.rebuilt import Rebuilt

__all__ = ["CONFIRM", "disposal_line", "no_journal", "rebuilt_document"]

CONFIRM = "Look at `haulier status` and `haulier audit`, then `haulier journal confirm`"


def no_journal(folder: Path) -> InputError:
    """The error of commands that make no journal."""
    where = str(folder / "journal.db")
    return InputError("there is no journal yet", where=where, advice="It is made when the first file is sent")


def rebuilt_document(found: Rebuilt | None) -> dict[str, Any] | None:
    """A rebuild as JSON."""
    return asdict(found) if found is not None else None


def disposal_line(found: Rebuilt | None) -> str:
    """That disposal is off, and why; empty when it is not."""
    if found is None or found.confirmed_at is not None:
        return ""
    what = f"the journal was damaged ({found.why}) and rebuilt {time_text(found.at)}; kept as {found.aside}"
    return printable(f"nothing is deleted after upload: {what}")
