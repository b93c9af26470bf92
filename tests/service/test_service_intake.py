"""Taking many files in at once gives what taking them one by one gives."""

import os
from dataclasses import replace

import pytest

from haulier.backends.memory import MemoryBackend, MemoryOptions
from haulier.errors import SourceUnavailableError
from haulier.journal.api import TaskFilter
from haulier.journal.memory import MemoryJournal
from haulier.journal.sqlite import SqliteJournal
from haulier.models import ErrorRecord, TaskState
from haulier.service.intake import Submission
from haulier.testing.rig import UploadRig


@pytest.fixture(params=["file", "memory"])
def rig(request, tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db") if request.param == "file" else MemoryJournal()
    yield UploadRig(journal, *(MemoryBackend(name, MemoryOptions()) for name in ("main", "second")))
    journal.close()


@pytest.fixture
def videos(tmp_path):
    paths = [tmp_path / f"{number}.mp4" for number in range(12)]
    for number, path in enumerate(paths):
        path.write_bytes(b"x" * (number + 1))
    return paths


def submissions(rig, paths, also=()):
    return [Submission(path, "main", identity=rig.files.identity(path, "rig"), also=also) for path in paths]


def rows(rig):
    return rig.journal.read(lambda tx: tx.tasks(TaskFilter()))


def test_invariant_4_of_files_taken_again_with_new_ones_only_the_new_ones_are_queued(rig, videos):
    first = rig.intake.take_new(submissions(rig, videos[:5]))
    again = rig.intake.take_new(submissions(rig, videos))
    assert [one.created for one in again] == [False] * 5 + [True] * 7
    assert [one.row.id for one in again[:5]] == [one.row.id for one in first]
    assert [row.media.path for row in rows(rig)] == [os.fspath(path) for path in videos]
    events = rig.journal.read(lambda tx: tx.events(0, 100))
    assert [event.task for event in events] == [row.id for row in rows(rig)] == [event.task for event in rig.told]


@pytest.mark.parametrize("way", ["take", "take_new"])
def test_invariant_4_a_file_named_twice_at_once_is_queued_once(rig, videos, way):
    taken = getattr(rig.intake, way)(submissions(rig, [videos[0], videos[1], videos[0]]))
    assert [one.created for one in taken] == [True, True, False]
    assert taken[2].row.id == taken[0].row.id
    assert len(rows(rig)) == len(rig.told) == 2


def test_a_further_destination_joins_the_group_of_what_is_known(rig, videos):
    known = rig.intake.take_new(submissions(rig, videos[:2]))
    both = rig.intake.take_new(submissions(rig, videos[:3], also=("second",)))
    assert [(one.row.backend, one.created) for one in both] == [
        ("main", False),
        ("second", True),
        ("main", False),
        ("second", True),
        ("main", True),
        ("second", True),
    ]
    assert [one.row.group for one in both[:4:2]] == [one.row.group for one in both[1:4:2]]
    assert [one.row.group for one in both[:4:2]] == [one.row.group for one in known]
    assert sorted(rows(rig), key=lambda row: row.id) == sorted(
        [replace(one.row, sequence=rig.row(one.row.id).sequence) for one in both], key=lambda row: row.id
    )


def test_groups_that_differ_become_one_when_a_file_goes_to_both_destinations(rig, videos):
    rig.intake.take(submissions(rig, videos[:1]))
    rig.intake.take([replace(one, backend="second") for one in submissions(rig, videos[:1])])
    assert len({row.group for row in rows(rig)}) == 2
    rig.intake.take_new(submissions(rig, videos[:1], also=("second",)))
    assert len({row.group for row in rows(rig)}) == 1


def test_a_source_that_was_missing_and_is_found_by_a_scan_goes_on(rig, videos):
    taken = rig.intake.take_new(submissions(rig, videos[:2]))
    lost = ErrorRecord(SourceUnavailableError.code, "the file is gone")
    rig.journal.write(lambda tx: tx.update_task(taken[0].row.id, state=TaskState.FAILED, error=lost))
    identities = [rig.files.identity(path, "rig") for path in videos[:3]]
    assert rig.intake.known(identities, ["main"]) == [False, True, False]
    again = rig.intake.take_new(submissions(rig, videos[:2]))
    assert [one.row.state for one in again] == [TaskState.QUEUED] * 2
    assert rig.row(taken[0].row.id).state is TaskState.QUEUED
    assert rig.intake.known(identities, ["main"]) == [True, True, False]
    assert rig.intake.known(identities, ["main", "second"]) == [False] * 3
