"""Digests that storage services compute, and what is made of those they tell of parts they hold."""

from __future__ import annotations

import sys

import pytest

from haulier.backends.api import Artifact, Held, HeldPart, Stored
from haulier.backends.memory import MemoryBackend, MemoryOptions, MemoryStore
from haulier.errors import IntegrityError, NetworkError
from haulier.journal.memory import MemoryJournal
from haulier.models import Proof, Role, TaskState
from haulier.testing.rig import UploadRig
from haulier.transfer.digests import Digests, new_digest
from haulier.transfer.proof import prove

CHECK = b"123456789"  # the test vector of the CRC catalogue
CONTENT = bytes(range(251)) * 20


@pytest.mark.parametrize(("name", "digest"), [("crc64nvme", "ae8b14860a799888"), ("crc32c", "e3069283")])
def test_crcs_are_those_of_the_catalogue(name, digest):
    whole, pieces = new_digest(name), Digests([name])
    whole.update(CHECK)
    for start in range(0, 9, 4):
        pieces.update(memoryview(bytearray(CHECK))[start : start + 4])
    assert whole.hexdigest() == pieces.result()[name] == digest
    assert new_digest(name).hexdigest() == "0" * len(digest)


def test_a_crc_whose_package_is_missing_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "awscrt", None)
    with pytest.raises(ValueError, match="awscrt"):
        new_digest("crc64nvme")
    assert new_digest("md5").hexdigest()


def test_crc32c_is_computed_by_the_other_package_as_well(monkeypatch):
    monkeypatch.setitem(sys.modules, "awscrt", None)
    pieces = new_digest("crc32c")
    for start in range(0, 9, 4):
        pieces.update(memoryview(bytearray(CHECK))[start : start + 4])
    assert pieces.hexdigest() == "e3069283"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="awscrt or google-crc32c"):
        new_digest("crc32c")


class TellingBackend(MemoryBackend):
    """Tells digests of the parts it holds, of which one is wrong until the session ends."""

    lies = True

    def __init__(self, store):
        super().__init__("archive", MemoryOptions(parts="parallel", resume="list", part_digests={"md5"}, store=store))
        self.commits = self.opens = 0

    def open(self, *args):
        self.opens += 1
        return super().open(*args)

    def held(self, upload, token, context):
        told = super().held(upload, token, context)
        parts = {
            number: HeldPart(part.size, part.etag, {"md5": "0" * 32 if self.lies else self._md5(number, part)})
            for number, part in told.parts.get(0, {}).items()
        }
        return Held(parts={0: parts})

    def _md5(self, number, part):
        digest = new_digest("md5")
        digest.update(CONTENT[(number - 1) * 1024 :][: part.size])
        return digest.hexdigest()

    def commit(self, *args, **more):
        self.commits += 1
        return super().commit(*args, **more)


@pytest.mark.parametrize("lies", [True, False])
def test_invariant_7_held_parts_are_compared_with_what_is_read_before_anything_is_committed(tmp_path, lies):
    store = MemoryStore()
    backend = TellingBackend(store)
    backend.lies = lies
    rig = UploadRig(MemoryJournal(), backend)
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    task = rig.submit(tmp_path / "clip.mp4")
    store.faults.add("send", part=4, after=NetworkError("reset"))
    rig.work()
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert backend.commits == 1
    assert backend.opens == (2 if lies else 1), "what was held is used only if it is what is read"


def test_a_backend_that_compared_every_part_proves_content():
    artifact = Artifact(0, Role.MEDIA, "clip.mp4", "clip.mp4", 3, "video/mp4")
    ours = {0: {"sha256": "ab"}}
    for compared, proof in ((True, Proof.CONTENT), (False, Proof.SIZE)):
        (entry,) = prove([artifact], [Stored("clip.mp4", "there", 3, compared=compared)], ours, "item")
        assert entry.proof is proof
    wrong = Stored("clip.mp4", "there", 3, digests={"sha256": "cd"}, compared=True)
    with pytest.raises(IntegrityError):
        prove([artifact], [wrong], ours, "item")
