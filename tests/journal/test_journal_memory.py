"""The journal in memory: the suite, and what only it refuses."""

from pathlib import Path

import pytest

from haulier.errors import UnsupportedError
from haulier.journal.memory import MemoryJournal
from haulier.testing.journal_suite import JournalSuite


class TestMemoryJournal(JournalSuite):
    @pytest.fixture
    def journal(self):
        made = MemoryJournal()
        yield made
        made.close()

    def test_it_cannot_be_backed_up(self, journal, tmp_path):
        with pytest.raises(UnsupportedError):
            journal.backup(tmp_path / "copy.db")
        assert list(Path(tmp_path).iterdir()) == []
