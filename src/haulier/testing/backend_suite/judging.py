"""What the cases ask of every answer, and what makes a case not applicable."""

# ruff: noqa: S101  these are assertions of tests

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from haulier.backends.api import IfAbsent, Outcome, PartsMode
from haulier.errors import HaulierError, IntegrityError
from haulier.testing.backend_suite.drive import ITEM, Drive, make_upload, pattern
from haulier.testing.backend_suite.world import NotApplicable
from haulier.transfer.parts import choose_part_size
from haulier.transfer.proof import prove

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.backends.api import Backend, Settled, Stored
    from haulier.testing.backend_suite.world import World

__all__ = [
    "SIDECAR",
    "assert_content",
    "assert_stored",
    "assert_untouched",
    "begin",
    "fails",
    "is_claimed",
    "keep_off",
    "key_of",
    "many",
    "need",
    "need_keys_of_ours",
    "need_parts",
    "need_protection",
    "part_size",
    "run_together",
]

SIDECAR = b'{"session_id": "clip", "host": "server"}'


def begin(world: World, *contents: bytes, backend: Backend | None = None, **names: Any) -> Drive:
    """An upload that is not opened yet; ``names`` are the arguments of :func:`make_upload`."""
    item = names.pop("item", ITEM)
    names["item"] = hashlib.sha256((world.salt + item).encode()).hexdigest() if world.salt else item
    return Drive(backend or world.backend(), make_upload(contents, **names), contents, part_size=world.part_size)


def part_size(world: World) -> int:
    """Bytes of a part of small objects there."""
    return choose_part_size(0, world.backend().limits, world.part_size)


def many(world: World, parts: int = 3, extra: int = 5, seed: int = 1) -> bytes:
    """Content of so many whole parts and some bytes."""
    return pattern(parts * part_size(world) + extra, seed)


def key_of(world: World, drive: Drive, index: int = 0) -> str:
    """The key of an artifact: what was asked for, or what the destination made of it."""
    return drive.stored[index].key if world.names_itself else drive.upload.artifacts[index].key


def assert_stored(world: World, drive: Drive) -> None:
    """What the commit answered is true, complete, and proves as much as the session promised."""
    upload, stored = drive.upload, drive.stored
    entries = prove(upload.artifacts, stored, drive.all_digests(), upload.item_id)
    for artifact, there, entry in zip(upload.artifacts, stored, entries, strict=True):
        assert world.names_itself or there.key == artifact.key, "the key is the one that was asked for"
        promised = drive.abilities.proof
        assert entry.proof.strength >= promised.strength, f"promised {promised}, shown {entry.proof}"
        assert_content(world, there, drive.contents[artifact.index])
        assert_public(world, there)


def assert_content(world: World, stored: Stored, content: bytes) -> None:
    """An object holds these bytes, seen from outside where that is possible."""
    try:
        there = world.content(stored.key)
    except NotApplicable:
        return
    assert there is not None, f"nothing lies under {stored.key!r}"
    assert len(there) == len(content)
    assert there == content, "other bytes than were sent"


def assert_public(world: World, stored: Stored) -> None:
    """What goes into a receipt shows no secret."""
    assert "?" not in stored.location or stored.key in stored.location, "a location has no query"
    assert "@" not in stored.location.partition("://")[2].partition("/")[0], "a location has no credentials"
    keep_off(world, repr(stored))


def keep_off(world: World, text: str) -> None:
    """No secret of the world stands in the text."""
    assert not [secret for secret in world.secrets if secret in text], "a secret is shown"


def assert_untouched(world: World, key: str, content: bytes) -> None:
    """What lay under a key lies there still."""
    assert world.content(key) == content, "what lay there was touched"


def is_claimed(drive: Drive, settled: Settled) -> bool:
    """Whether the engine would take the answer for a proof that the upload is stored."""
    if settled.outcome is not Outcome.PRESENT:
        return False
    try:
        prove(drive.upload.artifacts, settled.stored, drive.all_digests(), drive.upload.item_id)
    except IntegrityError:
        return False
    return True


def need(condition: bool, reason: str) -> None:
    """Say that the case does not apply unless the condition holds."""
    if not condition:
        raise NotApplicable(reason)


def need_parts(drive_or_backend: Drive | Backend, *modes: PartsMode) -> None:
    """The case is about destinations that take parts like this."""
    parts = drive_or_backend.abilities.parts
    need(parts in modes, f"parts are {parts.value}")


def need_keys_of_ours(world: World) -> None:
    """The case is about destinations that store under the key they are given."""
    need(not world.names_itself, "the destination gives objects keys of its own")


def need_protection(world: World) -> None:
    """The case is about destinations that keep an existing object from being overwritten."""
    need_keys_of_ours(world)
    need(world.backend().abilities.if_absent is not IfAbsent.NONE, "if_absent is none: existing objects are not kept")


def run_together(*calls: Callable[[], Any]) -> list[BaseException | None]:
    """Run calls on threads that start together; what each raised."""
    raised: list[BaseException | None] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(index: int, call: Callable[[], Any]) -> None:
        start.wait(30)
        try:
            call()
        except BaseException as error:  # noqa: BLE001  handed to the test's thread
            raised[index] = error

    threads = [threading.Thread(target=run, args=entry, daemon=True) for entry in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a call does not return"
    return raised


def fails(call: Callable[[], Any], *kinds: type[HaulierError]) -> HaulierError:
    """The error that a call raises, which must be one of these."""
    with pytest.raises(kinds) as caught:
        call()
    error: HaulierError = caught.value
    return error
