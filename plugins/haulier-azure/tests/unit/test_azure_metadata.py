"""What is kept with an object fits, and ids of blocks tell whose they are."""

from __future__ import annotations

import json

from haulier.testing.backend_suite.drive import make_upload
from haulier_azure.blocks import BlockId, owner_of
from haulier_azure.metadata import object_metadata

SHA256 = "f" * 64


def kept(**metadata):
    upload = make_upload([b"x", b"{}"], **metadata)
    return object_metadata(upload, upload.media, SHA256)


def test_whose_it_is_and_the_task_s_metadata_are_kept_in_ascii():
    found = kept(host="Prüfstand  7", labels=["録画", "a"])
    assert (found["haulier_item"], found["haulier_session"], found["haulier_sha256"]) == ("a" * 64, "n1", SHA256)
    assert json.loads(found["haulier_metadata"]) == {"host": "Prüfstand  7", "labels": ["録画", "a"]}
    assert all(value.isascii() and value.isprintable() and "  " not in value for value in found.values())


def test_names_are_identifiers_as_the_service_wants_them():
    assert all(name.isidentifier() for name in kept(host="server"))


def test_what_does_not_fit_is_left_out_and_said_so():
    found = kept(text="x" * 9000)
    assert found["haulier_metadata"].startswith("left out")
    assert sum(len(name) + len(value) for name, value in found.items()) <= 8192


def test_the_sidecar_carries_no_copy_of_the_metadata():
    upload = make_upload([b"x", b"{}"], host="server")
    assert "haulier_metadata" not in object_metadata(upload, upload.sidecar, SHA256)


def test_an_id_tells_its_part_and_checksum_to_its_session_alone():
    ours, theirs = owner_of(make_upload([b"x"]), "md5"), owner_of(make_upload([b"x"], nonce="n2"), "md5")
    block = BlockId(ours, 7, "ab" * 16)
    assert BlockId.parse(str(block), ours, 32) == block
    assert BlockId.parse(str(block), theirs, 32) is None
    assert BlockId.parse("somebody-else-s", ours, 32) is None


def test_ids_are_equally_long_whatever_the_part_and_the_checksum():
    upload = make_upload([b"x"])
    ids = [
        str(BlockId(owner_of(upload, name), number, digest))
        for number in (1, 50_000)
        for name, digest in (("md5", "ab" * 16), ("crc64nvme", "cd" * 8))
    ]
    assert {len(each) for each in ids} == {63}
