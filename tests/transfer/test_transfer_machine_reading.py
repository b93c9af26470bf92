"""Which artifacts the machine has read apart from being sent, and which are hashed on their way."""

from __future__ import annotations

import pytest

from haulier.backends.api import Abilities, Artifact, Held, Limits, PartsMode, ResumeMode, Token
from haulier.journal.api import PartRow, TaskRow
from haulier.models import ArtifactRecord, Identity, Role, TaskState
from haulier.transfer import actions as do
from haulier.transfer.machine import UploadMachine

SEQUENTIAL = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET)


def scheduled(size, *, held=0, streams=lambda part: False):
    """What is read and sent first of one artifact in parts of 10 bytes."""
    rows = [PartRow(0, number + 1, number * 10, 10, "sha", "") for number in range(held // 10)]
    record = ArtifactRecord(0, Role.MEDIA, "a", "/a", size, 1, "", "k", "x/y")
    identity = Identity("here", "/a", size, 1)
    more = {"token": None, "abilities": SEQUENTIAL, "part_size": 10}
    row = TaskRow("upload_1", TaskState.UPLOADING, "main", identity, "g", (record,), {}, 0.0, 0.0, **more)
    artifact = Artifact(0, Role.MEDIA, "a", "k", size, "x/y")
    token = Token({"session": "1"})
    machine = UploadMachine(
        row, [artifact], rows, token, limits=Limits(), preferred_part_size=10, window=1, streams=streams
    )
    found = []
    while not any(isinstance(action, do.SendPart) for action in found):
        action = machine.next()
        found.append(action)
        if not isinstance(action, do.SendPart):
            result = {do.AskHeld: Held({0: held}), do.Reread: {"sha256": "whole"}}.get(type(action))
            machine.succeeded(action, result)
    return [type(action) for action in found if isinstance(action, do.Reread | do.SendPart)], found[-1].in_order


@pytest.mark.parametrize("size", [5, 10, 11, 20, 35])
def test_what_is_sent_from_its_first_byte_is_hashed_on_its_way(size):
    assert scheduled(size) == ([do.SendPart], True)


def test_what_goes_on_in_the_middle_is_read_apart():
    assert scheduled(35, held=10) == ([do.Reread, do.SendPart], False)


@pytest.mark.parametrize("size", [11, 20, 35])
def test_several_parts_of_which_some_are_streamed_are_read_apart(size):
    assert scheduled(size, streams=lambda part: part.number == 1) == ([do.Reread, do.SendPart], False)


def test_a_single_part_that_is_streamed_is_hashed_on_its_way():
    assert scheduled(10, streams=lambda part: True) == ([do.SendPart], True)
