"""A look at a journal before it is opened: whether it is damaged, found without changing a byte of it.

It is meant for the one process that opens a state folder in which nobody else works.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from haulier.journal.wal import has_lost_commits

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOOKED_THROUGH", "damage"]

LOOKED_THROUGH = 64 * 1024 * 1024  # bytes; of a larger file only what opening needs is looked at


def damage(path: Path, *, was_used: bool, newest_schema: int) -> str:
    """What is wrong with a journal, in words that follow "the journal is damaged:"; empty when nothing is seen.

    Args:
        path: The journal; its log lies beside it.
        was_used: Whether there was a journal with something in it before: then an empty file is damage.
        newest_schema: The greatest schema that is known; a journal of a newer one is never called damaged.
    """
    log = path.with_name(f"{path.name}-wal")
    size, logged = _size(path), _size(log)
    if not size:
        if logged > 0:
            return "its file is empty or gone, its write-ahead log is not"
        return "its file is empty" if was_used and path.exists() else ""
    if logged <= LOOKED_THROUGH and has_lost_commits(log):
        return "its write-ahead log is damaged in the middle"
    return _looked_through(path, newest_schema, deeply=size <= LOOKED_THROUGH)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _looked_through(path: Path, newest_schema: int, *, deeply: bool) -> str:
    """What SQLite finds; nothing when it cannot look now: opening the journal will tell why."""
    import apsw

    try:
        with closing(apsw.Connection(str(path))) as connection:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            if int(str(connection.pragma("user_version"))) > newest_schema:
                return ""
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            found = connection.execute("PRAGMA quick_check(1)").fetchall() if deeply else [("ok",)]
    except (apsw.NotADBError, apsw.CorruptError) as error:
        return str(error)
    except apsw.Error:
        return ""
    return "" if found == [("ok",)] else str(found[0][0])
