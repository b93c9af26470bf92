"""Going on with nothing but the token: in another instance, in another process, with tokens that lead nowhere."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from haulier.backends.api import Outcome, PartsMode, ResumeMode, Token
from haulier.backends.put import PutAdapter
from haulier.errors import HaulierError, SessionLostError, TransferError
from haulier.testing.backend_suite.drive import ITEM
from haulier.testing.backend_suite.judging import SIDECAR, assert_stored, begin, fails, many, need
from haulier.testing.backend_suite.process import finish_elsewhere
from haulier.testing.backend_suite.sources import Interrupted, interrupted_by
from haulier.testing.backend_suite.world import OTHER_ITEM

if TYPE_CHECKING:
    from haulier.testing.backend_suite.drive import Drive
    from haulier.testing.backend_suite.world import World

__all__ = ["ContinueCases"]

STEPS = 5  # three parts and a rest of the media file, and the sidecar


class ContinueCases:
    """A new process has the token and the journal, and meets the destination as it was left."""

    @pytest.mark.parametrize("parts", range(STEPS + 1))
    def test_after_each_part_another_process_goes_on(self, world: World, parts: int) -> None:
        """Nothing that was acknowledged is sent again, where the destination can say what it holds."""
        first = begin(world, many(world), SIDECAR).open().send_some(parts)
        second = first.in_new_process(world.backend())
        second.finish()
        assert_stored(world, second)
        assert len(world.visible()) == 2
        if first.resumable:
            again = {(part.artifact, part.number) for part in first.sent} & {
                (part.artifact, part.number) for part in second.sent
            }
            assert not again, "acknowledged parts were sent again"

    def test_going_on_at_every_step(self, world: World) -> None:
        """One part per process."""
        drive = begin(world, many(world), SIDECAR).open()
        for _ in range(STEPS):
            drive = drive.send_some(1)
            drive = drive.in_new_process(world.backend())
        drive.finish()
        assert_stored(world, drive)
        assert len(world.visible()) == 2

    @pytest.mark.parametrize("parts", [2])
    def test_a_real_process_goes_on(self, world: World, parts: int) -> None:
        """Which imports the backend, gets its table, the token and the journal's rows, and nothing else."""
        first = begin(world, many(world), SIDECAR).open().send_some(parts)
        second = finish_elsewhere(world, first)
        assert_stored(world, second)
        assert len(world.visible()) == 2
        if first.resumable:
            assert not set(first.sent) & set(second.sent), "acknowledged parts were sent again"

    def test_after_a_kill_in_the_middle_of_a_part(self, world: World) -> None:
        """What had arrived of it counts or does not; the object is whole."""
        drive = begin(world, many(world)).open().send_some(1)
        part = next((part for part in drive.missing if not part.last), None)
        need(part is not None, "the only part commits")
        assert part is not None
        body = drive.body(part, interrupted_by(drive.contents[0], part.offset + part.size // 2))
        with pytest.raises((Interrupted, HaulierError)):
            drive.backend.send(drive.upload, drive.the_token, part, body, drive.context)
        assert world.visible() == []
        later = drive.in_new_process(world.backend())
        later.finish()
        assert_stored(world, later)

    def test_after_the_commit_another_process_learns_of_it(self, world: World) -> None:
        """From ``held``, from ``settle``, or from the session that is gone; what says it is stored proves it."""
        first = begin(world, many(world), SIDECAR)
        first.run()
        second = first.copy(world.backend())
        with suppress(SessionLostError):
            second.ask_held()
        if second.stored:
            assert_stored(world, second)
            return
        settled = second.checked.settle(second.upload, second.token)
        assert settled.outcome is not Outcome.ABSENT
        assert len(world.visible()) == 2

    def test_a_token_of_another_upload_mixes_nothing(self, world: World) -> None:
        """It is refused, or means nothing; neither upload gets bytes of the other."""
        theirs = begin(world, many(world, seed=2), item=OTHER_ITEM, nonce="n2", keys=("2026/theirs.mp4",)).open()
        theirs.send_some(2)
        ours = begin(world, many(world, seed=1), item=ITEM)
        ours.token, ours.abilities = theirs.token, theirs.abilities
        with suppress(TransferError):
            ours.ask_held().finish()
        if ours.upload.media.key in world.visible():
            assert world.content(ours.upload.media.key) == ours.contents[0]
        finished = theirs.copy(world.backend())
        with suppress(TransferError):
            finished.ask_held().finish()
        if not finished.stored:
            finished = begin(world, *theirs.contents, item=OTHER_ITEM, nonce="n3", keys=("2026/theirs.mp4",))
            finished.run()
        assert_stored(world, finished)

    def test_a_token_that_says_nothing_is_a_lost_session(self, world: World) -> None:
        """As a newer version's, or one whose secret part cannot be unsealed any more."""
        drive = begin(world, many(world))
        drive.token = Token({"made": "up"})
        if drive.backend.abilities.resume is not ResumeMode.NONE and drive.abilities.parts is not PartsMode.WHOLE:
            fails(drive.ask_held, SessionLostError)
        for call in (drive.ask_held, drive.send_some, drive.commit):
            with suppress(TransferError):
                call()
        with suppress(SessionLostError):
            drive.abort()
        if drive.stored:
            assert_stored(world, drive)
            return
        again = begin(world, many(world))
        again.run()
        assert_stored(world, again)

    def test_a_session_that_was_forgotten_is_lost(self, world: World) -> None:
        """Every call says so, and the upload begins anew under a new nonce."""
        drive = begin(world, many(world), SIDECAR).open().send_some(2)
        world.forget()
        self._is_lost(world, drive)

    def test_a_session_that_expired_is_lost(self, world: World) -> None:
        """The same."""
        drive = begin(world, many(world), SIDECAR).open().send_some(2)
        world.expire()
        self._is_lost(world, drive)

    def _is_lost(self, world: World, drive: Drive) -> None:
        need(not isinstance(drive.backend, PutAdapter), "a put-only destination keeps no upload sessions")
        later = drive.copy(world.backend())
        if later.resumable:
            fails(later.ask_held, SessionLostError)
        fails(lambda: later.send_some().commit(), SessionLostError)
        later.abort()
        assert world.visible() == []
        anew = begin(world, *drive.contents, nonce="n2")
        anew.run()
        assert_stored(world, anew)
        assert len(world.visible()) == 2
