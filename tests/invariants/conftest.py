"""What the tests of the invariants share."""

from __future__ import annotations

import pytest

from haulier.journal.sqlite import SqliteJournal


@pytest.fixture
def journal(tmp_path):
    opened = SqliteJournal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def record(tmp_path):
    """Makes a recording; ``seed`` gives it other bytes."""

    def make(name="session.mp4", size=10_000, seed=0, folder=tmp_path):
        path = folder / name
        path.write_bytes(bytes((seed + index * 7 + index // 251) % 256 for index in range(size)))
        return path

    return make
