"""What is kept with an object fits, whatever the task's metadata are; what the service tells is read with care."""

from __future__ import annotations

import json

import pytest

from haulier.testing.backend_suite.drive import make_upload
from haulier_gcs.checksums import digests_of
from haulier_gcs.metadata import item_of, object_metadata
from haulier_gcs.place import number_of


def kept(given=(), **metadata):
    upload = make_upload([b"x", b"{}"], **metadata)
    return object_metadata(upload, upload.media, dict(given))


def test_whose_it_is_and_the_task_s_metadata_are_kept_in_ascii():
    found = kept({"site": "north"}, host="Prüfstand 7", labels=["録画", "a"])
    assert (found["haulier-item"], found["haulier-session"], found["site"]) == ("a" * 64, "n1", "north")
    assert json.loads(found["haulier-metadata"]) == {"host": "Prüfstand 7", "labels": ["録画", "a"]}
    assert all(value.isascii() and value.isprintable() for value in found.values())


def test_names_that_headers_cannot_carry_are_quoted():
    upload = make_upload([b"x"], keys=("2026/Prüfstand\t%1.mp4",))
    assert object_metadata(upload, upload.media, {})["haulier-name"] == "Pr%C3%BCfstand%09%251.mp4"


def test_what_does_not_fit_is_left_out_and_said_so():
    found = kept(text="x" * 9000)
    assert found["haulier-metadata"].startswith("left out")
    assert sum(len(name) + len(value) for name, value in found.items()) + len("haulier-sha256") + 64 <= 8192


def test_the_sidecar_carries_no_copy_of_the_metadata():
    upload = make_upload([b"x", b"{}"], host="server")
    assert "haulier-metadata" not in object_metadata(upload, upload.sidecar, {})


@pytest.mark.parametrize(
    ("told", "digests"),
    [
        ({"crc32c": "4waSgw=="}, {"crc32c": "e3069283"}),
        ({"crc32c": "4waSgw==", "md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg=="}, None),
        ({"crc32c": "4waS"}, {}),
        ({"crc32c": "no base64"}, {}),
        ({"crc32c": 7, "md5Hash": None}, {}),
        ({}, {}),
    ],
)
def test_digests_are_read_only_if_they_are_some(told, digests):
    found = digests_of(told)
    if digests is None:
        assert found == {"crc32c": "e3069283", "md5": "d41d8cd98f00b204e9800998ecf8427e"}
    else:
        assert found == digests


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ("0", 0),
        ("17", 17),
        (17, 17),
        ("-1", None),
        (-1, None),
        (True, None),
        ("٣", None),
        ("9" * 20, None),
        (None, None),
    ],
)
def test_counts_are_read_only_if_they_are_some(told, number):
    assert number_of(told) == number


@pytest.mark.parametrize("told", [None, [], "x", {"haulier-item": 3}, {"other": "x"}])
def test_an_item_is_named_only_by_a_text(told):
    assert item_of({"metadata": told}) == ""
