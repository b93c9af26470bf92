"""What is kept with an object fits into header fields, whatever the task's metadata are."""

from __future__ import annotations

import json

from haulier.testing.backend_suite.drive import make_upload
from haulier_s3.metadata import object_metadata


def kept(**metadata):
    upload = make_upload([b"x", b"{}"], **metadata)
    return object_metadata(upload, upload.media)


def test_whose_it_is_and_the_task_s_metadata_are_kept_in_ascii():
    found = kept(host="Prüfstand 7", labels=["録画", "a"])
    assert (found["haulier-item"], found["haulier-session"]) == ("a" * 64, "n1")
    assert json.loads(found["haulier-metadata"]) == {"host": "Prüfstand 7", "labels": ["録画", "a"]}
    assert all(value.isascii() and value.isprintable() for value in found.values())


def test_names_that_headers_cannot_carry_are_quoted():
    upload = make_upload([b"x"], keys=("2026/Prüfstand\t%1.mp4",))
    assert object_metadata(upload, upload.media)["haulier-name"] == "Pr%C3%BCfstand%09%251.mp4"


def test_what_does_not_fit_is_left_out_and_said_so():
    found = kept(text="x" * 3000)
    assert found["haulier-metadata"].startswith("left out")
    assert sum(len(name) + len(value) for name, value in found.items()) <= 2048


def test_the_sidecar_carries_no_copy_of_the_metadata():
    upload = make_upload([b"x", b"{}"], host="server")
    assert "haulier-metadata" not in object_metadata(upload, upload.sidecar)
