"""After a power cut: everything is submitted again and brought to its end."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from haulier.errors import HaulierError
from haulier.files import Files
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Disposal, TaskState
from haulier.testing.clock import FakeClock
from haulier.testing.power.checks import stored
from haulier.testing.power.findings import Finding, Kind
from haulier.testing.power.story import JOURNAL, LATER, Volume, finish, rig_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.testing.power.checks import Truth
    from haulier.testing.rig import UploadRig

__all__ = ["continue_and_check"]


def continue_and_check(volume: Volume, truth: Truth) -> list[Finding]:
    """Go on where the power went, with another manager on the same folders; what is wrong when all is done."""
    Files().make_private_dir(volume.state)
    try:
        with closing(SqliteJournal(volume.state / JOURNAL)) as journal:
            rig = rig_on(volume, journal, clock=FakeClock(LATER), owner="again")
            finish(volume, rig)
            unsound = [Finding(Kind.UNUSABLE, f"the journal's check says: {text}") for text in journal.check()]
            return [*unsound, *_at_the_end(volume, truth, rig)]
    except HaulierError as error:
        return [Finding(Kind.UNUSABLE, f"it cannot go on: {error}")]


def _at_the_end(volume: Volume, truth: Truth, rig: UploadRig) -> Iterator[Finding]:
    rows = rig.rows()
    for row in rows:
        if row.state is not TaskState.COMPLETED:
            yield Finding(Kind.LOST, f"{row.media.name} ends as {row.state}: {row.error}")
        elif row.disposal is not Disposal.REMOVED:
            yield Finding(Kind.LOST, f"the source {row.media.name} ends as {row.disposal}")
    objects = stored(volume)
    for key, content in truth.objects.items():
        if objects.get(key) != content:
            yield Finding(Kind.LOST, f"{key} is not stored in the end")
    if extra := sorted(objects.keys() - truth.objects.keys()):
        yield Finding(Kind.DOUBLED, f"stored in the end beside its own: {extra}")
    if left := sorted(path.name for path in volume.sources.iterdir()):
        yield Finding(Kind.LOST, f"not disposed of in the end: {left}")
