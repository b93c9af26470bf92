"""Finalize: checks, one recording per item, and every crash on the way."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from haulier_wats.server import folders, storing
from haulier_wats.server.payloads import Claim
from haulier_wats.server.rows import FileState, Kind
from haulier_wats.server.storage import Storage

CONTENT = {Kind.VIDEO: b"0123456789", Kind.METADATA: b'{"a": 1}'}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def uploaded(wire, content=b"0123456789", **members):
    session = wire.open(len(content), **members)
    wire.patch(session["resumable"]["video_url"], content, 0, complete=True)
    return session


def test_the_answer_tells_what_is_stored(wire):
    session = uploaded(wire, item_id="i")
    answer = wire.finalize(session, video={"size": 10, "sha256": sha256(b"0123456789").upper()})
    stored = answer.json()
    assert answer.status_code == 200
    assert stored == {
        "file_id": stored["file_id"],
        "session_id": session["session_id"],
        "item_id": "i",
        "status": "completed",
        "size": 10,
        "sha256": sha256(b"0123456789"),
        "video": {"name": "Production Server.mp4", "size": 10, "sha256": sha256(b"0123456789")},
        "metadata": None,
        "created_at": "2024-10-26T13:40:22.123456Z",
    }


def test_repeated_it_answers_the_same(shared):
    session = uploaded(shared, session_id="once")
    first = shared.finalize(session)
    assert shared.finalize(session).json() == first.json()
    assert shared.finalize(session, video={"size": 10}).json() == first.json()
    assert shared.finalize(session, video={"size": 11}).status_code == 422
    assert shared("GET", f"/recordings?sha256={first.json()['sha256']}&session_id=once").json()["total"] == 1


def test_two_at_once_store_one_recording(wire, data_dir, files_in):
    session = uploaded(wire, b"x" * (4 << 20))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: wire.finalize(session), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.text for answer in answers}) == 1
    assert len(files_in(data_dir)) == 1


def test_an_item_is_stored_once_by_two_sessions_at_once(wire, data_dir, files_in):
    sessions = [uploaded(wire, item_id="i") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(wire.finalize, sessions))
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    assert [answer.json()["session_id"] for answer in answers] == [session["session_id"] for session in sessions]
    assert len(files_in(data_dir)) == 1
    assert {wire.status(session)["status"] for session in sessions} == {"completed"}


def test_an_item_with_other_content_is_a_conflict(wire, data_dir, files_in):
    first, second = uploaded(wire, item_id="i"), uploaded(wire, b"other", item_id="i")
    stored = wire.finalize(first).json()
    answer = wire.finalize(second)
    assert (answer.status_code, answer.json()["file_id"]) == (409, stored["file_id"])
    assert wire("GET", f"/recordings/{stored['file_id']}/content").content == b"0123456789"
    assert len(files_in(data_dir)) == 2
    assert wire.status(second)["status"] == "open"


@pytest.mark.parametrize(
    ("claim", "member"),
    [({"size": 9}, "size"), ({"sha256": "0" * 64}, "sha256"), ({"size": 10, "sha256": "a" * 64}, "sha256")],
)
def test_what_differs_is_named_and_the_session_stays_open(shared, claim, member):
    session = uploaded(shared)
    answer = shared.finalize(session, video=claim)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [(each["file"], each["member"]) for each in answer.json()["differences"]] == [("video", member)]
    assert f"{member} of the video file" in answer.json()["detail"]
    assert shared.status(session)["status"] == "open"
    assert shared.finalize(session, video={"size": 10, "sha256": sha256(b"0123456789")}).status_code == 200


def test_what_is_not_complete_is_named(shared):
    session = shared.open(10, 2)
    shared.patch(session["resumable"]["video_url"], b"0123456789", 0)
    answer = shared.finalize(session)
    assert (answer.status_code, answer.json()["missing"]) == (409, ["video", "metadata"])
    shared.patch(session["resumable"]["video_url"], b"", 10, complete=True)
    assert shared.finalize(session).json()["missing"] == ["metadata"]


def test_a_claim_about_a_file_that_never_came_is_refused(shared):
    assert shared.finalize(uploaded(shared), metadata={"size": 2}).json()["missing"] == ["metadata"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"files": 1}',
        b'{"files": {"video": 1}}',
        b'{"files": {"sound": {}}}',
        b'{"files": {"video": {"sha256": "x"}}}',
        b'{"files": {"video": {"size": "1"}}}',
    ],
)
def test_a_body_that_makes_no_sense_is_refused(shared, body):
    session = uploaded(shared)
    assert shared("POST", f"/uploads/{session['session_id']}/finalize", data=body).status_code == 422


def test_content_is_read_again_after_a_restart(start, data_dir):
    wire = start()
    session = wire.open(10)
    wire.patch(session["resumable"]["video_url"], b"01234", 0)
    wire = start()
    wire.patch(session["resumable"]["video_url"].replace(*_origins(session, wire)), b"56789", 5, complete=True)
    assert wire.finalize(session, video={"sha256": sha256(b"0123456789")}).status_code == 200


def test_rotten_content_is_found_after_a_restart(start, data_dir):
    wire = start()
    session = uploaded(wire)
    (copy,) = data_dir.glob(".incoming/*/*")
    copy.write_bytes(b"012345678X")
    wire = start()
    assert wire.finalize(session, video={"sha256": sha256(b"0123456789")}).status_code == 422


def test_lost_content_ends_the_upload(start, data_dir):
    wire = start()
    session = uploaded(wire)
    (copy,) = data_dir.glob(".incoming/*/*")
    copy.write_bytes(b"0")
    wire = start()
    assert wire.head(f"/uploads/{session['session_id']}/resources/video").status_code == 410
    assert wire.finalize(session).status_code == 409


def test_one_recording_is_kept_apart_from_its_metadata_by_name(wire, data_dir):
    files = {"video": {"name": "Same.json", "size": 1}, "metadata": {"name": "same.JSON", "size": 2}}
    session = wire.create(files=files).json()
    wire.patch(session["resumable"]["video_url"], b"v", 0, complete=True)
    wire.patch(session["resumable"]["metadata_url"], b"{}", 0, complete=True)
    folder = data_dir / "recordings/2024/10/26" / wire.finalize(session).json()["file_id"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "Same.json": b"v",
        "metadata_same.JSON": b"{}",
    }


class Killed(BaseException):
    """Stands for SIGKILL: nothing that follows runs."""


class FailingDisk:
    """Lets a number of steps happen, then raises instead."""

    def __init__(self, monkeypatch, error):
        self.left = -1
        self._error = error
        for owner, name in [
            (folders.Folders, "move"),
            (folders.Folders, "remove_recording"),
            (storing.Shelves, "_finish_delete"),
            (folders, "sync_folder"),
        ]:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))
        from haulier_wats.server.recording_table import RecordingTable
        from haulier_wats.server.session_table import SessionTable

        for owner, name in [
            (RecordingTable, "begin"),
            (RecordingTable, "finish"),
            (RecordingTable, "remove"),
            (SessionTable, "complete"),
        ]:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, step):
        def counted(*args, **options):
            if self.left == 0:
                raise self._error
            self.left -= 1
            return step(*args, **options)

        return counted


def make_session(storage, item_id="i", content=CONTENT):
    """A session of two complete files, in the storage itself."""
    from haulier_wats.server.payloads import session_request
    from haulier_wats.server.upload_routes import UploadRoutes

    files = {str(kind): {"name": f"{kind}.bin", "size": len(data)} for kind, data in content.items()}
    wanted = session_request({"session_id": "s", "item_id": item_id, "files": files}, 1 << 30)
    session = UploadRoutes(storage)._create(wanted, None)
    for kind, file in storage.sessions.files(session.sid).items():
        path = storage.path(file)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content[kind])
        storage.sessions.acknowledge(file, len(content[kind]), FileState.COMPLETE, 0)
    return session.sid


def stored_bytes(storage, recording):
    folder = storage.folders.recording(recording.folder)
    return {
        Kind.VIDEO: (folder / recording.stored_name).read_bytes(),
        Kind.METADATA: (folder / recording.metadata_stored_name).read_bytes(),
    }


def finalize(storage, sid):
    from haulier_wats.server.finalizing import Finalize, UnreadFilesError, finalize_all, read_files

    job = Finalize(sid, {Kind.VIDEO: Claim(sha256=sha256(CONTENT[Kind.VIDEO]))}, overdue_too=True)
    while True:
        (result,) = finalize_all(storage, [job])
        if isinstance(result, UnreadFilesError):
            read_files(storage, result.files)
        elif isinstance(result, Exception):
            raise result
        else:
            return result


@pytest.mark.parametrize("step", range(16))
def test_killed_at_any_step_of_finalize_it_is_finished_once(settings, monkeypatch, files_in, data_dir, step):
    storage = Storage(settings)
    sid = make_session(storage)
    with monkeypatch.context() as patches:
        disk = FailingDisk(patches, Killed())
        disk.left = step
        try:
            finalize(storage, sid)
        except Killed:
            assert step < 15, "the steps no longer cover the whole of finalize"
        storage.close()
    storage = Storage(settings)
    recording = finalize(storage, sid)
    assert stored_bytes(storage, recording) == CONTENT
    assert storage.recordings.page({}, 10, 0) == ([recording], 1)
    assert len(files_in(data_dir)) == 2
    storage.close()


@pytest.mark.parametrize("step", range(6))
def test_killed_at_any_step_of_delete_nothing_is_left(settings, monkeypatch, files_in, data_dir, step):
    storage = Storage(settings)
    recording = finalize(storage, make_session(storage))
    with monkeypatch.context() as patches:
        disk = FailingDisk(patches, Killed())
        disk.left = step
        try:
            storage.shelves.delete(recording.file_id)
        except Killed:
            assert step < 5, "the steps no longer cover the whole of delete"
        storage.close()
    storage = Storage(settings)
    assert storage.recordings.page({}, 10, 0) == ([], 0)
    assert files_in(data_dir) == []
    assert storage.recordings.unsettled("deleting") == []
    storage.close()


@pytest.mark.parametrize("step", range(1, 12))
def test_a_disk_that_fails_on_the_way_leaves_the_session_as_it_was(settings, monkeypatch, step):
    storage = Storage(settings)
    sid = make_session(storage)
    failed = False
    with monkeypatch.context() as patches:
        disk = FailingDisk(patches, OSError(28, "No space left on device"))
        disk.left = step
        try:
            finalize(storage, sid)
        except OSError:
            failed = True
        disk.left = -1
    recording = finalize(storage, sid)
    assert stored_bytes(storage, recording) == CONTENT
    assert storage.recordings.page({}, 10, 0) == ([recording], 1)
    assert storage.recordings.unsettled("storing") == []
    assert failed or step > 5
    storage.close()


@pytest.mark.parametrize("items", [("a", "b"), (None, None)])
def test_a_recording_whose_files_are_stuck_holds_nobody_else_up(settings, monkeypatch, items):
    storage = Storage(settings)
    stuck, other = (make_session(storage, item) for item in items)
    with monkeypatch.context() as patches:
        hold_files(patches, stuck)
        with pytest.raises(PermissionError):
            finalize(storage, stuck)
        assert stored_bytes(storage, finalize(storage, other)) == CONTENT
        with pytest.raises(PermissionError):
            finalize(storage, stuck)
    assert stored_bytes(storage, finalize(storage, stuck)) == CONTENT
    assert storage.recordings.page({}, 10, 0)[1] == 2
    storage.close()


def test_a_session_that_is_dropped_while_its_files_are_stuck_leaves_nothing(settings, monkeypatch, files_in, data_dir):
    storage = Storage(settings)
    stuck, other = make_session(storage, "a"), make_session(storage, "b")
    with monkeypatch.context() as patches:
        hold_files(patches, stuck, moved=1)
        with pytest.raises(PermissionError):
            finalize(storage, stuck)
    storage.cancel(stuck)
    recording = finalize(storage, other)
    assert storage.recordings.unsettled("storing") == []
    assert storage.recordings.page({}, 10, 0) == ([recording], 1)
    assert len(files_in(data_dir)) == 2
    storage.close()
    Storage(settings).close()


def hold_files(monkeypatch, sid, moved=0):
    """As a scanner does: the files of a session can be moved once ``moved`` of them have been, and not back."""
    move = folders.Folders.move
    left = [moved]

    def held(self, source, target):
        if source.parent.name == sid:
            if not left[0]:
                raise PermissionError(13, "used by another process")
            left[0] -= 1
        move(self, source, target)

    def kept(_self, _recording):
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(folders.Folders, "move", held)
    monkeypatch.setattr(storing.Shelves, "_undo", kept)


def test_a_second_server_does_not_touch_what_is_being_stored(settings):
    from haulier_wats.server import ServerSetupError

    storage = Storage(settings)
    with pytest.raises(ServerSetupError, match="another server uses"):
        Storage(replace(settings))
    storage.close()


def _origins(session, wire):
    return session["video_upload_url"].split("/api/")[0], wire.base.removesuffix("/api")
