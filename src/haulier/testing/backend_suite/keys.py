"""Keys: ordinary ones in every script, hostile ones, and those that some stores take for the same."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haulier.errors import ConflictError, HaulierError, ItemError, ValidationError
from haulier.testing.backend_suite.drive import ITEM
from haulier.testing.backend_suite.judging import assert_content, assert_stored, begin, many, need_keys_of_ours
from haulier.testing.backend_suite.world import OTHER_ITEM

if TYPE_CHECKING:
    from haulier.testing.backend_suite.world import World

__all__ = ["KeyCases"]

ORDINARY = {
    "spaces": "2026/a b/c d.mp4",
    "umlauts": "2026/Prüfstand Köln.mp4",
    "decomposed": "2026/Pru\u0308fstand.mp4",
    "chinese": "2026/录像.mp4",
    "emoji": "2026/🎥 clip.mp4",
    "right to left": "2026/תסריט.mp4",
    "percent": "2026/100%25 %41.mp4",
    "reserved in addresses": "2026/a+b&c=d#e;f,g@h!$(i)~'.mp4",
    "brackets": "2026/a[1]{2}.mp4",
    "dots": "2026/...a..b.mp4",
    "long": "2026/" + "x" * 200 + ".mp4",
    "deep": "/".join("abcdefghij") + "/clip.mp4",
}
HOSTILE = {
    "parent": "../clip.mp4",
    "parent within": "2026/../../clip.mp4",
    "absolute": "/clip.mp4",
    "current": "2026/./clip.mp4",
    "empty name": "2026//clip.mp4",
    "empty": "",
    "folder": "2026/",
    "backslashes": "..\\..\\clip.mp4",
    "drive": "C:/clip.mp4",
    "stream": "clip.mp4:stream",
    "device": "2026/NUL.mp4",
    "trailing dot": "2026/clip.mp4.",
    "null character": "2026/cl\0ip.mp4",
    "line break": "2026/cl\r\nip.mp4",
    "half a character": "2026/cl\udc80ip.mp4",
    "too long": "2026/" + "y" * 2000 + ".mp4",
    "unfinished uploads": ".haulier-partial/clip.mp4",
    "a pattern": "2026/*?.mp4",
}


class KeyCases:
    """Objects lie under the key they were given, or nowhere."""

    @pytest.mark.parametrize("kind", list(ORDINARY))
    def test_ordinary_keys_are_kept_as_they_are(self, world: World, kind: str) -> None:
        """Character by character."""
        need_keys_of_ours(world)
        key = ORDINARY[kind]
        drive = begin(world, many(world), keys=(key,))
        drive.run()
        assert_stored(world, drive)
        assert world.visible() == [key]
        assert world.strays() == []

    @pytest.mark.parametrize("kind", list(HOSTILE))
    def test_hostile_keys_are_refused_or_taken_literally(self, world: World, kind: str) -> None:
        """Never a place that the backend was not given, and never another key."""
        need_keys_of_ours(world)
        key = HOSTILE[kind]
        drive = begin(world, many(world), keys=(key,))
        try:
            drive.run()
        except HaulierError as error:
            assert isinstance(error, ValidationError), f"refused with {error!r}, not as malformed"  # noqa: PT017
            assert world.visible() == []
        else:
            assert world.visible() == [key]
            assert_stored(world, drive)
        assert world.strays() == []

    @pytest.mark.parametrize("kind", ["parent", "parent within", "absolute", "null character"])
    @pytest.mark.parametrize("method", ["stat", "delete", "read"])
    def test_hostile_keys_reach_nothing_by_any_other_way(self, world: World, method: str, kind: str) -> None:
        """Looking, reading and deleting go by the same rule."""
        need_keys_of_ours(world)
        backend = world.backend()
        context = begin(world, b"").context
        try:
            answer = getattr(backend, method)(HOSTILE[kind], context)
            if method == "read":
                answer = list(answer)
        except HaulierError:
            return
        assert answer in (None, False), "something was found, or deleted"

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("2026/Clip.mp4", "2026/clip.mp4"),
            ("2026/K\u00f6ln.mp4", "2026/Ko\u0308ln.mp4"),
            ("2026/ß.mp4", "2026/SS.mp4"),
        ],
        ids=["case", "composition", "sharp s"],
    )
    def test_keys_equal_after_folding(self, world: World, first: str, second: str) -> None:
        """Two objects, or a conflict; the first is never replaced."""
        need_keys_of_ours(world)
        ours = begin(world, many(world, seed=1), item=ITEM, keys=(first,))
        theirs = begin(world, many(world, seed=2), item=OTHER_ITEM, nonce="n2", keys=(second,))
        ours.run()
        try:
            theirs.run()
        except ConflictError:
            assert world.visible() == [first]
        else:
            assert not (ours.abilities.case_folding and first.casefold() == second.casefold()), "it folds"
            assert world.visible() == sorted([first, second])
            assert_stored(world, theirs)
        assert_content(world, ours.stored[0], ours.contents[0])

    @pytest.mark.parametrize(("first", "second"), [("2026/a", "2026/a/b"), ("2026/a/b", "2026/a")])
    def test_a_key_that_is_another_s_folder(self, world: World, first: str, second: str) -> None:
        """Two objects, or the second is refused for its own sake; the first stays."""
        need_keys_of_ours(world)
        ours = begin(world, many(world, seed=1), item=ITEM, keys=(first,))
        theirs = begin(world, many(world, seed=2), item=OTHER_ITEM, nonce="n2", keys=(second,))
        ours.run()
        try:
            theirs.run()
        except ItemError:
            assert world.visible() == [first]
        else:
            assert world.visible() == sorted([first, second])
        assert_content(world, ours.stored[0], ours.contents[0])
