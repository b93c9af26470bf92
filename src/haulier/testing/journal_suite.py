"""The suite that every journal must pass.

A test module names the journal, and makes pytest explain failed assertions::

    # conftest.py
    pytest.register_assert_rewrite("haulier.testing")

    # test_my_journal.py
    class TestMyJournal(JournalSuite):
        @pytest.fixture
        def journal(self):
            made = MyJournal(...)
            yield made
            made.close()

``journal`` is empty at the start of each test. Closing it twice must do no harm.
"""

from __future__ import annotations

from haulier.testing.journal_claims import ClaimCases
from haulier.testing.journal_records import RecordCases
from haulier.testing.journal_tasks import TaskCases
from haulier.testing.journal_writes import WriteCases

__all__ = ["JournalSuite"]


class JournalSuite(TaskCases, ClaimCases, RecordCases, WriteCases):
    """Everything a caller can see of :class:`haulier.journal.api.Journal`, but for what only files can do."""
