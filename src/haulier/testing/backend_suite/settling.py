"""What ``settle`` says of an upload whose answer was lost: present, absent, or unknown, and only what is so."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haulier.backends.api import Outcome
from haulier.models import Proof
from haulier.testing.backend_suite.drive import KEYS
from haulier.testing.backend_suite.judging import (
    SIDECAR,
    assert_stored,
    begin,
    is_claimed,
    key_of,
    many,
    need,
    need_keys_of_ours,
)

if TYPE_CHECKING:
    from haulier.backends.api import Settled
    from haulier.testing.backend_suite.drive import Drive
    from haulier.testing.backend_suite.world import World

__all__ = ["SettleCases"]


class SettleCases:
    """Unknown is always allowed; the other two need proof."""

    @pytest.mark.parametrize("parts", [0, 1, 4])
    def test_what_was_not_committed_is_not_called_present(self, world: World, parts: int) -> None:
        """Unless settling itself finished it; then it is there."""
        drive = begin(world, many(world), SIDECAR).open().send_some(parts)
        whole = not drive.missing
        settled = _settle(world, drive)
        if whole and is_claimed(drive, settled):
            drive.stored = settled.stored
            assert_stored(world, drive)
            return
        assert settled.outcome is not Outcome.PRESENT

    def test_what_was_never_opened_is_not_called_present(self, world: World) -> None:
        """Without a token."""
        drive = begin(world, many(world), SIDECAR)
        assert _settle(world, drive).outcome is not Outcome.PRESENT

    @pytest.mark.parametrize("with_token", [True, False], ids=["token", "no token"])
    def test_what_was_committed_is_never_called_absent(self, world: World, with_token: bool) -> None:
        """Asked by another process, twice; where the destination can tell, it is present and proves as much."""
        drive = begin(world, many(world), SIDECAR)
        drive.run()
        for _ in range(2):
            settled = _settle(world, drive, with_token=with_token)
            assert settled.outcome is not Outcome.ABSENT
            if settled.outcome is Outcome.PRESENT:
                asked = drive.copy(world.backend())
                asked.stored = settled.stored
                assert_stored(world, asked)
        assert settled.outcome is Outcome.PRESENT or not (world.settles and with_token), "it cannot be found"
        assert len(world.visible()) == 2

    def test_an_aborted_upload_is_not_called_present(self, world: World) -> None:
        """Nor is it afterwards."""
        drive = begin(world, many(world), SIDECAR).open().send_some(2)
        drive.abort()
        assert _settle(world, drive).outcome is not Outcome.PRESENT
        assert drive.upload.media.key not in world.visible()

    def test_something_else_under_the_key_is_not_taken_for_ours(self, world: World) -> None:
        """Of the same size: an answer that the engine would believe must not be given."""
        need_keys_of_ours(world)
        drive = begin(world, many(world)).open()
        world.put(KEYS[0], drive.contents[0][::-1])
        for with_token in (True, False):
            assert not is_claimed(drive, _settle(world, drive, with_token=with_token))

    def test_something_short_under_the_key_is_not_taken_for_ours(self, world: World) -> None:
        """As a broken write of somebody else leaves it."""
        need_keys_of_ours(world)
        drive = begin(world, many(world)).open()
        world.put(KEYS[0], drive.contents[0][:-1])
        assert not is_claimed(drive, _settle(world, drive))

    def test_what_was_removed_again_is_not_called_present(self, world: World) -> None:
        """Somebody deleted it after the commit."""
        drive = begin(world, many(world))
        drive.run()
        need(drive.abilities.proof is not Proof.ACKNOWLEDGED, "an old acknowledgement is all that it can show")
        world.remove(key_of(world, drive))
        assert _settle(world, drive).outcome is not Outcome.PRESENT

    def test_half_of_an_upload_is_not_called_present(self, world: World) -> None:
        """The media file lies there and its sidecar does not."""
        need_keys_of_ours(world)
        drive = begin(world, many(world), SIDECAR).open()
        world.put(KEYS[0], drive.contents[0])
        assert _settle(world, drive).outcome is not Outcome.PRESENT


def _settle(world: World, drive: Drive, *, with_token: bool = True) -> Settled:
    """Ask as another process asks."""
    other = drive.copy(world.backend())
    return other.checked.settle(other.upload, other.token if with_token else None)
