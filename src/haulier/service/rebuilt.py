"""What a rebuilt journal knows of its rebuild: that disposal is off, why, and which files it could not take itself."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from haulier.service.chain import BREAKS, accepted, decode_breaks, encode_breaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haulier.journal.api import Journal, Transaction
    from haulier.service.folders import Folders
    from haulier.service.state import Keys

__all__ = ["REBUILT", "STRAYS", "Rebuilt", "awaits_confirmation", "confirm", "go_on", "rebuilt", "strays"]
__all__ += ["take_strays"]

log = logging.getLogger("haulier.manager")

REBUILT, STRAYS = "rebuilt", "strays"  # the journal's meta entries


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuilt journal says of itself.

    Attributes:
        at: When, seconds since the epoch.
        why: What was wrong with the damaged one.
        aside: Name of the damaged file in the state folder.
        tasks: How many tasks were taken from it.
        receipts: How many receipts were taken from it.
        strays: How many media files were found of whose tasks too little could be read.
        confirmed_at: When somebody switched disposal on again; None as long as nobody did.
    """

    at: float
    why: str
    aside: str
    tasks: int = 0
    receipts: int = 0
    strays: int = 0
    confirmed_at: float | None = None


def rebuilt(tx: Transaction) -> Rebuilt | None:
    """What the journal says of its latest rebuild; None when it was never rebuilt."""
    text = tx.meta(REBUILT)
    return None if text is None else Rebuilt(**json.loads(text))


def awaits_confirmation(tx: Transaction) -> bool:
    """Whether no source may be let go of: the journal was rebuilt, and nobody confirmed it yet."""
    found = rebuilt(tx)
    return found is not None and found.confirmed_at is None


def confirm(journal: Journal, keys: Keys, now: float) -> Rebuilt | None:
    """Switch disposal on again, and take what is lost for known; None when the journal was never rebuilt.

    Args:
        journal: The journal.
        keys: Those of the installation.
        now: Seconds since the epoch.
    """

    def change(tx: Transaction) -> Rebuilt | None:
        found = rebuilt(tx)
        if found is None or found.confirmed_at is not None:
            return found
        confirmed = replace(found, confirmed_at=now)
        tx.put_meta(REBUILT, json.dumps(asdict(confirmed)))
        tx.put_meta(STRAYS, "{}")
        key = keys.derive("receipts")
        if breaks := decode_breaks(tx.meta(BREAKS), key):
            tx.put_meta(BREAKS, encode_breaks(accepted(breaks), key))
        return confirmed

    return journal.write(change)


def go_on(folders: Folders, backends: Sequence[str]) -> None:
    """At the start of an agent: say that disposal is off, and queue what could be read only in part."""
    found = folders.intake.ledger.journal.read(rebuilt)
    if found is None or found.confirmed_at is not None:
        return
    log.warning(
        "no source is deleted: the journal was damaged (%s) and rebuilt; the damaged one is kept as %s. "
        "Look at `haulier status` and `haulier audit`, then `haulier journal confirm`",
        found.why,
        found.aside,
    )
    take_strays(folders, backends)


def strays(tx: Transaction) -> dict[str, str]:
    """Media files whose tasks could be read only in part, with the names of their backends, not queued yet."""
    found: dict[str, str] = json.loads(tx.meta(STRAYS) or "{}")
    return found


def take_strays(folders: Folders, backends: Sequence[str]) -> int:
    """Queue media files whose tasks could be read only in part, with their sidecars, as a scan finds them.

    What cannot be taken now stays noted for the next time.

    Args:
        folders: Scans and queues.
        backends: Where everything goes, the first one first: also what went to one of them, and that of which not even
            the backend is known.

    Returns:
        How many are left.
    """
    journal = folders.intake.ledger.journal
    noted = journal.read(strays)
    if not noted:
        return 0
    left = dict(noted)
    for folder in sorted({os.path.dirname(path) for path in noted}):  # noqa: PTH120  text in, text out
        found = folders.look(folder, settled=True)
        for candidate in found.candidates:
            backend = noted.get(candidate.path)
            wanted = backends if not backend or backend in backends else [backend]
            if candidate.path in left and wanted:
                folders.take(replace(found, candidates=(candidate,)), wanted)
                del left[candidate.path]
    for path in left:
        log.warning("%s was to be uploaded when the journal was damaged and cannot be taken again; send it anew", path)
    journal.write(lambda tx: tx.put_meta(STRAYS, json.dumps(left)))
    return len(left)
