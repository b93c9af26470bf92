"""Several destinations on the command line: send and scan to all of them, see how they stand, find and verify."""

import json

import pytest

SPARE = """
[backends.spare]
type = "filesystem"
url = {url}
create = false

[backends.third]
type = "filesystem"
url = {third}
"""


@pytest.fixture
def two(work):
    """`archive` is there, `spare` is a folder that is away until it is made, `third` is used when named."""

    def configure(upload='also = ["spare"]\n'):
        rest = SPARE.format(url=json.dumps(str(work.folder / "spare")), third=json.dumps(str(work.folder / "third")))
        work.configure(upload=f'backend = "archive"\n{upload}', rest=rest)

    work.reconfigure = configure
    configure()
    (work.folder / "spare").mkdir()
    return work


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def by_backend(document):
    return {task["backend"]: task["status"] for task in document["tasks"]}


def test_send_goes_to_every_configured_destination_and_shows_both(two):
    video = two.file("session.mp4")
    done = two.json("send", video)
    assert by_backend(done) == {"archive": "completed", "spare": "completed"}
    assert two.stored() == files(two.folder / "spare") == ["session.mp4"]
    said = two.run("send", video).stdout
    assert "BACKEND" in said
    assert "spare" in said


def test_scan_and_run_once_go_to_every_configured_destination(two):
    two.file("recordings/a.mp4")
    assert by_backend(two.json("scan", "recordings", "--settled")) == {"archive": "completed", "spare": "completed"}
    two.reconfigure('also = ["spare"]\n\n[watch]\npaths = ["recordings"]\nsettle_seconds = 0\n')
    two.file("recordings/b.mp4")
    assert by_backend(two.json("run", "--once")) == {"archive": "completed", "spare": "completed"}
    assert two.stored() == files(two.folder / "spare") == ["a.mp4", "b.mp4"]


def test_also_names_others_for_once(two):
    assert by_backend(two.json("send", two.file("a.mp4"), "--also", "third")) == dict.fromkeys(
        ["archive", "third"], "completed"
    )
    done = two.json("scan", ".", "--settled", "--also", "third", "--also", "spare")
    assert by_backend(done) == dict.fromkeys(["archive", "third", "spare"], "completed")
    two.run("send", "a.mp4", "--also", "nowhere", code=4)


def test_a_chosen_backend_comes_first_and_once(two):
    assert by_backend(two.json("send", two.file("a.mp4"), "--backend", "spare")) == {"spare": "completed"}
    assert by_backend(two.json("run", "--once", "--backend", "spare")) == {}


@pytest.mark.parametrize(
    ("also", "words"),
    [('["spair"]', "did you mean 'spare'"), ('["archive"]', "is upload.backend itself"), ('"spare"', "must be a list")],
)
def test_wrong_names_in_the_configuration_are_refused(two, also, words):
    two.reconfigure(f"also = {also}\n")
    said = two.run("send", two.file("a.mp4"), code=4).stderr
    assert words in said
    assert "upload.also" in said


def test_status_shows_which_destinations_have_it_which_wait_and_whether_the_source_may_go(two):
    (two.folder / "spare").rmdir()
    two.reconfigure('also = ["spare"]\ndelete_after_upload = true\n')
    video = two.file("session.mp4")
    sent = two.json("send", video, "--wait", "0", code=75)
    assert by_backend(sent) == {"archive": "completed", "spare": "queued"}
    assert video.exists()
    document = two.json("status")
    (group,) = document["groups"]
    assert {task["group"] for task in document["tasks"]} == {group["id"]}
    assert (group["may_go"], group["disposal"]) == (False, "pending")
    has, waits = group["destinations"]
    assert (has["backend"], has["proof"], has["hold"]) == ("archive", "content", None)
    assert (waits["backend"], waits["status"], waits["proof"]) == ("spare", "queued", None)
    assert waits["hold"]
    said = two.run("status").stdout
    assert "source stays, not proven: spare" in said
    assert "archive: has it, content" in said
    assert f"spare: queued ({waits['task']})" in said
    (two.folder / "spare").mkdir()
    two.run("resume", "--all")
    two.run("send", video)
    assert not video.exists()
    (group,) = two.json("status")["groups"]
    assert (group["may_go"], group["disposal"]) == (True, "removed")
    assert "source removed" in two.run("status").stdout


def test_status_speaks_of_no_group_where_there_is_one_destination(work):
    work.run("send", work.file("session.mp4"))
    assert work.json("status")["groups"] == []
    assert "source" not in work.run("status").stdout


def test_receipts_find_tells_where_a_recording_is_without_asking_anybody(two):
    two.file("recordings/session_1.mp4", b"one")
    two.file("recordings/session_2.mp4", b"two")
    sent = two.json("scan", "recordings", "--settled")
    sha = next(task["receipt"]["sha256"] for task in sent["tasks"] if task["file"].endswith("session_1.mp4"))
    for folder in (two.archive, two.folder / "spare"):  # nobody is there to be asked
        folder.rename(folder.with_name(f"{folder.name}.away"))

    def found(name, *more, code=0):
        document = two.json("receipts", "--find", name, *more, code=code)
        return sorted((one["source"][-13:], one["backend"]) for one in document["receipts"])

    first = [("session_1.mp4", "archive"), ("session_1.mp4", "spare")]
    assert found("session_1.mp4") == first
    assert found("recordings/session_1.mp4") == first
    assert found("session_1*") == first
    assert found(sha[:12]) == first
    assert found("session_1.mp4", "--backend", "spare") == first[1:]
    assert len(found("session_*.mp4")) == len(found("recordings/")) == 4
    assert found("session", code=1) == []
    assert "'*'" in two.run("receipts", "--find", "session", code=1).stderr
    assert "spare" in two.run("receipts", "--find", "session_1.mp4").stdout
    two.run("receipts", "--find", "", code=1)
    two.run("receipts", "upload_1_2", "--find", "session_1.mp4", code=2)


def test_receipts_find_says_who_has_no_receipt_yet(two):
    (two.folder / "spare").rmdir()
    two.run("send", two.file("session.mp4"), "--wait", "0", code=75)
    document = two.json("receipts", "--find", "session.mp4")
    assert [one["backend"] for one in document["receipts"]] == ["archive"]
    assert [(one["backend"], one["status"]) for one in document["missing"]] == [("spare", "queued")]
    assert "spare: queued, no receipt yet" in two.run("receipts", "--find", "session.mp4").stdout


def test_verify_find_asks_every_destination_that_has_it(two):
    two.run("send", two.file("session.mp4"), two.file("other.mp4", b"other"))
    shown = two.json("verify", "--find", "session.mp4")["artifacts"]
    assert {one["backend"]: one["verdict"] for one in shown} == {"archive": "same", "spare": "same"}
    next((two.folder / "spare").rglob("session.mp4")).unlink()
    shown = two.json("verify", "--find", "session.mp4", code=1)["artifacts"]
    assert {one["backend"]: one["verdict"] for one in shown} == {"archive": "same", "spare": "missing"}
    two.run("verify", "--find", "other.mp4")
    two.run("verify", "--find", "nothing.mp4", code=1)
