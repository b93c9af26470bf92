"""What replays of power cuts found, each as the smallest test that shows it."""

from __future__ import annotations

import shutil
from contextlib import closing

import pytest

from haulier.files import Files
from haulier.journal.examine import damage
from haulier.journal.sqlite import SqliteJournal, migrations
from haulier.models import Disposal
from haulier.testing.power.cases import Selection
from haulier.testing.power.disk import Disk
from haulier.testing.power.operations import FileSynced, Mark
from haulier.testing.power.runner import cut_everywhere, kill_and_go_on, record_story, story_root, truth_of
from haulier.testing.power.story import Volume, recorded, rig_on
from haulier.testing.power.survival import survivors
from haulier.threads import Ended


def test_invariant_1_what_a_killed_process_journalled_is_synced_before_it_is_relied_on():
    with story_root() as root:
        story = record_story(root)
        operations = story.operations
        told = max(at for at, each in enumerate(operations) if isinstance(each, Mark) and each.kind == "submitted")
        synced = max(at for at in range(told) if isinstance(operations[at], FileSynced))
        second = kill_and_go_on(story, synced)  # all is written, nothing of it is synced
        cases = Selection(("nothing",), every=1000, after=synced)
        found = cut_everywhere(second, cases, truth=truth_of(story), continue_each=1000)
        assert [str(each) for each in found.findings] == []


class Killed(Ended):
    pass


class Dies(Files):
    """The process is killed right after the source was removed."""

    def remove(self, path):
        super().remove(path)
        raise Killed


def test_invariant_3_a_source_that_is_called_removed_stays_away_after_a_power_cut():
    with story_root() as root:
        volume = Volume(root)
        volume.prepare()
        volume.state.mkdir(parents=True)
        with recorded(root) as (recorder, system), closing(SqliteJournal(volume.state / "journal.db")) as journal:
            first = rig_on(volume, journal, system=system)
            task = first.submit(volume.sources / "short.mp4")
            first.work()
            first.disposer.files = Dies(system)
            with pytest.raises(Killed):
                first.disposer.step()
            second = rig_on(volume, journal, system=system, owner="again")
            second.disposer.step()
            assert second.row(task).disposal is Disposal.REMOVED
            disk = Disk(recorder.recording)
            for operation in recorder.recording.operations:
                disk.take(operation)
            left = [name for name in survivors(disk, "nothing").files if "recordings" in name]
        assert not [name for name in left if name.endswith("short.mp4")]


def test_a_kill_in_the_middle_of_a_commit_is_no_damage(tmp_path):
    """All of a transaction but the page of its last frame, in a log that had been used before and keeps its length."""
    path, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    with closing(SqliteJournal(path)) as journal:
        journal.write(lambda tx: tx.put_meta("a", "1"))
        journal.write(lambda tx: tx.put_meta("a", "2"))
        shutil.copy(path, copy)
        log = path.with_name("journal.db-wal").read_bytes()
    copy.with_name("copy.db-wal").write_bytes(log[:-4096] + bytes(4096))
    assert damage(copy, was_used=True, newest_schema=migrations()[-1][0]) == ""
    with closing(SqliteJournal(copy)) as again:
        assert again.read(lambda tx: tx.meta("a")) == "1"
