"""Bad backends, each wrong in one place, and the test of the suite that catches it; the good ones pass the same test."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from haulier.backends.api import Held, HeldPart, IfAbsent, Outcome, PutBackend, Settled, Stored
from haulier.backends.memory import MemoryBackend
from haulier.errors import HaulierError, SourceChangedError
from haulier.models import Proof
from haulier.testing.backend_suite import BackendSuite, FolderWorld, NotApplicable

PREFIXES = {"parts": "sequential", "resume": "offset"}


class OverwritesWhatIsThere(MemoryBackend):
    def _check_absent(self, new):
        return None


class ForgetsToAbort(MemoryBackend):
    def abort(self, upload, token, context):
        return


class CountsAPartSentTwice(MemoryBackend):
    """It appends what comes, wherever it belongs."""

    options = PREFIXES

    def send(self, upload, token, part, body, context):
        prefix = self.store.sessions[token.public["session"]].artifacts[part.artifact].prefix
        return super().send(upload, token, replace(part, offset=prefix), body, context)


class CallsEverythingPresent(MemoryBackend):
    def settle(self, upload, token, context):
        stored = tuple(Stored(entry.key, entry.key, entry.size) for entry in upload.artifacts)
        return Settled(Outcome.PRESENT, stored)


class CallsEverythingAbsent(MemoryBackend):
    def settle(self, upload, token, context):
        return Settled(Outcome.ABSENT)


class ClaimsToHoldMore(MemoryBackend):
    def held(self, upload, token, context):
        held = super().held(upload, token, context)
        return replace(held, parts={**held.parts, 0: {**held.parts.get(0, {}), 2: HeldPart(32)}})


class ForgetsWhatItHolds(MemoryBackend):
    def held(self, upload, token, context):
        super().held(upload, token, context)
        return Held()


class KeepsSessionsByKey(MemoryBackend):
    def open(self, upload, context):
        return super().open(replace(upload, item_id=upload.media.key, nonce=""), context)

    def _session(self, upload, token):
        return super()._session(replace(upload, item_id=upload.media.key), token)


class KeepsSessionsWithoutNonce(MemoryBackend):
    options = PREFIXES

    def open(self, upload, context):
        return super().open(replace(upload, nonce=""), context)


class ShowsPartsAtOnce(MemoryBackend):
    def send(self, upload, token, part, body, context):
        held = super().send(upload, token, part, body, context)
        self.store.put(upload.media.key, b"so far")
        return held


class EchoesOurDigests(MemoryBackend):
    """A digest of our own called proof."""

    def commit(self, upload, token, held, digests, context, last=None):
        stored = super().commit(upload, token, held, {}, context, last)
        return tuple(replace(entry, digests=digests[index]) for index, entry in enumerate(stored))


class TakesShortParts(MemoryBackend):
    def send(self, upload, token, part, body, context):
        with suppress(SourceChangedError):
            return super().send(upload, token, part, body, context)
        return Held(parts={part.artifact: {part.number: HeldPart(part.size)}})


class CommitsWhatIsThere(MemoryBackend):
    def _assembled(self, upload, session, held, digests):
        sizes = tuple(replace(entry, size=session.artifacts[entry.index].prefix) for entry in upload.artifacts)
        return super()._assembled(replace(upload, artifacts=sizes), session, held, {})


class CommitsOnce(MemoryBackend):
    def commit(self, upload, token, held, digests, context, last=None):
        stored = super().commit(upload, token, held, digests, context, last)
        self.store.remove(upload.media.key)
        if len(self.store.objects) < len(upload.artifacts) and self.store.requests["commit"] < 2:
            self.store.put(upload.media.key, b"".join(p.data for p in self._pieces(token)), upload.item_id)
        return stored

    def _pieces(self, token):
        return self.store.sessions[token.public["session"]].artifacts[0].pieces.values()


class DeletesWithoutLooking(MemoryBackend):
    def delete(self, key, context):
        super().delete(key, context)
        return True


class ListsOnePage(MemoryBackend):
    def list(self, prefix, context):
        return iter(list(super().list(prefix, context))[:10])


class ListsInAnyOrder(MemoryBackend):
    def list(self, prefix, context):
        return iter(list(super().list(prefix, context))[::-1])


class ReadsNothingForAbsent(MemoryBackend):
    def read(self, key, context):
        with suppress(HaulierError):
            return super().read(key, context)
        return iter(())


class TellsWrongDigests(MemoryBackend):
    def _stored(self, found, fault):
        stored = super()._stored(found, fault)
        return replace(stored, digests={"sha256": "0" * 64})


class PromisesMoreThanItShows(MemoryBackend):
    def _stored(self, found, fault):
        return replace(super()._stored(found, fault), digests={})


class FoldsKeys(MemoryBackend):
    def open(self, upload, context):
        return super().open(self._folded(upload), context)

    def commit(self, upload, *arguments):
        return super().commit(self._folded(upload), *arguments)

    def _folded(self, upload):
        return replace(upload, artifacts=tuple(replace(entry, key=entry.key.lower()) for entry in upload.artifacts))


class RemembersItsUpload(MemoryBackend):
    """Not thread-safe: parts go to what was opened last."""

    def __init__(self, name, options):
        super().__init__(name, options)
        self.all_open = threading.Barrier(8)

    def open(self, upload, context):
        self.current, abilities = super().open(upload, context)
        token = self.current
        self.all_open.wait(30)
        return token, abilities

    def send(self, upload, token, part, body, context):
        return super().send(upload, self.current, part, body, context)


class KeepsTokensToItself(MemoryBackend):
    def open(self, upload, context):
        self.tokens = getattr(self, "tokens", {})
        token, abilities = super().open(upload, context)
        self.tokens[upload.nonce] = token
        return replace(token, public={}, secret={}), abilities

    def _session(self, upload, token):
        return super()._session(upload, getattr(self, "tokens", {}).get(upload.nonce, token))


class WritesWhenProbed(MemoryBackend):
    def probe(self, context):
        self.store.put("probe", b"")


class ChangesWhatItCompletes(MemoryBackend):
    def complete(self, upload):
        self.count = getattr(self, "count", 0) + 1
        return replace(upload, metadata={"seen": self.count})


PLANTED = [
    (
        OverwritesWhatIsThere,
        "test_something_else_under_the_key_is_a_conflict_and_stays",
        {"theirs": "of our size"},
    ),
    (OverwritesWhatIsThere, "test_two_commits_at_once_have_one_winner", {}),
    (ForgetsToAbort, "test_an_abort_leaves_nothing", {"parts": 2}),
    (CountsAPartSentTwice, "test_a_part_sent_twice_with_the_same_bytes_counts_once", {}),
    (CallsEverythingPresent, "test_what_was_not_committed_is_not_called_present", {"parts": 1}),
    (CallsEverythingPresent, "test_something_else_under_the_key_is_not_taken_for_ours", {}),
    (CallsEverythingAbsent, "test_what_was_committed_is_never_called_absent", {"with_token": True}),
    (ClaimsToHoldMore, "test_what_is_held_is_what_was_sent", {}),
    (ForgetsWhatItHolds, "test_after_each_part_another_process_goes_on", {"parts": 3}),
    (KeepsSessionsByKey, "test_two_uploads_to_one_key_never_mix", {}),
    (KeepsSessionsWithoutNonce, "test_a_start_over_has_nothing_of_the_start_before", {}),
    (ShowsPartsAtOnce, "test_nothing_is_visible_before_the_commit", {}),
    (EchoesOurDigests, "test_a_file_that_changed_while_it_was_sent_is_not_committed", {}),
    (TakesShortParts, "test_a_body_that_ends_early_is_not_acknowledged", {"where": "in its middle"}),
    (CommitsWhatIsThere, "test_a_commit_before_all_parts_are_there_is_refused", {}),
    (CommitsOnce, "test_a_commit_that_is_repeated_gives_the_same", {}),
    (DeletesWithoutLooking, "test_deleting_tells_whether_it_was_there", {}),
    (ListsOnePage, "test_listing_pages_through_everything_in_key_order", {}),
    (ListsInAnyOrder, "test_listing_below_a_prefix", {}),
    (ReadsNothingForAbsent, "test_reading_what_is_not_there_fails", {}),
    (TellsWrongDigests, "test_what_is_sent_is_what_is_stored", {"size": "one part"}),
    (PromisesMoreThanItShows, "test_what_is_sent_is_what_is_stored", {"size": "one part"}),
    (FoldsKeys, "test_keys_equal_after_folding", {"first": "2026/Clip.mp4", "second": "2026/clip.mp4"}),
    (RemembersItsUpload, "test_eight_threads_upload_through_one_instance", {}),
    (KeepsTokensToItself, "test_after_each_part_another_process_goes_on", {"parts": 0}),
    (WritesWhenProbed, "test_probing_writes_nothing", {}),
    (ChangesWhatItCompletes, "test_completing_is_pure", {}),
]


def run(test, world, arguments):
    try:
        getattr(BackendSuite(), test)(world=world, **arguments)
    except NotApplicable as reason:
        raise AssertionError(f"the test says nothing here: {reason}") from reason


@pytest.mark.parametrize(("bad", "test", "arguments"), PLANTED, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_defect_is_caught(memory_world, bad, test, arguments):
    options = vars(bad).get("options", {})
    run(test, memory_world(**options), arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception, HaulierError)) as caught:
        run(test, memory_world(backend_class=bad, **options), arguments)
    print(f"caught: {str(caught.value).splitlines()[0]}")
    assert "says nothing here" not in str(caught.value)


@dataclass(frozen=True)
class ShelfOptions:
    folder: Path


class CarelessShelf(PutBackend):
    """It joins keys to its folder unseen, and holds whole files in memory."""

    type = "careless-shelf"
    options_type = ShelfOptions
    if_absent = IfAbsent.NONE
    proof = Proof.SIZE

    def put(self, upload, artifact, body, context):
        path = self.options.folder / artifact.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.read())
        return Stored(artifact.key, str(path), artifact.size)


@pytest.mark.parametrize(
    ("test", "arguments"),
    [
        ("test_hostile_keys_are_refused_or_taken_literally", {"kind": "parent"}),
        ("test_a_large_body_is_not_held", {}),
    ],
)
def test_a_careless_shelf_is_caught(tmp_path, test, arguments):
    (tmp_path / "shelf").mkdir()
    world = FolderWorld(CarelessShelf, {"folder": str(tmp_path / "shelf")}, tmp_path / "shelf")
    with pytest.raises((AssertionError, pytest.fail.Exception, HaulierError)):
        run(test, world, arguments)
