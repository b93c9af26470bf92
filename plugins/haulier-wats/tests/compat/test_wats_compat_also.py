"""A host whose recordings go to several destinations: it knows one task for each, and sources go with every proof."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from haulier_wats.compat.settings import read_settings


@pytest.fixture
def places(tmp_path):
    return {name: tmp_path / name for name in ("first", "second")}


@pytest.fixture
def host(program, places):
    def make(**changes):
        tables = {name: {"type": "filesystem", "url": str(path), "create": True} for name, path in places.items()}
        tables["second"]["create"] = False
        given = {"API_BACKEND": "first", "API_ALSO": ["second"], "API_BACKENDS": tables, **changes}
        return program("", API_BASE_URL="", validate_api_config=lambda: False, **given)

    return make


def names(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_host_hears_of_one_task_and_both_destinations_get_the_recording(face, host, places, recordings, ended, until):
    places["second"].mkdir()
    told = []
    manager = face(host())
    manager.on_upload_started = lambda task_id, filename: told.append(("started", task_id))
    manager.on_upload_completed = lambda task_id, file_id: told.append(("completed", task_id))
    video, metadata = recordings.session(content=b"a recording" * 1000)
    task_id = manager.upload_recording(video, metadata)
    assert ended(manager, task_id)["status"] == "completed"
    for folder in places.values():
        until(lambda folder=folder: names(folder) == {video.name, metadata.name})
    until(lambda: manager.get_queue_status()["completed_uploads"] == 2)
    another, _ = recordings.session(2)
    (queued,) = manager.upload_older_recordings(recordings.folder)
    assert queued != task_id
    assert ended(manager, queued)["status"] == "completed"
    until(lambda: another.name in names(places["second"]))
    until(lambda: len(told) >= 4)
    assert told == [("started", task_id), ("completed", task_id), ("started", queued), ("completed", queued)]


def test_invariant_2_a_recording_stays_while_one_of_its_destinations_is_away(
    face, host, places, recordings, ended, until, ports, clock
):
    manager = face(host(API_DELETE_AFTER_UPLOAD=True), ports=ports)
    video, metadata = recordings.session(content=b"a recording" * 1000)
    assert ended(manager, manager.upload_recording(video, metadata))["status"] == "completed"
    assert manager.cleanup_uploaded_files() == 0
    assert video.exists()
    places["second"].mkdir()

    def gone():
        clock.advance(10)
        return not video.exists()

    until(gone)
    assert names(places["first"]) == names(places["second"]) == {video.name, metadata.name}


@pytest.mark.parametrize(
    ("also", "names"),
    [
        (["second"], ("second",)),
        (("second",), ("second",)),
        ("second", ()),
        ([3], ()),
        (None, ()),
        (MagicMock(), ()),
        (["second", "nowhere"], ("second",)),
    ],
    ids=["list", "tuple", "text", "numbers", "none", "mock", "unknown"],
)
def test_names_of_a_wrong_kind_are_left_out(host, also, names):
    assert read_settings(host(API_ALSO=also), environ={}).config.upload.also == names


def test_the_section_api_takes_it_too(places):
    tables = {name: {"type": "filesystem", "url": str(path)} for name, path in places.items()}
    document = {"api": {"enabled": True, "backend": "first", "also": ["second"]}, "backends": tables}
    assert read_settings(document, environ={}).config.upload.also == ("second",)
