"""Uploads that meet: two to one key, two starts of one item, many at once."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.backends.api import IfAbsent
from haulier.errors import ConflictError
from haulier.testing.backend_suite.drive import ITEM
from haulier.testing.backend_suite.judging import (
    SIDECAR,
    assert_content,
    assert_stored,
    begin,
    fails,
    many,
    need,
    need_keys_of_ours,
    need_protection,
    run_together,
)
from haulier.testing.backend_suite.world import OTHER_ITEM

if TYPE_CHECKING:
    from haulier.testing.backend_suite.drive import Drive
    from haulier.testing.backend_suite.world import World

__all__ = ["IsolationCases"]


class IsolationCases:
    """Each upload has its own bytes, whatever the others do."""

    def test_two_uploads_to_one_key_never_mix(self, world: World) -> None:
        """Part by part in turn; the key ends with one of them whole."""
        need_keys_of_ours(world)
        ours, theirs = _two(world)
        while _can_send(ours) or _can_send(theirs):
            ours.send_some(1)
            theirs.send_some(1)
        ours.commit()
        assert_content(world, ours.stored[0], ours.contents[0])
        if ours.backend.abilities.if_absent is IfAbsent.NONE:
            theirs.commit()
            assert_content(world, theirs.stored[0], theirs.contents[0])
            return
        fails(theirs.commit, ConflictError)
        assert_stored(world, ours)

    def test_two_commits_at_once_have_one_winner(self, world: World) -> None:
        """Where an absent key is claimed atomically; the loser is told, and the winner's object is whole."""
        need_protection(world)
        need(world.backend().abilities.if_absent is IfAbsent.ATOMIC, "if_absent is not atomic")
        for number in range(3):
            ours, theirs = _two(world, key=f"2026/race-{number}.mp4", nonce=f"r{number}")
            ours.send_some()
            theirs.send_some()
            raised = run_together(ours.commit, theirs.commit)
            losers = [error for error in raised if error is not None]
            assert len(losers) == 1, raised
            assert isinstance(losers[0], ConflictError), losers[0]
            assert_stored(world, ours if raised[0] is None else theirs)

    def test_a_start_over_has_nothing_of_the_start_before(self, world: World) -> None:
        """The same item and key, another nonce, other content of the same size."""
        stale = begin(world, many(world, seed=1), SIDECAR, nonce="n1").open().send_some(2)
        fresh = begin(world, many(world, seed=2), SIDECAR, nonce="n2")
        assert fresh.upload.item_id == stale.upload.item_id
        fresh.run()
        assert_stored(world, fresh)

    def test_aborting_a_start_does_not_touch_the_next(self, world: World) -> None:
        """A process that lost its lease may abort late."""
        stale = begin(world, many(world, seed=1), nonce="n1").open().send_some(2)
        fresh = begin(world, many(world, seed=2), nonce="n2").open().send_some(2)
        stale.abort()
        later = fresh.in_new_process(world.backend()) if fresh.resumable else fresh
        later.finish()
        assert_stored(world, later)

    def test_equal_nonces_of_two_items_are_two_uploads(self, world: World) -> None:
        """A nonce says nothing without its item."""
        drives = [
            begin(world, many(world, seed=seed), item=item, nonce="same", keys=(f"2026/{seed}.mp4",)).open()
            for seed, item in ((1, ITEM), (2, OTHER_ITEM))
        ]
        for _ in range(2):
            for drive in drives:
                drive.send_some(1)
        for drive in drives:
            drive.finish()
            assert_stored(world, drive)


def _two(world: World, key: str = "2026/11/clip.mp4", nonce: str = "n") -> tuple[Drive, Drive]:
    ours = begin(world, many(world, seed=1), item=ITEM, nonce=f"{nonce}1", keys=(key,)).open()
    theirs = begin(world, many(world, seed=2), item=OTHER_ITEM, nonce=f"{nonce}2", keys=(key,)).open()
    return ours, theirs


def _can_send(drive: Drive) -> bool:
    return any(not part.last for part in drive.missing)
