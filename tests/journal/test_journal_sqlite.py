"""The journal in a file: the suite."""

import pytest

from haulier.journal.sqlite import SqliteJournal
from haulier.testing.journal_suite import JournalSuite


class TestSqliteJournal(JournalSuite):
    @pytest.fixture
    def journal(self, tmp_path):
        made = SqliteJournal(tmp_path / "journal.db")
        yield made
        made.close()
