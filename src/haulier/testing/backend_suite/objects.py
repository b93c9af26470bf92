"""Objects of every size, and what the answers say of them."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from haulier.backends.api import CommitMode, Outcome
from haulier.errors import HaulierError
from haulier.testing.backend_suite.drive import pattern
from haulier.testing.backend_suite.judging import (
    SIDECAR,
    assert_stored,
    begin,
    keep_off,
    key_of,
    many,
    part_size,
)
from haulier.testing.backend_suite.world import NotApplicable

if TYPE_CHECKING:
    from haulier.testing.backend_suite.world import World

__all__ = ["ObjectCases"]

_SIZES = {
    "empty": (0, 0),
    "one byte": (0, 1),
    "one byte less than a part": (1, -1),
    "one part": (1, 0),
    "one byte more than a part": (1, 1),
    "an exact multiple": (3, 0),
}


class ObjectCases:
    """What is sent is what is stored."""

    @pytest.mark.parametrize("size", list(_SIZES))
    def test_what_is_sent_is_what_is_stored(self, world: World, size: str) -> None:
        """Every byte, once, and no object besides."""
        parts, more = _SIZES[size]
        drive = begin(world, pattern(parts * part_size(world) + more))
        drive.run()
        assert_stored(world, drive)
        assert len(world.visible()) == len(drive.upload.artifacts)

    def test_many_parts(self, world: World) -> None:
        """More than a destination lists at once, if the world says how many that is."""
        drive = begin(world, many(world, world.many, 7))
        drive.run()
        assert_stored(world, drive)

    @pytest.mark.parametrize("parts", [0, 2])
    def test_a_sidecar_is_stored_with_its_media_file(self, world: World, parts: int) -> None:
        """One answer per artifact, in their order."""
        drive = begin(world, many(world, parts, 1), SIDECAR)
        drive.run()
        assert_stored(world, drive)
        assert len(world.visible()) == 2

    def test_nothing_is_visible_before_the_commit(self, world: World) -> None:
        """Neither the key nor, where a call of its own commits, anything else."""
        drive = begin(world, many(world), SIDECAR).open().send_some()
        visible = world.visible()
        if drive.abilities.commit is CommitMode.EXPLICIT:
            assert visible == []
        assert drive.upload.media.key not in visible

    def test_opening_moves_no_bytes(self, world: World) -> None:
        """The token is journalled before the first byte leaves; what opening claims to hold was never sent."""
        drive = begin(world, many(world), SIDECAR).open()
        assert drive.sent == []
        assert sum(part.size for part in drive.missing) == sum(map(len, drive.contents))
        assert world.visible() == []

    def test_opening_again_does_no_harm(self, world: World) -> None:
        """A crash may come between the answer and the journal: the same item and nonce are opened once more."""
        begin(world, many(world), SIDECAR).open().send_some(2)
        again = begin(world, many(world), SIDECAR)
        again.run()
        assert_stored(world, again)
        assert len(world.visible()) == 2

    def test_completing_is_pure(self, world: World) -> None:
        """What the backend adds to an upload is the same in every process, and added once."""
        first = begin(world, many(world))
        second = begin(world, many(world))
        assert first.upload == second.upload
        assert second.backend.complete(second.upload) == second.upload

    def test_metadata_of_any_kind_is_taken(self, world: World) -> None:
        """Unicode, depth, emptiness and length; what has no room for it leaves it out."""
        metadata: dict[str, Any] = {
            "host": "Prüfstand 录像",
            "tags": ["a", "", None],
            "deep": {"x": {"y": 1.5}},
            "note": "x" * 3000,
        }
        drive = begin(world, many(world), SIDECAR, **metadata)
        drive.run()
        assert_stored(world, drive)

    def test_no_token_in_clear_and_no_answer_shows_a_secret(self, world: World) -> None:
        """The public part of a token, what is stored, and what printing the token shows."""
        drive = begin(world, many(world)).open()
        keep_off(world, str(drive.the_token.public))
        keep_off(world, repr(drive.the_token))
        keep_off(world, repr(drive.backend) + str(vars(drive.backend).get("options", "")))
        drive.finish()
        assert_stored(world, drive)

    def test_making_an_instance_connects_to_nothing(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A manager makes its backends before it is asked for anything."""

        def refuse(*_: object) -> None:
            raise AssertionError("making the backend opened a connection")

        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "connect", refuse)
            patched.setattr(socket, "create_connection", refuse)
            world.backend()

    def test_closing_is_final_and_may_come_twice(self, world: World) -> None:
        """Also of an instance that was never used; the others of this destination go on."""
        unused, used = world.backend(), begin(world, many(world)).open()
        for _ in range(2):
            unused.close()
            used.backend.close()
        later = used.in_new_process(world.backend())
        later.finish()
        assert_stored(world, later)

    def test_the_object_can_be_asked_for_under_its_key(self, world: World) -> None:
        """What ``stat`` says of it is true."""
        drive = begin(world, many(world))
        drive.run()
        try:
            found = world.backend().stat(key_of(world, drive), drive.context)
        except HaulierError as error:
            raise NotApplicable(f"stat: {error}") from error
        assert found is not None
        assert found.size in {None, len(drive.contents[0])}
        assert found.key == key_of(world, drive)

    def test_what_was_cancelled_before_it_began_does_nothing(self, world: World) -> None:
        """Every call looks at its context."""
        drive = begin(world, many(world)).open()
        drive.context.stop("cancel")
        with pytest.raises(HaulierError) as caught:
            drive.send_some().commit()
        assert caught.value.code == "cancelled"
        assert world.visible() == []
        settled = world.backend().settle(drive.upload, drive.token, begin(world, b"").context)
        assert settled.outcome is not Outcome.PRESENT
