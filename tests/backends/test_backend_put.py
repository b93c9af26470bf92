"""The adapter for destinations that can put whole objects and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from haulier.backends.api import Backend, CommitMode, IfAbsent, Limits, Outcome, PutBackend, ResumeMode, Stored
from haulier.backends.put import adapt
from haulier.errors import ConflictError, NetworkError, OffsetError, UnsupportedError, ValidationError
from haulier.models import Proof

MEDIA = bytes(range(45))
SIDECAR = b'{"case": 1}'


@dataclass(frozen=True)
class Options:
    shelf: dict = field(default_factory=dict)
    puts: list = field(default_factory=list)


class Blind(PutBackend):
    type = "blind"
    options_type = Options
    limits = Limits(max_object=1000)

    def put(self, upload, artifact, body, context):
        self.options.puts.append(artifact.key)
        self.options.shelf[artifact.key] = (body.read(), upload.item_id)
        return Stored(artifact.key, f"shelf:{artifact.key}", artifact.size)


class Sizes(Blind):
    """Tells sizes and nothing else."""

    type = "sizes"

    def stat(self, key, context):
        if key not in self.options.shelf:
            return None
        return Stored(key, f"shelf:{key}", len(self.options.shelf[key][0]))


class Items(Sizes):
    """Keeps item ids."""

    type = "items"

    def stat(self, key, context):
        found = super().stat(key, context)
        return found and Stored(key, found.location, found.size, item_id=self.options.shelf[key][1])


class Digests(Sizes):
    """Computes digests, and refuses to overwrite by itself."""

    type = "digests"
    if_absent = IfAbsent.ATOMIC

    def put(self, upload, artifact, body, context):
        if artifact.key in self.options.shelf:
            body.read(5)
            raise ConflictError("taken", where=artifact.key)
        return super().put(upload, artifact, body, context)

    def stat(self, key, context):
        import hashlib

        found = super().stat(key, context)
        content = self.options.shelf.get(key, (b"",))[0]
        return found and Stored(
            key, found.location, found.size, digests={"sha256": hashlib.sha256(content).hexdigest()}
        )


def made(put_type, options=None):
    return adapt(put_type)("archive", options or Options())


def test_it_is_a_backend_like_any_other():
    adapted = adapt(Sizes)
    assert issubclass(adapted, Backend)
    assert (adapted.type, adapted.options_type, adapted.limits.max_object) == ("sizes", Options, 1000)
    assert adapted.abilities.commit is CommitMode.LAST_PART
    assert (adapted.abilities.resume, adapt(Blind).abilities.resume) == (ResumeMode.LIST, ResumeMode.NONE)
    assert (adapted.abilities.proof, adapt(Blind).abilities.proof) == (Proof.SIZE, Proof.ACKNOWLEDGED)


def test_the_strongest_proof_can_be_declared():
    strong = type("Strong", (Digests,), {"proof": Proof.CONTENT})
    assert adapt(strong).abilities.proof is Proof.CONTENT


def test_the_media_file_is_put_last(drive_for):
    backend = made(Blind)
    stored = drive_for(backend, MEDIA, SIDECAR).run()
    assert backend.options.puts == ["2026/a.json", "2026/a.mp4"]
    assert [entry.location for entry in stored] == ["shelf:2026/a.mp4", "shelf:2026/a.json"]


def test_without_stat_a_lost_answer_stays_unknown(drive_for):
    backend = made(Blind)
    drive = drive_for(backend, MEDIA)
    drive.run()
    assert backend.settle(drive.upload, drive.token, drive.context).outcome is Outcome.UNKNOWN
    with pytest.raises(UnsupportedError):
        backend.stat("2026/a.mp4", drive.context)


def test_without_stat_the_earlier_answer_of_another_process_is_what_is_known(drive_for):
    options = Options()
    first = drive_for(made(Blind, options), MEDIA, SIDECAR).open().send_some()
    first.backend = made(Blind, options)
    stored = first.commit()
    assert (stored[1].key, stored[1].size) == ("2026/a.json", None)


@pytest.mark.parametrize("put_type", [Sizes, Items, Digests])
def test_with_stat_nothing_is_put_twice(put_type, drive_for):
    options = Options()
    first = drive_for(made(put_type, options), MEDIA, SIDECAR).open().send_some()
    second = first.resume(made(put_type, options))
    stored = second.finish()
    assert options.puts == ["2026/a.json", "2026/a.mp4"]
    assert [entry.size for entry in stored] == [45, 11]
    assert first.resume(made(put_type, options)).held.stored[0].key == "2026/a.mp4"


@pytest.mark.parametrize("put_type", [Sizes, Items, Digests])
def test_a_lost_commit_answer_is_settled_by_stat(put_type, drive_for):
    class Forgetful(put_type):
        def put(self, upload, artifact, body, context):
            super().put(upload, artifact, body, context)
            raise NetworkError("silence")

    drive = drive_for(made(Forgetful), MEDIA).open()
    assert drive.backend.settle(drive.upload, drive.token, drive.context).outcome is Outcome.ABSENT
    with pytest.raises(NetworkError):
        drive.commit()
    settled = drive.backend.settle(drive.upload, drive.token, drive.context)
    assert (settled.outcome, settled.stored[0].size) == (Outcome.PRESENT, 45)


def test_an_equal_size_that_was_there_before_proves_nothing(drive_for):
    options = Options({"2026/a.mp4": (MEDIA[::-1], "")})
    drive = drive_for(made(Sizes, options), MEDIA).open()
    assert drive.backend.settle(drive.upload, drive.token, drive.context).outcome is Outcome.UNKNOWN
    with pytest.raises(ConflictError):
        drive.commit()
    assert options.shelf["2026/a.mp4"][0] == MEDIA[::-1]


def test_this_items_object_of_an_earlier_start_is_replaced(drive_for):
    options = Options()
    drive_for(made(Items, options), MEDIA[::-1]).run()
    drive_for(made(Items, options), MEDIA, nonce="n2").run()
    assert options.shelf["2026/a.mp4"][0] == MEDIA


def test_another_items_object_is_not(drive_for):
    options = Options()
    drive_for(made(Items, options), MEDIA[::-1], item="b" * 64).run()
    drive = drive_for(made(Items, options), MEDIA)
    with pytest.raises(ConflictError):
        drive.run()
    assert drive.backend.settle(drive.upload, drive.token, drive.context).outcome is Outcome.ABSENT
    assert options.shelf["2026/a.mp4"][0] == MEDIA[::-1]


def test_a_destination_that_refuses_to_overwrite_is_asked_what_it_has(drive_for):
    options = Options({"2026/a.mp4": (MEDIA, ""), "2026/a.json": (SIDECAR, "")})
    drive_for(made(Digests, options), MEDIA, SIDECAR).run()
    options.shelf["2026/a.json"] = (SIDECAR[::-1], "")
    with pytest.raises(ConflictError):
        drive_for(made(Digests, options), MEDIA, SIDECAR).run()


def test_commit_without_a_last_part_tells_what_is_missing(drive_for):
    drive = drive_for(made(Sizes), MEDIA, SIDECAR).open().send_some()
    with pytest.raises(OffsetError) as caught:
        drive.backend.commit(drive.upload, drive.token, drive.held, {}, drive.context)
    assert set(caught.value.held.parts) == {1}


def test_artifacts_go_up_whole(drive_for):
    drive = drive_for(made(Sizes), MEDIA, SIDECAR).open()
    part = drive.parts()[0]
    half = type(part)(part.artifact, 1, 0, part.size - 1)
    with pytest.raises(ValidationError, match="whole"):
        drive.send(half)
    with pytest.raises(ValidationError, match="commit"):
        drive.send(drive.parts()[-1])


def test_closing_and_probing_reach_the_destination(context):
    calls = []

    class Watched(Blind):
        def probe(self, context):
            calls.append("probe")

        def close(self):
            calls.append("close")

    backend = made(Watched)
    backend.probe(context)
    backend.close()
    assert calls == ["probe", "close"]
