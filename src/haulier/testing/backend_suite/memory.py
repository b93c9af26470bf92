"""Large bodies pass through without being held."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

from haulier.backends.api import LastPart
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.judging import need
from haulier.testing.backend_suite.sources import RepeatingSource
from haulier.transfer.bodies import StreamedBody
from haulier.transfer.parts import choose_part_size

if TYPE_CHECKING:
    from haulier.backends.api import Stored
    from haulier.testing.backend_suite.world import World

__all__ = ["MemoryCases"]

_BLOCK = (1 << 20) + 1  # so that no two blocks of a power of two are equal


class MemoryCases:
    """Memory does not grow with the size of a body."""

    def test_a_large_body_is_not_held(self, world: World) -> None:
        """A quarter of it at most, by what the interpreter allocates on all threads; of parts the largest allowed."""
        need(not world.in_this_process, "the destination keeps objects in this process")
        drive = _large(world)
        drive.open()
        gc.collect()
        tracemalloc.start()
        try:
            stored = _run(drive)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < world.large // 4, f"{peak} bytes were held of a body of {world.large}"
        assert stored[0].size in {None, world.large}


def _large(world: World) -> Drive:
    """An upload of one media file that exists nowhere; what the backend adds is left out of nothing."""
    backend = world.backend()
    upload = make_upload([b""])
    media = replace(upload.media, size=world.large)
    drive = Drive(backend, replace(upload, artifacts=(media,)), [b""], part_size=world.part_size)
    drive.part_size = choose_part_size(world.large, backend.limits, world.large)
    return drive


def _run(drive: Drive) -> tuple[Stored, ...]:
    source = RepeatingSource(pattern(_BLOCK))
    names = drive.abilities.part_digests | drive.abilities.whole_digests
    digests = dict(drive.digests())
    digests.pop(0)

    def body_of(part: object) -> StreamedBody:
        return StreamedBody(source, part, names, "clip.mp4", drive.context, lambda _: None)  # type: ignore[arg-type]

    size = drive.upload.media.size
    whole = body_of(replace(drive.missing[0], artifact=0, number=1, offset=0, size=size, last=False))
    last = None
    for part in list(drive.missing):
        body = drive.body(part) if part.artifact else body_of(part)
        if part.last:
            last = LastPart(part, body)
        else:
            drive.send(part, body)
    if last is None or last.part.size != size:
        digests[0] = whole.digests_sent()
    return drive.checked.commit(drive.upload, drive.the_token, drive.held, digests, last)
