"""The part plan and the proof by themselves: what is cut, what is missing, and what can be shown."""

from __future__ import annotations

import pytest

from haulier.backends.api import (
    Abilities,
    Artifact,
    CommitMode,
    Held,
    HeldPart,
    Limits,
    Part,
    PartsMode,
    ResumeMode,
    Stored,
)
from haulier.errors import IntegrityError, QuotaError, SessionLostError
from haulier.journal.api import PartRow
from haulier.models import Proof, Role
from haulier.transfer.parts import choose_part_size, make_plan
from haulier.transfer.proof import prove

OFFSET = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET)
REWINDS = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET, rewinds=True)
LIST = Abilities(parts=PartsMode.PARALLEL, resume=ResumeMode.LIST)
WHOLE = Abilities()


def files(*sizes):
    roles = (Role.MEDIA, Role.SIDECAR)
    return [Artifact(index, roles[index], f"{index}", f"k/{index}", size, "x/y") for index, size in enumerate(sizes)]


def missing(*sizes, abilities=OFFSET, held=None, rows=(), part_size=10):
    plan = make_plan(files(*sizes), abilities, part_size, held or Held(), rows)
    return [(part.artifact, part.number, part.offset, part.size) for part in plan.missing]


# -- part sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "limits", "chosen"),
    [
        (1000, Limits(), 100),
        (1000, Limits(min_part=150), 150),
        (1000, Limits(max_part=60), 60),
        (1000, Limits(max_parts=4), 250),
        (1001, Limits(max_parts=4), 251),
        (1000, Limits(multiple_of=64), 128),
        (1000, Limits(multiple_of=50), 100),
        (1000, Limits(multiple_of=64, max_part=100), 64),
        (1000, Limits(max_part=100), 100),
        (1000, Limits(max_part=250, max_parts=4), 250),
        (1000, Limits(max_part=60, max_parts=100), 60),
        (1000, Limits(max_part=50, max_parts=20), 50),
        (1000, Limits(max_object=1000), 100),
        (0, Limits(max_parts=4), 100),
    ],
)
def test_a_part_is_near_what_is_preferred_within_what_is_allowed(size, limits, chosen):
    assert choose_part_size(size, limits, 100) == chosen


@pytest.mark.parametrize(
    ("size", "limits", "most"),
    [
        (1001, Limits(max_object=1000), "at most 1000"),
        (1001, Limits(max_part=250, max_parts=4), "at most 1000"),
        (1000, Limits(max_part=250, max_parts=4, multiple_of=100), "at most 800"),
    ],
)
def test_what_the_destination_cannot_take_is_said_with_the_numbers(size, limits, most):
    with pytest.raises(QuotaError) as refused:
        choose_part_size(size, limits, 100)
    assert refused.value.what == f"the file has {size} bytes, the destination takes {most}"


# -- plans -----------------------------------------------------------------------------------------------------


def test_a_file_is_cut_from_its_first_byte_to_its_last():
    assert missing(25) == [(0, 1, 0, 10), (0, 2, 10, 10), (0, 3, 20, 5)]
    assert missing(20) == [(0, 1, 0, 10), (0, 2, 10, 10)]
    assert missing(10) == [(0, 1, 0, 10)]
    assert missing(0) == [(0, 1, 0, 0)]
    assert missing(25, abilities=WHOLE) == [(0, 1, 0, 25)]


def test_media_goes_first_unless_the_destination_wants_the_sidecar_first():
    assert [part[0] for part in missing(15, 5)] == [0, 0, 1]
    first = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET, sidecar_first=True)
    assert [part[0] for part in missing(15, 5, abilities=first)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("prefix", "left"),
    [
        (0, [(0, 1, 0, 10), (0, 2, 10, 10), (0, 3, 20, 5)]),
        (4, [(0, 1, 4, 6), (0, 2, 10, 10), (0, 3, 20, 5)]),
        (10, [(0, 2, 10, 10), (0, 3, 20, 5)]),
        (24, [(0, 3, 24, 1)]),
        (25, []),
    ],
)
def test_what_follows_a_held_prefix_is_missing(prefix, left):
    plan = make_plan(files(25), OFFSET, 10, Held(prefixes={0: prefix}))
    assert [(part.artifact, part.number, part.offset, part.size) for part in plan.missing] == left
    assert plan.acknowledged == prefix
    assert plan.reread == (frozenset({0}) if prefix else frozenset())


def test_each_artifact_has_a_prefix_of_its_own():
    plan = make_plan(files(25, 12), OFFSET, 10, Held(prefixes={0: 25, 1: 3}))
    assert plan.missing == (Part(1, 1, 3, 7), Part(1, 2, 10, 2))
    assert (plan.acknowledged, plan.reread) == (28, {0, 1})


def test_more_than_the_file_has_is_no_session_of_ours():
    with pytest.raises(SessionLostError, match="holds 26 bytes of a file of 25"):
        missing(25, held=Held(prefixes={0: 26}))


def test_of_an_empty_file_nothing_is_held():
    plan = make_plan(files(0), OFFSET, 10, Held())
    assert (plan.acknowledged, plan.reread) == (0, frozenset())


def test_an_empty_file_is_sent_once():
    assert missing(0, rows=[PartRow(0, 1, 0, 0, "e")]) == []
    assert missing(0, rows=[PartRow(1, 1, 0, 0, "e")]) == [(0, 1, 0, 0)]
    assert missing(5, rows=[PartRow(0, 1, 0, 5, "e")]) == [(0, 1, 0, 5)], "what is not held is sent"


@pytest.mark.parametrize(
    ("rows", "begin"),
    [
        ([], 0),
        ([PartRow(0, 1, 0, 10, "")], 10),
        ([PartRow(0, 2, 10, 10, ""), PartRow(0, 1, 0, 10, "")], 20),
        ([PartRow(0, 1, 0, 10, ""), PartRow(0, 3, 21, 4, "")], 10),
        ([PartRow(0, 1, 0, 10, ""), PartRow(0, 1, 0, 4, ""), PartRow(0, 2, 8, 6, "")], 14),
        ([PartRow(1, 1, 0, 10, "")], 0),
    ],
)
def test_of_a_destination_that_rewinds_only_what_was_acknowledged_counts(rows, begin):
    assert missing(25, abilities=REWINDS, held=Held(prefixes={0: 25}), rows=rows)[0][2] == begin
    assert missing(25, held=Held(prefixes={0: 25}), rows=rows) == [], "of others what they say"


def test_a_destination_that_rewinds_is_not_believed_to_hold_more_than_it_says():
    rows = [PartRow(0, 1, 0, 10, ""), PartRow(0, 2, 10, 10, "")]
    assert missing(25, abilities=REWINDS, held=Held(prefixes={0: 15}), rows=rows)[0][2] == 15


def test_of_listed_parts_the_others_are_missing():
    plan = make_plan(files(25, 5), LIST, 10, Held(parts={0: {1: HeldPart(10), 3: HeldPart(5)}}))
    assert plan.missing == (Part(0, 2, 10, 10), Part(1, 1, 0, 5))
    assert (plan.acknowledged, plan.reread) == (15, {0})


@pytest.mark.parametrize(("number", "size", "expected"), [(1, 9, 10), (3, 10, 5), (4, 10, None)])
def test_listed_parts_of_other_sizes_are_no_session_of_ours(number, size, expected):
    with pytest.raises(SessionLostError, match=f"holds part {number} with {size} bytes, not {expected}"):
        missing(25, abilities=LIST, held=Held(parts={0: {number: HeldPart(size)}}))


# -- the last part commits -------------------------------------------------------------------------------------


def last_part(parts, resume):
    return Abilities(parts=parts, resume=resume, commit=CommitMode.LAST_PART)


def test_the_last_part_of_the_last_artifact_commits():
    plan = make_plan(files(15, 5), last_part(PartsMode.SEQUENTIAL, ResumeMode.OFFSET), 10, Held())
    assert plan.missing == (Part(0, 1, 0, 10), Part(0, 2, 10, 5), Part(1, 1, 0, 5, last=True))


def test_with_nothing_left_to_send_an_empty_part_commits():
    sequential = last_part(PartsMode.SEQUENTIAL, ResumeMode.OFFSET)
    held = make_plan(files(25), sequential, 10, Held(prefixes={0: 25}))
    assert held.missing == (Part(0, 3, 25, 0, last=True),)
    other = make_plan(files(25, 5), sequential, 10, Held(prefixes={0: 20, 1: 5}))
    assert other.missing == (Part(0, 3, 20, 5), Part(1, 1, 5, 0, last=True))


def test_a_whole_object_that_commits_is_sent_again():
    plan = make_plan(files(25), last_part(PartsMode.WHOLE, ResumeMode.LIST), 10, Held(parts={0: {1: HeldPart(25)}}))
    assert plan.missing == (Part(0, 1, 0, 25, last=True),)


# -- proof -----------------------------------------------------------------------------------------------------

OURS = {0: {"sha256": "abc", "md5": "12"}, 1: {"sha256": "def"}}


def there(size=25, **more):
    return Stored("far/0", "https://far/0", size, **more)


def prove_media(stored):
    (entry,) = prove(files(25), [stored], OURS, "item")
    return entry


@pytest.mark.parametrize(
    ("stored", "proof"),
    [
        (there(digests={"sha256": "ABC"}), Proof.CONTENT),
        (there(None, digests={"md5": "12"}), Proof.CONTENT),
        (there(digests={"crc32": "77"}), Proof.SIZE),
        (there(), Proof.SIZE),
        (there(None), Proof.ACKNOWLEDGED),
        (there(None, digests={"crc32": "77"}), Proof.ACKNOWLEDGED),
    ],
)
def test_a_proof_is_as_strong_as_what_was_compared(stored, proof):
    assert prove_media(stored).proof is proof


def test_an_entry_says_what_was_read_and_where_it_lies():
    entry = prove_media(there(digests={"crc32": "77"}, version="7"))
    assert (entry.role, entry.name, entry.key, entry.location) == (Role.MEDIA, "0", "far/0", "https://far/0")
    assert (entry.size, entry.sha256, entry.version, entry.digests) == (25, "abc", "7", {"crc32": "77"})
    assert prove_media(there(None)).size == 25


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (there(24), "holds 24 bytes, 25 were read"),
        (there(digests={"sha256": "abd"}), r"other content \(sha256 differs\)"),
        (there(digests={"md5": "12", "sha256": "abd"}), "sha256 differs"),
        (there(item_id="another"), ": the object belongs to another item"),
    ],
)
def test_something_else_is_refused_and_its_place_named(stored, words):
    with pytest.raises(IntegrityError, match=words) as refused:
        prove_media(stored)
    assert refused.value.where == "https://far/0"


def test_a_place_without_an_address_is_named_by_its_key():
    with pytest.raises(IntegrityError) as refused:
        prove_media(Stored("far/0", "", 24))
    assert refused.value.where == "far/0"


def test_an_object_of_ours_may_say_so():
    assert prove_media(there(item_id="item")).proof is Proof.SIZE


def test_each_artifact_is_compared_with_its_own():
    media, sidecar = prove(files(25, 5), [there(), Stored("far/1", "", 5, digests={"sha256": "def"})], OURS, "item")
    assert (media.proof, sidecar.proof) == (Proof.SIZE, Proof.CONTENT)
    assert (sidecar.role, sidecar.sha256) == (Role.SIDECAR, "def")


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_an_answer_for_another_number_of_files_proves_nothing(answers):
    with pytest.raises(IntegrityError, match=f"answered for {answers} of 2 files"):
        prove(files(25, 5), [there()] * answers, OURS, "item")
