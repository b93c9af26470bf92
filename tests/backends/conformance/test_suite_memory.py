"""The memory backend in each of its modes passes the conformance suite."""

# ruff: noqa: RUF012  a suite names its options once

from __future__ import annotations

import pytest

from haulier.backends.api import CommitMode, PartsMode, ResumeMode
from haulier.models import Proof
from haulier.testing.backend_suite import BackendSuite


class MemorySuite(BackendSuite):
    options = {}

    @pytest.fixture
    def world(self, memory_world):
        return memory_world(**self.options)


class TestMemoryParallelList(MemorySuite):
    options = {"part_digests": frozenset({"md5"})}


@pytest.mark.full
class TestMemoryParallelForgetful(MemorySuite):
    """Parts in any order and no memory of them."""

    options = {"resume": ResumeMode.NONE}


@pytest.mark.full
class TestMemoryParallelLastPart(MemorySuite):
    options = {"commit": CommitMode.LAST_PART}


@pytest.mark.full
class TestMemorySequentialList(MemorySuite):
    options = {"parts": PartsMode.SEQUENTIAL, "multiple_of": 8, "min_part": 16, "max_part": 64}


class TestMemorySequentialOffset(MemorySuite):
    options = {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET, "case_folding": True}


@pytest.mark.full
class TestMemoryOffsetLastPart(MemorySuite):
    """As tus or a resumable session of a cloud behaves."""

    options = {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET, "commit": CommitMode.LAST_PART}


@pytest.mark.full
class TestMemoryWhole(MemorySuite):
    options = {"parts": PartsMode.WHOLE, "resume": ResumeMode.NONE, "if_absent": "check_then_write"}


@pytest.mark.full
class TestMemoryWholeLastPart(MemorySuite):
    options = {"parts": PartsMode.WHOLE, "resume": ResumeMode.LIST, "commit": CommitMode.LAST_PART}


@pytest.mark.full
class TestMemoryTellsSizes(MemorySuite):
    options = {"proof": Proof.SIZE, "sidecar_first": True}


@pytest.mark.full
class TestMemoryTellsLittle(MemorySuite):
    """It acknowledges, protects nothing, and cannot say what became of a commit."""

    options = {"proof": Proof.ACKNOWLEDGED, "if_absent": "none", "settles": False}

    @pytest.fixture
    def world(self, memory_world):
        made = memory_world(**self.options)
        made.settles = False
        return made
