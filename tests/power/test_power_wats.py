"""The power of the reference server's machine goes off: what it answered as stored is there, whole."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace

import pytest
import requests

from haulier.testing.power.cases import Case, Selection, cuts, lay_out
from haulier.testing.power.operations import Linked, Moved, Unlinked
from haulier.testing.power.runner import story_root
from haulier.testing.power.story import recorded
from haulier.testing.power.survival import EXTREMES
from haulier_wats.server import ServerSettings, ServerThread, Tokens
from haulier_wats.server.storage import Storage

pytestmark = pytest.mark.proof

BASE = int(os.environ["HAULIER_POWER_BASE"])
TOKEN = "a-token-of-the-tests"


def content(seed, size):
    return bytes((seed * 31 + at * 7 + at // 251) % 256 for at in range(size))


WHOLE = {"video.mp4": content(1, 3000), "video.json": b'{"a": 1}'}
PARTS = {"long.mp4": content(2, 9000)}
DELETED = {"old.mp4": content(3, 700)}
LATER = {"later.mp4": content(4, 5000)}
CONTENTS = WHOLE | PARTS | DELETED | LATER


def settings(root):
    return ServerSettings(root / "srv" / "data", Tokens([TOKEN]), clock=lambda: 1_800_000_000.0)


@dataclass
class Client:
    url: str

    def __call__(self, method, path, **options):
        address = path if path.startswith("http") else f"{self.url}/api{path}"
        headers = {"Authorization": f"Bearer {TOKEN}"} | options.pop("headers", {})
        answer = requests.request(method, address, headers=headers, timeout=30, **options)
        assert answer.status_code < 300, answer.text
        return answer

    def create(self, **members):
        return self("POST", "/uploads/create-session", json={"session_id": "rdp_123_1729950022"} | members).json()

    def send_form(self, sid, kind, name, data):
        files = {"file": (name, data, "application/octet-stream")}
        self("POST", f"/uploads/{sid}/files/{kind}", files=files)

    def append(self, url, data, offset, *, complete):
        fields = {
            "Content-Type": "application/partial-upload",
            "Upload-Offset": str(offset),
            "Upload-Complete": "?1" if complete else "?0",
        }
        self("PATCH", url, data=data, headers=fields)

    def finalize(self, sid):
        return self("POST", f"/uploads/{sid}/finalize").json()["file_id"]


def store_in_parts(client, files, recorder):
    ((name, data),) = files.items()
    session = client.create(files={"video": {"name": name, "size": len(data)}})
    url = session["resumable"]["video_url"]
    half = len(data) // 2
    client.append(url, data[:half], 0, complete=False)
    client.append(url, data[half:], half, complete=True)
    file_id = client.finalize(session["session_id"])
    recorder.mark("stored", (file_id, files))
    return file_id


def store_whole(client, files, recorder):
    (video, data), (sidecar, metadata) = files.items()
    sid = client.create()["session_id"]
    client.send_form(sid, "video", video, data)
    client.send_form(sid, "metadata", sidecar, metadata)
    recorder.mark("stored", (client.finalize(sid), files))


@pytest.fixture(scope="module")
def recording():
    with story_root() as root:
        with recorded(root) as (recorder, _), ServerThread(settings(root)) as server:
            client = Client(server.url)
            old = store_in_parts(client, DELETED, recorder)
            store_whole(client, WHOLE, recorder)
            recorder.mark("deleting", old)
            client("DELETE", f"/recordings/{old}")
            recorder.mark("deleted", old)
            store_in_parts(client, PARTS, recorder)
        yield recorder.recording


def findings(root, marks):
    """What is wrong after a server has started on a disk."""
    told = {kind: [mark.fact for mark in marks if mark.kind == kind] for kind in ("stored", "deleting", "deleted")}
    storage = Storage(settings(root))
    try:
        rows, _ = storage.recordings.page({}, 100, 0)
        listed = {row.file_id: files_of(storage, row) for row in rows}
    finally:
        storage.close()
    for file_id, files in told["stored"]:
        if file_id not in listed and file_id not in told["deleting"]:
            yield f"lost: {', '.join(files)} was answered as stored"
    for file_id, files in listed.items():
        if wrong := [name for name, data in files.items() if data != CONTENTS[name]]:
            yield f"wrongly reported: {wrong} is listed and not whole"
        if file_id in told["deleted"]:
            yield "wrongly reported: what was deleted is listed"


def files_of(storage, row):
    folder = storage.folders.recording(row.folder)
    paths = {row.name: folder / row.stored_name}
    if row.metadata_stored_name:
        paths[row.metadata_name] = folder / row.metadata_stored_name
    return {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}


def cut_everywhere(recording, selection):
    images, wrong = 0, []
    for cut in cuts(recording, selection.cases(recording)):
        lay_out(cut.image, recording.root)
        images += 1
        try:
            wrong += [f"{cut.case} {text}" for text in findings(recording.root, cut.marks)]
        except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
            wrong.append(f"{cut.case} unusable: {error!r}")
    return images, wrong


def tell(proof_table, images, wrong):
    counted = {kind: sum(kind in text for text in wrong) for kind in ("lost", "wrongly reported")}
    proof_table(
        "power cuts of the server",
        cases=images,
        lost=counted["lost"],
        wrongly_reported=counted["wrongly reported"],
    )
    assert not wrong, "\n".join([f"HAULIER_POWER_BASE={BASE}", *wrong[:20]])


def test_what_was_answered_as_stored_outlives_a_power_cut(recording, proof_table):
    selection = Selection(("nothing", EXTREMES[1 + BASE % 4], BASE), every=10, first=BASE)
    images, wrong = cut_everywhere(recording, selection)
    tell(proof_table, images, wrong)


@pytest.mark.full
def test_what_was_answered_as_stored_outlives_a_power_cut_at_every_point(recording, proof_table):
    images, wrong = cut_everywhere(recording, Selection((*EXTREMES, *range(BASE, BASE + 10))))
    tell(proof_table, images, wrong)


def kill_and_go_on(recording, point):
    """The server is killed and loses nothing; the next one stores one more recording."""
    begun = replace(recording, operations=recording.operations[:point])
    for cut in cuts(begun, [Case(point, "everything")]):
        lay_out(cut.image, recording.root)
    with recorded(recording.root, begun) as (recorder, _), ServerThread(settings(recording.root)) as server:
        store_in_parts(Client(server.url), LATER, recorder)
    return recorder.recording


def cut_after_kills(recording, points, seeds, every):
    wrong = []
    for point in points:
        second = kill_and_go_on(recording, point)
        _, found = cut_everywhere(second, Selection(seeds, every=every, first=BASE, after=point))
        wrong += [f"killed at {point}, {text}" for text in found]
    return wrong


def points_of_names(recording):
    numbers = range(1, len(recording.operations))
    return [point for point in numbers if isinstance(recording.operations[point - 1], Linked | Moved | Unlinked)]


def test_what_was_stored_after_a_kill_outlives_a_power_cut(recording):
    wrong = cut_after_kills(recording, random.Random(BASE).sample(points_of_names(recording), 2), ("nothing",), 30)
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.full
def test_what_was_stored_after_any_kill_outlives_a_power_cut(recording):
    wrong = cut_after_kills(recording, points_of_names(recording), ("nothing", BASE), 20)
    assert not wrong, "\n".join(wrong[:20])


def test_invariant_3_bytes_that_were_acknowledged_before_a_power_cut_are_no_holes_in_a_recording():
    data = content(9, 9000)
    with story_root() as root:
        with recorded(root) as (recorder, _), ServerThread(settings(root)) as server:
            client = Client(server.url)
            session = client.create(files={"video": {"name": "long.mp4", "size": len(data)}})
            url = session["resumable"]["video_url"]
            client.append(url, data[:4500], 0, complete=False)
            recorder.mark("acknowledged")
            point = len(recorder.recording.operations)
        left = [
            copy
            for cut in cuts(recorder.recording, [Case(point, seed) for seed in range(100)])
            for name, copy in cut.image.files.items()
            if ".incoming/" in name  # one whose name is gone is begun anew
        ]
    assert left
    assert all(copy[:4500] == data[:4500] for copy in left)
