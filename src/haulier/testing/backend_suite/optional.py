"""What else a backend can: look, list, read, delete, probe, check."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from haulier.backends.api import Answer
from haulier.errors import HaulierError, UnsupportedError
from haulier.testing.backend_suite.judging import SIDECAR, begin, fails, key_of, many, need, need_keys_of_ours
from haulier.testing.backend_suite.world import NotApplicable, World
from haulier.transfer.context import RunContext

if TYPE_CHECKING:
    from haulier.backends.api import Backend, Stored

__all__ = ["OptionalCases"]

ABSENT = ("2026/11/absent.mp4", "2027/absent/clip.mp4", "absent.mp4", "2026")
_BLOCK = 16 << 20


class OptionalCases:
    """The abilities that are declared, and refusals of those that are not."""

    @pytest.mark.parametrize("key", ABSENT)
    def test_stat_of_what_is_not_there_is_none(self, world: World, key: str) -> None:
        """Proven absence, next to an object, in a folder that is not there, and of a folder."""
        begin(world, many(world)).run()
        try:
            assert _stat(world.backend(), key) is None
        except HaulierError as error:
            assert key == "2026", error  # noqa: PT017  a folder has that name: saying so is an answer too

    def test_stat_tells_the_truth(self, world: World) -> None:
        """Size and digests are those of the object."""
        drive = begin(world, many(world), SIDECAR)
        drive.run()
        for index in range(2):
            found = _stat(world.backend(), key_of(world, drive, index))
            assert found is not None
            drive_digests = drive.all_digests()[index]
            assert found.size in {None, len(drive.contents[index])}
            assert all(drive_digests.get(name, digest) == digest for name, digest in found.digests.items())
            assert found.item_id in {"", drive.upload.item_id}

    def test_listing_pages_through_everything_in_key_order(self, world: World) -> None:
        """Each object once."""
        self._need(world, "list")
        keys = [f"2026/{number:04}.mp4" for number in range(world.listing)]
        backend = world.backend()
        for number, key in enumerate(keys):
            if not self._put(world, key):
                names: dict[str, Any] = {"item": f"{number:064x}", "nonce": f"n{number}", "keys": (key,)}
                begin(world, many(world, 0, 1), backend=backend, **names).run()
        listed = [stored.key for stored in backend.list("", RunContext())]
        assert listed == world.visible()
        assert len(set(listed)) == len(listed) >= world.listing
        assert listed == sorted(listed)

    def test_listing_below_a_prefix(self, world: World) -> None:
        """Also one that ends in the middle of a name, and one that nothing has."""
        self._need(world, "list")
        need_keys_of_ours(world)
        for number, key in enumerate(("2026/a.mp4", "2026/ab/c.mp4", "2026/b.mp4", "2027/a.mp4")):
            begin(world, many(world, 0, 1), item=f"{number:064x}", nonce=f"n{number}", keys=(key,)).run()
        begin(world, many(world), item="e" * 64, nonce="n9", keys=("2026/unfinished.mp4",)).open().send_some(2)

        def listed(prefix: str) -> list[str]:
            return [stored.key for stored in world.backend().list(prefix, RunContext())]

        assert listed("2026/") == ["2026/a.mp4", "2026/ab/c.mp4", "2026/b.mp4"]
        assert listed("2026/a") == ["2026/a.mp4", "2026/ab/c.mp4"]
        assert listed("2027/a.mp4") == ["2027/a.mp4"]
        assert listed("2028/") == []

    def test_reading_gives_the_content_in_blocks(self, world: World) -> None:
        """Not all at once."""
        self._need(world, "read")
        drive = begin(world, many(world))
        drive.run()
        blocks = list(world.backend().read(key_of(world, drive), RunContext()))
        assert b"".join(blocks) == drive.contents[0]
        assert all(len(block) <= _BLOCK for block in blocks)

    def test_reading_what_is_not_there_fails(self, world: World) -> None:
        """An empty answer would be a lie."""
        self._need(world, "read")
        begin(world, many(world)).run()
        fails(lambda: list(world.backend().read(ABSENT[0], RunContext())), HaulierError)

    def test_deleting_tells_whether_it_was_there(self, world: World) -> None:
        """It is gone afterwards, and the others are not."""
        self._need(world, "delete")
        drives = [
            begin(world, many(world, 1, 1), item=f"{number:064x}", nonce=f"n{number}", keys=(f"2026/{number}.mp4",))
            for number in range(2)
        ]
        for drive in drives:
            drive.run()
        gone, stays = (key_of(world, drive) for drive in drives)
        backend = world.backend()
        assert backend.delete(gone, RunContext()) is True
        assert backend.delete(gone, RunContext()) is False
        assert backend.delete(ABSENT[1], RunContext()) is False
        assert _stat(backend, gone) is None
        assert _stat(backend, stays) is not None
        assert gone not in world.visible()
        assert stays in world.visible()

    @pytest.mark.parametrize("ability", ["list", "read", "delete"])
    def test_what_is_not_declared_is_refused(self, world: World, ability: str) -> None:
        """As unsupported."""
        backend = world.backend()
        need(ability not in backend.abilities.optional, f"it has the ability {ability!r}")

        def ask() -> None:
            answer = getattr(backend, ability)("2026/11/clip.mp4", RunContext())
            if ability != "delete":
                list(answer)

        fails(ask, UnsupportedError)

    def test_probing_writes_nothing(self, world: World) -> None:
        """Not even where nothing was ever written."""
        world.backend().probe(RunContext(silence=30.0))
        assert world.visible() == []
        assert world.strays() == []

    def test_checking_leaves_nothing_and_answers_for_each_right(self, world: World) -> None:
        """Twice; the destination is reached."""
        for _ in range(2):
            report = world.backend().check(RunContext(silence=30.0))
            assert report.rights["reach"] is Answer.YES
            assert set(report.rights.values()) <= set(Answer)
            assert Answer.NO not in report.rights.values(), report.remarks
        assert world.visible() == []
        assert world.strays() == []

    def _need(self, world: World, ability: str) -> None:
        need(ability in world.backend().abilities.optional, f"it has not the ability {ability!r}")

    def _put(self, world: World, key: str) -> bool:
        """Put a small object there by the side door, if there is one."""
        if world.names_itself or type(world).put is World.put:
            return False
        world.put(key, b"x")
        return True


def _stat(backend: Backend, key: str) -> Stored | None:
    try:
        return backend.stat(key, RunContext())
    except UnsupportedError as error:
        raise NotApplicable(f"it cannot be asked for objects: {error.what}") from error
