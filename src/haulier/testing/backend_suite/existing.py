"""A key that is taken: by the same, by something else, from the start or in the last moment."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haulier.errors import ConflictError, TransferError
from haulier.testing.backend_suite.drive import KEYS
from haulier.testing.backend_suite.judging import (
    SIDECAR,
    assert_stored,
    assert_untouched,
    begin,
    fails,
    many,
    need_keys_of_ours,
    need_protection,
)
from haulier.testing.backend_suite.world import OTHER_ITEM

if TYPE_CHECKING:
    from haulier.testing.backend_suite.world import World

__all__ = ["ExistingCases"]


class ExistingCases:
    """Nothing is overwritten; what is already there is compared."""

    @pytest.mark.parametrize("theirs", ["of another size", "of our size", "empty"])
    def test_something_else_under_the_key_is_a_conflict_and_stays(self, world: World, theirs: str) -> None:
        """Whoever put it there."""
        need_protection(world)
        ours = many(world)
        content = {"of another size": b"theirs", "of our size": ours[::-1], "empty": b""}[theirs]
        world.put(KEYS[0], content)
        drive = begin(world, ours, SIDECAR)
        fails(drive.run, ConflictError)
        assert_untouched(world, KEYS[0], content)

    def test_a_conflict_that_comes_while_parts_are_sent(self, world: World) -> None:
        """The key was free when the session began."""
        need_protection(world)
        drive = begin(world, many(world)).open().send_some()
        world.put(KEYS[0], b"theirs")
        fails(drive.commit, ConflictError)
        assert_untouched(world, KEYS[0], b"theirs")

    def test_a_conflict_over_the_sidecar_leaves_no_media_file(self, world: World) -> None:
        """What is visible has its sidecar."""
        need_protection(world)
        world.put(KEYS[1], b"theirs")
        drive = begin(world, many(world), SIDECAR)
        fails(drive.run, ConflictError)
        assert_untouched(world, KEYS[1], b"theirs")
        assert KEYS[0] not in world.visible()

    def test_equal_content_under_the_key_is_success(self, world: World) -> None:
        """Somebody else stored the same; the answer does not call it that item's."""
        need_protection(world)
        content = many(world)
        world.put(KEYS[0], content)
        drive = begin(world, content, SIDECAR)
        drive.run()
        assert_stored(world, drive)
        assert drive.stored[0].item_id != OTHER_ITEM
        assert sorted(world.visible()) == sorted(KEYS)

    def test_an_upload_that_is_stored_already_is_success(self, world: World) -> None:
        """Its commit was lost with the journal: the same item comes again under a new nonce, and lies there once."""
        need_keys_of_ours(world)
        first = begin(world, many(world), SIDECAR, nonce="n1")
        first.run()
        again = begin(world, many(world), SIDECAR, nonce="n2")
        again.run()
        assert_stored(world, again)
        assert sorted(world.visible()) == sorted(KEYS)

    def test_the_same_item_with_other_content_is_told_truly(self, world: World) -> None:
        """Refused, replaced or left: what the answer says of it is what lies there."""
        need_protection(world)
        first = begin(world, many(world, seed=1), nonce="n1")
        first.run()
        second = begin(world, many(world, seed=2), nonce="n2")
        try:
            second.run()
            assert_stored(world, second)
        except TransferError:
            assert world.content(KEYS[0]) in (first.contents[0], second.contents[0])
