"""Commits: once, twice, too early, with an answer that was lost; and aborts."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from haulier.backends.api import CommitMode, Outcome
from haulier.errors import SessionLostError, TransferError
from haulier.testing.backend_suite.drive import pattern
from haulier.testing.backend_suite.judging import (
    SIDECAR,
    assert_stored,
    begin,
    fails,
    is_claimed,
    many,
    need,
)
from haulier.testing.backend_suite.world import NotApplicable

if TYPE_CHECKING:
    from haulier.testing.backend_suite.drive import Drive
    from haulier.testing.backend_suite.world import World

__all__ = ["CommitCases"]


def unasked(drive: Drive) -> Drive:
    """Its session, begun without a call."""
    found = drive.begin_unasked()
    if found is None:
        raise NotApplicable("a session is opened by a call")
    return found


class CommitCases:
    """All of it becomes visible, or nothing does."""

    def test_a_session_that_began_without_a_call_is_the_one_that_opening_gives(self, world: World) -> None:
        """It is in the journal before the destination hears of it."""
        drive = unasked(begin(world, pattern(100)))
        opened = drive.copy(world.backend()).open()
        assert opened.abilities == drive.abilities
        if "owner" in opened.the_token.public:
            assert opened.the_token == drive.the_token
        drive.finish()
        assert_stored(world, drive)
        assert len(world.visible()) == 1

    def test_a_session_that_never_went_on_is_nothing(self, world: World) -> None:
        """It ended between the journal and the first byte: nothing is stored, and the next try finds its way."""
        drive = unasked(begin(world, pattern(100)))
        later = drive.copy(world.backend())
        assert not is_claimed(later, later.checked.settle(later.upload, later.token))
        later.abort()
        assert world.visible() == []
        drive.copy(world.backend()).run()
        assert len(world.visible()) == 1

    def test_a_commit_that_is_repeated_gives_the_same(self, world: World) -> None:
        """Its answer was lost, and the journal says that it was about to be made."""
        first = begin(world, many(world), SIDECAR).open().send_some()
        again = first.copy(world.backend())
        first.commit()
        try:
            again.commit()
        except SessionLostError:
            settled = again.checked.settle(again.upload, again.token)
            assert settled.outcome is not Outcome.ABSENT
        else:
            assert [entry.key for entry in again.stored] == [entry.key for entry in first.stored]
            assert_stored(world, again)
        assert_stored(world, first)
        assert len(world.visible()) == 2

    def test_a_commit_before_all_parts_are_there_is_refused(self, world: World) -> None:
        """Whatever the journal believes to be held."""
        drive = begin(world, many(world)).open()
        need(drive.abilities.commit is CommitMode.EXPLICIT, "the last part commits")
        count = len(drive.missing)
        drive.send_some(count - 1)
        fails(drive.commit, TransferError)
        assert world.visible() == []
        settled = drive.checked.settle(drive.upload, drive.token)
        assert not is_claimed(drive, settled)

    def test_a_commit_with_a_part_that_is_not_the_acknowledged_one(self, world: World) -> None:
        """What the journal knows of a part's tag is compared where there are tags; the object is ours or not there."""
        drive = begin(world, many(world)).open().send_some()
        need(bool(drive.held.parts), "parts have no tags")
        need(drive.abilities.commit is CommitMode.EXPLICIT, "the last part commits")
        other = (
            begin(world, many(world, seed=2), item="d" * 64, nonce="n9", keys=("2026/other.mp4",)).open().send_some()
        )
        drive.held = other.held
        try:
            drive.commit()
        except TransferError:
            assert drive.upload.media.key not in world.visible()
        else:
            assert_stored(world, drive)

    @pytest.mark.parametrize("parts", [0, 2, 99])
    def test_an_abort_leaves_nothing(self, world: World, parts: int) -> None:
        """Nothing visible, and nothing that does not expire by itself."""
        drive = begin(world, many(world), SIDECAR).open()
        drive.send_some(parts)
        drive.abort()
        drive.copy(world.backend()).abort()
        if drive.abilities.commit is CommitMode.EXPLICIT:
            assert world.visible() == []
        assert drive.upload.media.key not in world.visible()
        assert world.leftovers() == []

    def test_an_abort_of_what_is_unknown_is_fine(self, world: World) -> None:
        """Its session expired, or another process aborted it before."""
        drive = begin(world, many(world), SIDECAR).open()
        for _ in range(2):
            drive.abort()
        assert world.visible() == []

    def test_an_abort_ends_the_session(self, world: World) -> None:
        """A part that was still on its way does not revive it; the next start is whole."""
        drive = begin(world, many(world), SIDECAR).open().send_some(1)
        drive.abort()
        late = drive.copy(world.backend())
        with suppress(TransferError):
            late.ask_held()
        with suppress(TransferError):
            late.send_some().commit()
        if late.stored:
            assert_stored(world, late)
        else:
            assert late.upload.media.key not in world.visible()
        fresh = begin(world, many(world), SIDECAR, nonce="n2")
        fresh.run()
        assert_stored(world, fresh)

    def test_an_abort_after_the_commit_removes_nothing(self, world: World) -> None:
        """Objects stay: only a session is dropped."""
        drive = begin(world, many(world), SIDECAR)
        drive.run()
        with suppress(TransferError):
            drive.copy(world.backend()).abort()
        assert_stored(world, drive)

    def test_nothing_is_left_after_a_commit(self, world: World) -> None:
        """No drafts, no open session."""
        drive = begin(world, many(world), SIDECAR)
        drive.run()
        assert_stored(world, drive)
        assert world.leftovers() == []
