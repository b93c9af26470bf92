"""The state machine of one claim by itself: what it asks for, in which order, and what it makes of each answer."""

from __future__ import annotations

from collections import Counter

import pytest

from haulier.backends.api import (
    Abilities,
    Artifact,
    CommitMode,
    Held,
    HeldPart,
    Limits,
    Outcome,
    Part,
    PartsMode,
    ResumeMode,
    Settled,
    Stored,
    Token,
)
from haulier.errors import (
    CancelledError,
    ConflictError,
    IntegrityError,
    NetworkError,
    OffsetError,
    OutcomeUnknownError,
    QuotaError,
    ServerError,
    SessionLostError,
    SourceChangedError,
    TransientError,
)
from haulier.journal.api import PartRow, TaskRow
from haulier.models import ArtifactRecord, Identity, Role, TaskState
from haulier.transfer import actions as do
from haulier.transfer.actions import Failed, Proven, Sent
from haulier.transfer.machine import UploadMachine

SEQUENTIAL = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET)
PARALLEL = Abilities(parts=PartsMode.PARALLEL, resume=ResumeMode.LIST)
LAST_PART = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET, commit=CommitMode.LAST_PART)
OURS = {0: {"sha256": "media"}, 1: {"sha256": "sidecar"}}
TOKEN = Token({"session": "first"})


def artifacts_of(*sizes):
    roles = (Role.MEDIA, Role.SIDECAR)
    return [
        Artifact(index, roles[index], f"{index}.bin", f"k/{index}", size, "x/y") for index, size in enumerate(sizes)
    ]


def row_of(*sizes, **more):
    identity = Identity("here", "/r/0.bin", sizes[0], 1)
    records = tuple(
        ArtifactRecord(one.index, one.role, one.name, f"/r/{one.name}", one.size, 1, "", one.key, "x/y")
        for one in artifacts_of(*sizes)
    )
    return TaskRow("upload_1", TaskState.UPLOADING, "main", identity, "upload_1", records, {}, 0.0, 0.0, **more)


def stored_of(*sizes, **more):
    return tuple(
        Stored(f"k/{index}", f"at k/{index}", size, digests={"sha256": OURS[index]["sha256"]}, **more)
        for index, size in enumerate(sizes)
    )


def acknowledged_part(number, offset, size, artifact=0):
    return PartRow(artifact, number, offset, size, f"sha of {number}", "")


class Claim:
    """Carries a machine's actions out against a destination that is made of a few numbers.

    ``faults`` maps the name of a kind of action to outcomes that are used up one by one: an error is reported, anything
    else is the result; None leaves the matter to the destination.
    """

    def __init__(self, *sizes, abilities=SEQUENTIAL, window=1, part_size=10, limits=None, token=None, parts=(), **row):
        self.sizes = sizes
        self.abilities = abilities
        self.prefixes = dict.fromkeys(range(len(sizes)), 0)
        self.parts = {index: {} for index in range(len(sizes))}
        self.stored = stored_of(*sizes)
        self.faults = {}
        self.seen = []
        self.opens = 0
        if token is not None:
            row = {"abilities": abilities, "part_size": part_size, **row}
        self.machine = UploadMachine(
            row_of(*sizes, **row),
            artifacts_of(*sizes),
            parts,
            token,
            limits=limits or Limits(),
            preferred_part_size=part_size,
            window=window,
        )

    def fault(self, kind, *outcomes):
        self.faults.setdefault(kind, []).extend(outcomes)
        return self

    def run(self):
        """Until the machine concludes. As the engine does: what overlaps is answered when nothing else can be begun."""
        waiting = []
        while not isinstance(action := self.machine.next(), do.Conclude):
            if action is None:
                assert waiting, "it waits for nothing"
                self.report(waiting.pop(0))
            else:
                self.seen.append(action)
                overlaps = isinstance(action, do.Reread) or (
                    isinstance(action, do.SendPart) and self.machine.window_now > 1
                )
                if overlaps:
                    waiting.append(action)
                else:
                    self.report(action)
            assert len(self.seen) < 200, "it does not end"
        assert not waiting
        self.verdict = action.verdict
        return self

    def send(self, count):
        """Up to the sending of that many parts, which are under way then."""
        sending = []
        while len(sending) < count:
            action = self.machine.next()
            if isinstance(action, do.SendPart):
                sending.append(action)
            else:
                self.report(action)
        return sending

    def report(self, action):
        planned = self.faults.get(type(action).__name__, [])
        outcome = planned.pop(0) if planned else None
        if isinstance(outcome, Exception):
            self.machine.failed(action, outcome)
        else:
            self.machine.succeeded(action, self.answer(action) if outcome is None else outcome)

    def answer(self, action):
        match action:
            case do.OpenSession():
                self.opens += 1
                return Token({"session": self.opens}), self.abilities
            case do.AskHeld():
                return self.held()
            case do.SendPart(part=part):
                self.take(part)
                return Sent(self.held(part.artifact), f"sha of {part.number}")
            case do.Reread(artifact=artifact):
                return OURS[artifact]
            case do.Commit(last=last):
                if last is not None:
                    self.take(last)
                return self.stored
            case do.Settle():
                return Settled(Outcome.PRESENT, self.stored)
        return None

    def take(self, part):
        self.prefixes[part.artifact] = part.offset + part.size
        self.parts[part.artifact][part.number] = HeldPart(part.size, f"tag {part.number}")
        if part.artifact not in self.machine.digests and part.offset + part.size == self.sizes[part.artifact]:
            self.machine.digests[part.artifact] = OURS[part.artifact]  # what the reader of the whole puts there

    def held(self, only=None):
        if self.abilities.resume is ResumeMode.OFFSET:
            return Held(prefixes={index: end for index, end in self.prefixes.items() if only in {None, index}})
        return Held(parts={index: dict(held) for index, held in self.parts.items() if only in {None, index}})

    @property
    def kinds(self):
        """What was asked for."""
        return [type(action).__name__ for action in self.seen]

    @property
    def steps(self):
        """What was asked for, without what is read beside the sending."""
        return [kind for kind in self.kinds if kind != "Reread"]

    def actions(self, kind):
        return [action for action in self.seen if isinstance(action, kind)]

    @property
    def error(self):
        assert isinstance(self.verdict, Failed)
        return self.verdict.error


# -- the way of an undisturbed upload --------------------------------------------------------------------------


def test_what_goes_with_the_commit_alone_is_intended_together_with_its_token():
    claim = Claim(5, abilities=LAST_PART).run()
    assert claim.steps == ["Inspect", "OpenSession", "SaveSession", "Commit"]
    assert [action.commits for action in claim.actions(do.SaveSession)] == [True]
    assert [action.commits for action in Claim(25, abilities=LAST_PART).run().actions(do.SaveSession)] == [False]


def test_the_order_of_an_upload():
    claim = Claim(25).run()
    assert claim.steps == [
        *("Inspect", "OpenSession", "SaveSession"),
        *("SendPart", "SaveAck", "SendPart", "SaveAck", "SendPart", "SaveAck"),
        *("Inspect", "IntendCommit", "Commit"),
    ]
    assert [action.again for action in claim.actions(do.Inspect)] == [False, True]
    assert [action.part for action in claim.actions(do.SendPart)] == [
        Part(0, 1, 0, 10),
        Part(0, 2, 10, 10),
        Part(0, 3, 20, 5),
    ]
    assert [entry.sha256 for entry in claim.verdict.entries] == ["media"]


def test_what_is_journalled_is_what_the_destination_said():
    claim = Claim(25, abilities=PARALLEL).run()
    (saved,) = claim.actions(do.SaveSession)
    assert (saved.token, saved.abilities, saved.part_size) == (Token({"session": 1}), PARALLEL, 10)
    assert [(action.row, action.acknowledged) for action in claim.actions(do.SaveAck)] == [
        (PartRow(0, 1, 0, 10, "sha of 1", "tag 1"), 10),
        (PartRow(0, 2, 10, 10, "sha of 2", "tag 2"), 20),
        (PartRow(0, 3, 20, 5, "sha of 3", "tag 3"), 25),
    ]


def test_a_range_without_a_tag_is_journalled_without_one():
    assert {action.row.etag for action in Claim(25).run().actions(do.SaveAck)} == {""}


def test_the_commit_names_what_was_held_before_and_each_part_that_was_sent():
    claim = Claim(30, abilities=PARALLEL, token=TOKEN).fault("AskHeld", Held(parts={0: {1: HeldPart(10, "old")}}))
    claim.fault("SendPart", Sent(Held(parts={0: {2: HeldPart(10, "new")}}), "sha of 2"), Sent(Held(), "sha of 3")).run()
    (commit,) = claim.actions(do.Commit)
    assert commit.held.parts == {0: {1: HeldPart(10, "old"), 2: HeldPart(10, "new")}}


def test_the_commit_names_all_that_is_held():
    assert Claim(25, 5).run().actions(do.Commit) == [do.Commit(Held(prefixes={0: 25, 1: 5}))]
    parallel = Claim(25, 5, abilities=PARALLEL).run()
    (commit,) = parallel.actions(do.Commit)
    assert {index: sorted(parts) for index, parts in commit.held.parts.items()} == {0: [1, 2, 3], 1: [1]}
    assert commit.held.parts[0][2] == HeldPart(10, "tag 2")


def test_no_more_parts_than_the_window_are_on_their_way():
    claim = Claim(60, abilities=PARALLEL, window=3)
    started = claim.send(3)
    assert [action.part.number for action in started] == [1, 2, 3]
    assert claim.machine.next() is None
    claim.report(started[1])
    assert isinstance(claim.machine.next(), do.SaveAck)
    assert claim.machine.next().part.number == 4
    assert claim.machine.next() is None


def test_parts_in_order_go_one_by_one_whatever_the_window():
    claim = Claim(60, window=3)
    claim.send(1)
    assert claim.machine.window_now == 1
    assert claim.machine.parts_mode is PartsMode.SEQUENTIAL
    assert claim.machine.next() is None


def test_before_a_session_stands_there_are_no_parts_and_one_at_a_time():
    machine = Claim(60, abilities=PARALLEL, window=3).machine
    assert machine.window_now == 1
    assert machine.parts_mode is PartsMode.WHOLE
    assert machine.parts_of(0) == []


def test_nothing_is_looked_at_for_the_commit_while_a_part_or_its_acknowledgement_is_under_way():
    claim = Claim(20, abilities=PARALLEL, window=2)
    first, second = claim.send(2)
    assert claim.machine.parts_of(0) == [Part(0, 1, 0, 10), Part(0, 2, 10, 10)]
    assert claim.machine.parts_of(1) == []
    claim.report(first)
    acknowledgement = claim.machine.next()
    assert claim.machine.next() is None
    claim.report(second)
    later = claim.machine.next()
    assert claim.machine.next() is None
    assert claim.machine.acknowledged == 20
    claim.report(acknowledgement)
    assert claim.machine.next() is None
    claim.report(later)
    assert claim.machine.next() == do.Inspect(again=True)
    assert claim.machine.next() is None, "once"


def test_the_last_part_goes_with_the_commit():
    claim = Claim(25, abilities=LAST_PART).run()
    assert [action.part.number for action in claim.actions(do.SendPart)] == [1, 2]
    (commit,) = claim.actions(do.Commit)
    assert (commit.held, commit.last) == (Held(prefixes={0: 20}), Part(0, 3, 20, 5, last=True))


def test_an_object_that_is_too_large_is_refused_before_a_part_is_cut():
    claim = Claim(25, limits=Limits(max_object=24)).run()
    assert isinstance(claim.error, QuotaError)
    assert claim.kinds == ["Inspect", "OpenSession"]


def test_the_part_size_suits_the_largest_artifact():
    claim = Claim(5, 100, limits=Limits(max_parts=4)).run()
    assert claim.actions(do.SaveSession)[0].part_size == 25


# -- going on --------------------------------------------------------------------------------------------------


def test_a_session_goes_on_where_it_stopped_and_what_is_held_is_read_again():
    rows = [acknowledged_part(1, 0, 10), acknowledged_part(2, 10, 10), acknowledged_part(3, 20, 10)]
    claim = Claim(40, token=TOKEN, parts=rows, acknowledged=30)
    assert claim.machine.acknowledged == 30
    claim.prefixes[0] = 20
    claim.run()
    assert claim.kinds[:3] == ["Inspect", "AskHeld", "Reread"]
    assert claim.actions(do.Reread) == [do.Reread(0, tuple(rows[:2]))], "the third is not held"
    assert [(action.part.number, action.in_order) for action in claim.actions(do.SendPart)] == [(3, False), (4, False)]
    assert claim.machine.acknowledged == 40
    assert claim.opens == 0


def test_of_listed_parts_those_that_are_held_are_compared():
    rows = [acknowledged_part(1, 0, 10), acknowledged_part(3, 20, 10)]
    claim = Claim(40, 5, abilities=PARALLEL, token=TOKEN, parts=[*rows, acknowledged_part(1, 0, 5, artifact=1)])
    claim.parts[0] = {1: HeldPart(10, "old tag")}
    claim.run()
    assert claim.actions(do.Reread) == [do.Reread(0, tuple(rows[:1]))]
    assert [(action.part.artifact, action.part.number, action.in_order) for action in claim.actions(do.SendPart)] == [
        (0, 2, False),
        (0, 3, False),
        (0, 4, False),
        (1, 1, True),
    ]
    (commit,) = claim.actions(do.Commit)
    assert commit.held.parts[0][1] == HeldPart(10, "old tag")


def test_parts_go_out_while_what_is_held_is_read_again_and_the_commit_waits_for_both():
    claim = Claim(20, token=TOKEN, parts=[acknowledged_part(1, 0, 10)])
    claim.prefixes[0] = 10
    for _ in range(2):
        claim.report(claim.machine.next())
    reading, sending = claim.machine.next(), claim.machine.next()
    assert (type(reading), type(sending)) == (do.Reread, do.SendPart)
    claim.report(sending)
    claim.report(claim.machine.next())
    assert claim.machine.next() is None
    claim.report(reading)
    assert claim.machine.next() == do.Inspect(again=True)


def test_a_session_that_the_destination_knew_already_is_asked_first():
    claim = Claim(20).fault("OpenSession", (Token({"session": 1}, known=True), SEQUENTIAL))
    claim.prefixes[0] = 10
    claim.run()
    assert claim.kinds[:4] == ["Inspect", "OpenSession", "SaveSession", "AskHeld"]
    assert [action.part.number for action in claim.actions(do.SendPart)] == [2]


def test_what_is_stored_already_is_compared_and_nothing_is_sent():
    claim = Claim(20, 5, token=TOKEN).fault("AskHeld", Held(stored=stored_of(20, 5))).run()
    assert claim.kinds == ["Inspect", "AskHeld", "Reread", "Reread"]
    assert [entry.key for entry in claim.verdict.entries] == ["k/0", "k/1"]


def test_what_is_stored_already_and_is_something_else_is_a_conflict():
    claim = Claim(20, token=TOKEN).fault("AskHeld", Held(stored=stored_of(21))).run()
    assert isinstance(claim.error, ConflictError)
    assert claim.error.what == "the destination holds 21 bytes, 20 were read"
    assert claim.error.where == "at k/0"


def test_the_last_part_of_what_was_read_again_is_not_in_order():
    claim = Claim(20, abilities=LAST_PART, token=TOKEN, parts=[acknowledged_part(1, 0, 10)])
    claim.prefixes[0] = 10
    claim.run()
    assert claim.actions(do.Commit) == [
        do.Commit(Held(prefixes={0: 10}), Part(0, 2, 10, 10, last=True), in_order=False)
    ]


def test_what_was_acknowledged_and_is_not_held_any_more_is_not_compared():
    forgotten = Claim(5, part_size=1, token=TOKEN, parts=[acknowledged_part(1, 0, 1)]).fault("AskHeld", Held()).run()
    assert [action.expected for action in forgotten.actions(do.Reread) if action.expected] == []
    unlisted = Claim(30, abilities=PARALLEL, token=TOKEN, parts=[acknowledged_part(1, 0, 10)])
    unlisted.fault("AskHeld", Held()).run()
    assert [action.expected for action in unlisted.actions(do.Reread) if action.expected] == []
    assert isinstance(forgotten.verdict, Proven)
    assert isinstance(unlisted.verdict, Proven)


def test_each_artifact_is_compared_as_far_as_it_is_held_itself():
    rows = [acknowledged_part(1, 0, 10, artifact=1)]
    claim = Claim(25, 20, token=TOKEN, parts=rows).fault("AskHeld", Held(prefixes={1: 10})).run()
    assert do.Reread(1, tuple(rows)) in claim.actions(do.Reread)


def test_a_destination_that_rewinds_goes_on_from_what_was_acknowledged():
    abilities = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET, rewinds=True)
    claim = Claim(40, abilities=abilities, token=TOKEN, parts=[acknowledged_part(1, 0, 10)])
    claim.prefixes[0] = 30
    claim.fault("SendPart", None, OffsetError("not there")).run()
    assert [action.part.number for action in claim.actions(do.SendPart)] == [2, 3, 3, 4]


def test_an_object_that_carries_our_items_id_is_ours():
    claim = Claim(10)
    claim.stored = stored_of(10, item_id=claim.machine.row.item_id)
    assert isinstance(claim.run().verdict, Proven)


# -- losing the place ------------------------------------------------------------------------------------------


def test_an_offset_that_does_not_fit_is_asked_for_once_all_that_is_under_way_has_ended():
    claim = Claim(60, abilities=PARALLEL, window=3)
    first, second, third = claim.send(3)
    claim.report(first)
    claim.machine.failed(second, OffsetError("not there"))
    acknowledgements = [claim.machine.next()]
    assert claim.machine.next() is None
    claim.report(third)
    acknowledgements.append(claim.machine.next())
    assert [action.row.number for action in acknowledgements] == [1, 3], "what arrived is still noted"
    assert claim.machine.next() is None
    claim.report(acknowledgements[0])
    assert claim.machine.next() is None
    claim.report(acknowledgements[1])
    assert isinstance(claim.machine.next(), do.AskHeld)


def test_an_answer_that_holds_less_than_was_sent_is_asked_about():
    claim = Claim(20).fault("SendPart", Sent(Held(prefixes={0: 4}), "sha of 1"))
    claim.prefixes[0] = 4
    claim.run()
    assert claim.steps[3:5] == ["SendPart", "AskHeld"]
    assert claim.actions(do.SendPart)[1].part == Part(0, 1, 4, 6)
    assert isinstance(claim.verdict, Proven)


def test_an_answer_that_says_nothing_of_the_offset_is_believed():
    claim = Claim(10).fault("SendPart", Sent(Held(), "sha of 1"))
    claim.machine.digests[0] = OURS[0]
    assert isinstance(claim.run().verdict, Proven)


def test_a_lost_session_is_opened_anew_and_everything_is_sent_again():
    claim = Claim(20).fault("SendPart", None, SessionLostError("gone")).run()
    assert Counter(claim.kinds)["OpenSession"] == 2
    assert [action.part.number for action in claim.actions(do.SendPart)] == [1, 2, 1, 2]
    assert claim.actions(do.SaveAck)[-1].acknowledged == 20
    assert isinstance(claim.verdict, Proven)


def test_a_session_that_nobody_knows_when_asked_is_opened_anew():
    claim = Claim(20, token=TOKEN).fault("AskHeld", SessionLostError("gone")).run()
    assert claim.kinds[:4] == ["Inspect", "AskHeld", "OpenSession", "SaveSession"]


def test_a_session_that_holds_what_no_plan_made_is_opened_anew():
    claim = Claim(20, token=TOKEN).fault("AskHeld", Held(prefixes={0: 21})).run()
    assert claim.kinds[:4] == ["Inspect", "AskHeld", "OpenSession", "SaveSession"]
    assert isinstance(claim.verdict, Proven)


@pytest.mark.parametrize("times", [5, 6])
def test_a_destination_that_loses_its_place_again_and_again_is_given_up(times):
    claim = Claim(10).fault("SendPart", *[OffsetError("not there")] * times).run()
    if times == 5:
        assert isinstance(claim.verdict, Proven)
    else:
        assert type(claim.error) is TransientError
        assert "6 times: not there" in claim.error.what
        assert claim.verdict.keep_session


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (SessionLostError("gone"), "6 times: gone"),
        (Sent(Held(prefixes={0: 4}), "sha of 1"), "6 times: the destination kept less than it was sent"),
    ],
    ids=["lost", "less"],
)
def test_what_was_lost_is_said_at_the_end(outcome, words):
    claim = Claim(10).fault("SendPart", *[outcome] * 6).run()
    assert type(claim.error) is TransientError
    assert claim.error.what.endswith(words)


def test_a_session_that_never_fits_is_given_up_as_well():
    known = Token({"session": 1}, known=True)
    claim = Claim(20).fault("OpenSession", *[(known, SEQUENTIAL)] * 6).fault("AskHeld", *[Held(prefixes={0: 21})] * 6)
    assert "6 times: the destination holds 21 bytes" in claim.run().error.what


def test_beginning_anew_counts_as_losing_the_place():
    claim = Claim(10, token=TOKEN).fault("SendPart", *[OffsetError("not there")] * 5)
    claim.fault("Commit", IntegrityError("other bytes")).run()
    assert "6 times: other bytes" in claim.error.what


def test_an_offset_that_does_not_fit_at_the_commit_is_asked_for_and_the_rest_is_sent():
    claim = Claim(20).fault("Commit", OffsetError("too little"))
    claim.fault("AskHeld", Held(prefixes={0: 10})).run()
    kinds = claim.steps
    assert kinds[kinds.index("Commit") :] == [
        *("Commit", "AskHeld", "SendPart", "SaveAck", "Inspect", "IntendCommit", "Commit"),
    ]
    assert isinstance(claim.verdict, Proven)


# -- the commit and what became of it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [SessionLostError("gone"), ServerError("500"), NetworkError("silence"), ConflictError("there")]
)
def test_a_commit_without_an_answer_is_asked_about_and_stands_if_it_is_there(error):
    claim = Claim(10).fault("Commit", error).run()
    assert claim.kinds[-2:] == ["Commit", "Settle"]
    assert isinstance(claim.verdict, Proven)


def test_a_commit_that_never_left_is_not_asked_about():
    error = NetworkError("refused", reached=False)
    claim = Claim(10).fault("Commit", error).run()
    assert (claim.error, claim.kinds[-1]) == (error, "Commit")
    assert claim.verdict.keep_session


def test_a_commit_that_did_not_arrive_is_a_failure_that_may_pass():
    claim = Claim(10).fault("Commit", NetworkError("silence")).fault("Settle", Settled(Outcome.ABSENT)).run()
    assert type(claim.error) is ServerError
    assert claim.error.what == "the commit did not arrive"
    assert claim.verdict.keep_session


def test_a_commit_that_nobody_can_tell_about_is_unknown():
    claim = Claim(10).fault("Commit", NetworkError("silence")).fault("Settle", Settled(Outcome.UNKNOWN)).run()
    assert isinstance(claim.error, OutcomeUnknownError)
    assert claim.error.what == "the answer to the commit was lost, and the destination cannot tell"


@pytest.mark.parametrize("outcome", [Outcome.ABSENT, Outcome.UNKNOWN])
def test_a_conflict_stays_one_unless_our_own_upload_is_there(outcome):
    conflict = ConflictError("another lies there")
    claim = Claim(10).fault("Commit", conflict).fault("Settle", Settled(outcome)).run()
    assert claim.error is conflict


def test_what_we_stored_and_is_something_else_is_an_integrity_error():
    claim = Claim(10).fault("Commit", stored_of(11)).run()
    assert isinstance(claim.error, IntegrityError)
    assert not claim.verdict.keep_session


def test_what_was_found_there_and_is_something_else_is_a_conflict():
    claim = Claim(10).fault("Commit", NetworkError("silence"))
    claim.fault("Settle", Settled(Outcome.PRESENT, stored_of(11))).run()
    assert isinstance(claim.error, ConflictError)


def test_an_earlier_commit_is_asked_about_before_the_source_is_looked_at():
    claim = Claim(10, token=TOKEN, committing=True, digests=OURS).run()
    assert claim.kinds == ["Settle"]
    assert [entry.sha256 for entry in claim.verdict.entries] == ["media"]


def test_digests_that_were_journalled_are_those_of_an_earlier_commit_or_of_nothing():
    assert Claim(10, digests=OURS).machine.digests == {}
    assert Claim(10, digests=OURS, committing=True).machine.digests == OURS


def test_an_earlier_commit_without_digests_is_compared_with_the_source_if_that_is_the_same_still():
    claim = Claim(10, token=TOKEN, committing=True).run()
    assert claim.kinds == ["Settle", "Inspect", "Reread"]
    assert isinstance(claim.verdict, Proven)
    changed = (
        Claim(10, token=TOKEN, committing=True).fault("Inspect", SourceChangedError("new", where="/r/0.bin")).run()
    )
    assert isinstance(changed.error, OutcomeUnknownError)
    assert changed.error.what == "something is stored, but the file changed before the two could be compared"
    assert changed.error.where == "/r/0.bin"
    assert changed.kinds == ["Settle", "Inspect"]


def test_an_earlier_commit_that_did_not_arrive_is_forgotten_and_the_session_goes_on():
    claim = Claim(10, token=TOKEN, committing=True, digests={0: {"sha256": "an earlier state"}})
    claim.fault("Settle", Settled(Outcome.ABSENT))
    claim.prefixes[0] = 10
    claim.run()
    assert claim.kinds == ["Settle", "Inspect", "AskHeld", "Reread", "Inspect", "IntendCommit", "Commit"]
    assert claim.verdict.entries[0].sha256 == "media"


def test_an_earlier_commit_that_nobody_can_tell_about_is_not_repeated():
    claim = Claim(10, token=TOKEN, committing=True).fault("Settle", Settled(Outcome.UNKNOWN)).run()
    assert isinstance(claim.error, OutcomeUnknownError)
    assert claim.kinds == ["Settle"]


# -- what was held is something else ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Reread", "Commit"])
def test_a_continued_session_that_holds_other_bytes_is_dropped_and_all_is_sent_again(kind):
    claim = Claim(20, token=TOKEN, parts=[acknowledged_part(1, 0, 10)]).fault(kind, IntegrityError("other bytes"))
    claim.prefixes[0] = 10
    claim.run()
    after = claim.kinds[claim.kinds.index("Abort") :]
    assert after[:3] == ["Abort", "OpenSession", "SaveSession"]
    assert [action.part.number for action in claim.actions(do.SendPart)][-2:] == [1, 2]
    assert isinstance(claim.verdict, Proven)


def test_while_a_session_is_begun_anew_what_is_under_way_knows_how_it_is_sent():
    claim = Claim(20, 5, abilities=PARALLEL, window=2, token=TOKEN).fault("Reread", IntegrityError("other bytes"))
    claim.parts = {0: {1: HeldPart(10)}, 1: {}}
    for _ in range(2):
        claim.report(claim.machine.next())
    reading = claim.machine.next()
    assert isinstance(claim.machine.next(), do.SendPart)
    claim.report(reading)
    assert (claim.machine.window_now, claim.machine.parts_mode) == (2, PartsMode.PARALLEL)


def test_a_session_that_was_begun_anew_is_not_begun_a_third_time():
    claim = Claim(20, token=TOKEN).fault("Commit", IntegrityError("other bytes"), IntegrityError("again")).run()
    assert claim.error.what == "again"
    assert not claim.verdict.keep_session
    assert claim.opens == 1


def test_a_fresh_session_that_holds_other_bytes_fails():
    claim = Claim(20).fault("Commit", IntegrityError("other bytes")).run()
    assert isinstance(claim.error, IntegrityError)
    assert "Abort" not in claim.kinds


def test_a_session_that_cannot_be_dropped_is_left_behind():
    claim = (
        Claim(20, token=TOKEN).fault("Commit", IntegrityError("other bytes")).fault("Abort", ServerError("500")).run()
    )
    assert isinstance(claim.verdict, Proven)


# -- failures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (CancelledError("stop"), False),
        (SourceChangedError("new"), False),
        (IntegrityError("other bytes"), False),
        (ServerError("500"), True),
        (NetworkError("reset"), True),
        (QuotaError("full"), True),
    ],
)
def test_a_failure_keeps_the_session_unless_it_is_worth_nothing_any_more(error, kept):
    claim = Claim(20).fault("SendPart", None, error).run()
    assert claim.verdict == Failed(error, keep_session=kept)


@pytest.mark.parametrize("kind", ["Inspect", "OpenSession", "SaveSession", "SaveAck", "IntendCommit"])
def test_a_failure_at_any_step_ends_the_claim_there(kind):
    error = ServerError("500")
    claim = Claim(20).fault(kind, error).run()
    assert claim.error is error
    assert claim.kinds[-1] == kind


def test_a_source_that_changed_before_the_commit_is_not_committed():
    claim = Claim(20).fault("Inspect", None, SourceChangedError("new")).run()
    assert isinstance(claim.error, SourceChangedError)
    assert "IntendCommit" not in claim.kinds


def test_after_a_failure_nothing_new_is_begun_and_what_arrives_all_the_same_is_journalled():
    claim = Claim(60, abilities=PARALLEL, window=3)
    first, second, third = claim.send(3)
    error = ServerError("500")
    claim.machine.failed(second, error)
    assert claim.machine.next() is None
    claim.machine.failed(third, ServerError("another"))
    assert claim.machine.next() is None
    claim.report(first)
    saving = claim.machine.next()
    assert isinstance(saving, do.SaveAck)
    assert saving.row.number == first.part.number
    claim.report(saving)
    assert claim.machine.next() == do.Conclude(Failed(error, keep_session=True))


def test_an_answer_that_comes_after_a_failure_begins_nothing():
    claim = Claim(20, token=TOKEN, parts=[acknowledged_part(1, 0, 10)])
    claim.prefixes[0] = 10
    for _ in range(2):
        claim.report(claim.machine.next())
    reading, sending = claim.machine.next(), claim.machine.next()
    error = NetworkError("reset")
    claim.machine.failed(sending, error)
    claim.report(reading)
    assert claim.machine.next() == do.Conclude(Failed(error, keep_session=True))
    assert claim.machine.digests == {}, "what was read for a claim that failed is not used"
