"""Parts in any order, twice, too short, with wrong digests, of a file that changes."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from haulier.backends.api import Part, PartsMode, ResumeMode
from haulier.errors import CancelledError, HaulierError, OffsetError, SourceChangedError, TransferError
from haulier.models import Proof
from haulier.testing.backend_suite.judging import (
    assert_stored,
    begin,
    fails,
    many,
    need,
    need_parts,
    run_together,
)
from haulier.testing.backend_suite.sources import ChangingSource, InterruptedSource, cut_short

if TYPE_CHECKING:
    from haulier.backends.api import Held
    from haulier.testing.backend_suite.drive import Drive
    from haulier.testing.backend_suite.world import World

__all__ = ["PartCases"]

_PARALLEL = PartsMode.PARALLEL


class PartCases:
    """Each part is acknowledged once it is held, and never otherwise."""

    @pytest.mark.parametrize("order", ["backwards", "shuffled"])
    def test_parallel_parts_come_in_any_order(self, world: World, order: str) -> None:
        """The object has them in theirs."""
        drive = begin(world, many(world, 5)).open()
        need_parts(drive, _PARALLEL)
        parts = [part for part in drive.missing if not part.last]
        if order == "backwards":
            parts.reverse()
        else:
            random.Random(7).shuffle(parts)
        for part in parts:
            drive.send(part)
        drive.commit()
        assert_stored(world, drive)

    def test_parallel_parts_come_at_the_same_time(self, world: World) -> None:
        """On several threads through one instance."""
        drive = begin(world, many(world, 4)).open()
        need_parts(drive, _PARALLEL)
        parts = [part for part in drive.missing if not part.last]
        answers = {}

        def send(part: Part) -> None:
            answers[part] = drive.checked.send(drive.upload, drive.the_token, part, drive.body(part))

        raised = run_together(*[lambda part=part: send(part) for part in parts])
        assert raised == [None] * len(parts)
        later = drive.in_new_process(world.backend()) if drive.resumable else _noted(drive, answers)
        later.finish()
        assert_stored(world, later)
        assert later.sent == [] or not drive.resumable, "what was acknowledged is held"

    def test_the_answer_names_the_part_as_held(self, world: World) -> None:
        """With its size, or a prefix that covers it."""
        drive = begin(world, many(world)).open()
        for part in [part for part in drive.missing if not part.last]:
            answer = drive.send(part)
            tagged = answer.parts.get(part.artifact, {}).get(part.number)
            prefix = answer.prefixes.get(part.artifact, -1)
            assert tagged is not None or prefix >= part.offset + part.size, "the answer does not name the part"
            assert tagged is None or tagged.size == part.size

    def test_what_is_held_is_what_was_sent(self, world: World) -> None:
        """After each part, asked by another instance; nothing more and nothing less."""
        drive = begin(world, many(world)).open()
        need(drive.resumable, "it cannot say what it holds")
        while True:
            held = drive.checked.held(drive.upload, drive.the_token)
            assert _numbers(drive, held) == _sent_of(drive)
            rest = [part for part in drive.missing if not part.last]
            if not rest:
                return
            drive.send(rest[0])

    def test_a_gap_is_refused_with_where_it_stands(self, world: World) -> None:
        """A destination of prefixes takes no part before those in front of it, and goes on from there."""
        drive = begin(world, many(world)).open()
        need_parts(drive, PartsMode.SEQUENTIAL)
        for part in [part for part in drive.missing if part.artifact]:
            drive.send(part)  # what the backend adds to the upload
        first, _, third, *_ = drive.missing
        drive.send(first)
        error = fails(lambda: drive.send(third), OffsetError)
        assert isinstance(error, OffsetError)
        if error.held is not None and drive.abilities.resume is ResumeMode.OFFSET:
            assert error.held.prefixes.get(0) == first.size
        drive.finish()
        assert_stored(world, drive)

    def test_a_part_sent_twice_with_the_same_bytes_counts_once(self, world: World) -> None:
        """Its answer was lost: it is sent again, and refused with where it stands or taken again."""
        drive = begin(world, many(world)).open()
        part = drive.missing[0]
        need(not part.last, "the only part commits")
        drive.send(part)
        later = drive.in_new_process(world.backend()) if drive.resumable else drive
        with suppress(OffsetError):
            later.send(part)
        if later.resumable:
            later.ask_held()
        later.finish()
        assert_stored(world, later)

    def test_a_part_sent_twice_with_other_bytes_is_the_later_one_or_refused(self, world: World) -> None:
        """The file changed and the part was read again: never both, never the former under the digest of the latter."""
        old, new = many(world, seed=1), many(world, seed=2)
        stale = begin(world, old).open()
        part = stale.missing[0]
        need(not part.last, "the only part commits")
        stale.send(part)
        fresh = stale.copy(world.backend())
        fresh.contents[0], fresh.rows = new, []
        fresh.held, fresh.missing = type(fresh.held)(), begin(world, new).open().missing
        try:
            fresh.send(part)
            fresh.send_some().commit()
        except TransferError:
            assert fresh.upload.media.key not in world.visible()
            return
        assert_stored(world, fresh)

    def test_a_wrong_digest_of_a_part_is_refused(self, world: World) -> None:
        """The bytes are not those that were announced: the part is not held."""
        drive = begin(world, many(world)).open()
        need(bool(drive.abilities.part_digests), "it wants no digests of parts")
        part = drive.missing[0]
        need(not part.last, "the only part commits")
        content = drive.contents[0]
        body = drive.body(part, ChangingSource(content, content[::-1]))
        error = fails(lambda: drive.send(part, body), TransferError)
        assert not isinstance(error, OffsetError), error
        later = drive.in_new_process(world.backend()) if drive.resumable else drive.open()
        assert [missing.number for missing in later.missing][:1] == [1], "it is held all the same"
        later.finish()
        assert_stored(world, later)

    @pytest.mark.parametrize("where", ["in its first byte", "in its middle", "in its last byte"])
    def test_a_body_that_ends_early_is_not_acknowledged(self, world: World, where: str) -> None:
        """The file was truncated while it was read: its error comes through, and the part is not held."""
        drive = begin(world, many(world)).open()
        part = drive.missing[0]
        need(not part.last, "the only part commits")
        end = {"in its first byte": 0, "in its middle": part.size // 2, "in its last byte": part.size - 1}[where]
        fails(lambda: drive.send(part, drive.body(part, cut_short(drive.contents[0], end))), SourceChangedError)
        self._goes_on(world, drive)

    def test_a_cancellation_in_the_middle_of_a_part(self, world: World) -> None:
        """The body says so; its error comes through, and another process goes on."""
        drive = begin(world, many(world)).open()
        part = drive.missing[0]
        need(not part.last, "the only part commits")

        def stop() -> CancelledError:
            drive.context.stop("pause")
            return CancelledError("told to stop")

        source = InterruptedSource(drive.contents[0], part.size // 2, stop)
        fails(lambda: drive.send(part, drive.body(part, source)), CancelledError)
        self._goes_on(world, drive.copy(world.backend()))

    def test_a_file_that_changed_while_it_was_sent_is_not_committed(self, world: World) -> None:
        """The whole digest is of what was read, and what arrived is something else."""
        drive = begin(world, many(world)).open()
        need(drive.abilities.proof is Proof.CONTENT, f"its proof is {drive.abilities.proof.value}: it cannot know")
        need(not drive.commits_with_last, "the digest of a last part that commits is compared by the engine")
        drive.send_some()
        drive.contents[0] = drive.contents[0][::-1]
        try:
            drive.commit()
        except HaulierError as error:
            assert isinstance(error, TransferError), error  # noqa: PT017
            assert drive.upload.media.key not in world.visible()
            assert world.names_itself is False or world.visible() == []
        else:
            fails(lambda: assert_stored(world, drive), HaulierError)

    def test_a_file_that_changed_in_the_last_instant_is_not_committed(self, world: World) -> None:
        """Where the last part commits, the source is looked at when its last byte is read; that ends the commit."""
        drive = begin(world, many(world)).open()
        need(drive.commits_with_last, "a call of its own commits")
        drive.send_some()
        end = drive.upload.media.size - 1
        content = drive.contents[0]
        original = drive.body
        drive.body = lambda part, _=None: original(part, cut_short(content, end))  # type: ignore[method-assign,assignment]
        fails(drive.commit, SourceChangedError)
        assert drive.upload.media.key not in world.visible()

    def _goes_on(self, world: World, drive: Drive) -> None:
        """Nothing of the broken part counts; the upload ends well."""
        assert world.visible() == []
        later = drive.in_new_process(world.backend()) if drive.resumable else drive.copy(world.backend()).open()
        assert later.missing[0].offset < later.part_size, "the broken part is held"
        assert later.missing[0].number == 1
        later.finish()
        assert_stored(world, later)


def _noted(drive: Drive, answers: dict[Part, Held]) -> Drive:
    """The drive with acknowledgements that came on other threads."""
    for part, answer in sorted(answers.items()):
        drive.note(part, answer)
    return drive


def _numbers(drive: Drive, held: Held) -> list[int]:
    """Parts of the media file that are held; of a prefix those that it covers, and -1 when it covers more."""
    if drive.abilities.resume is ResumeMode.LIST:
        return sorted(held.parts.get(0, {}))
    prefix = held.prefixes.get(0, 0)
    sent = [part for part in drive.sent if part.artifact == 0]
    covered = [part.number for part in sent if part.offset + part.size <= prefix]
    return covered if prefix == sum(part.size for part in sent) else [*covered, -1]


def _sent_of(drive: Drive) -> list[int]:
    return sorted(part.number for part in drive.sent if part.artifact == 0)
