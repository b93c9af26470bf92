"""One claim of one task as a state machine without I/O.

Given the journal's row it says what to do next; told what happened, it says what to do then. An engine carries the
actions out with files, sockets and clocks; a test or a simulator with none::

    machine = UploadMachine(row, parts, limits=..., part_size=..., window=...)
    while not isinstance(action := machine.next(), Conclude):
        if action is None:  # everything that can run is running
            action, result = wait_for_an_outcome()
        ...
        machine.succeeded(action, result)  # or machine.failed(action, error)

The order is: ask what became of an earlier commit, if there was one; look at the source; continue the session or open
one; journal its token; send what is missing; look at the source again; journal the intent to commit; commit; compare.
Where all of a file goes with the commit, the intent is journalled together with the token; where a session
begins without a call, both are journalled together with the claim.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Abilities, Held, Outcome, Part, PartsMode, ResumeMode, Settled, Stored
from haulier.errors import (
    CancelledError,
    ConflictError,
    HaulierError,
    IntegrityError,
    NetworkError,
    OffsetError,
    OutcomeUnknownError,
    ServerError,
    SessionLostError,
    SourceChangedError,
    TransientError,
)
from haulier.journal.api import PartRow
from haulier.transfer.actions import (
    Abort,
    Action,
    AskHeld,
    Commit,
    Conclude,
    Failed,
    Inspect,
    IntendCommit,
    OpenSession,
    Proven,
    Reread,
    SaveAck,
    SaveSession,
    SendPart,
    Sent,
    Settle,
    Told,
)
from haulier.transfer.parts import Plan, first_plan, make_plan
from haulier.transfer.proof import prove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haulier.backends.api import Artifact, Limits, Token
    from haulier.journal.api import TaskRow

__all__ = ["UploadMachine"]

MOST_RESYNCS = 5


@dataclass
class _Session:
    token: Token | None = None
    abilities: Abilities = field(default_factory=Abilities)
    part_size: int = 0
    continued: bool = False  # from an earlier claim: what it holds may not be what is read now


class UploadMachine:
    """See the module. Not thread-safe: one caller feeds it.

    Args:
        row: The task as claimed.
        artifacts: What the backend sees, including what it added itself.
        parts: Journalled acknowledgements of the row's session.
        token: The row's resume token, unsealed.
        limits: The backend's sizes.
        preferred_part_size: Bytes.
        window: Most parts in flight.
        fresh: The plan of a session that was journalled together with the claim: nothing was sent in it yet.
        streams: Whether a part is read while it is sent instead of into memory before.
    """

    def __init__(
        self,
        row: TaskRow,
        artifacts: Sequence[Artifact],
        parts: Sequence[PartRow],
        token: Token | None,
        *,
        limits: Limits,
        preferred_part_size: int,
        window: int,
        fresh: Plan | None = None,
        streams: Callable[[Part], bool] = lambda _: False,
    ) -> None:
        self.row = row
        self.artifacts = tuple(artifacts)
        began = fresh is None
        self.digests: dict[int, Mapping[str, str]] = dict(row.digests) if row.committing and began else {}
        self._limits = limits
        self._preferred = preferred_part_size
        self._window = window
        self._streams = streams
        self._rows = list(parts)
        self._session = _Session(
            token, row.abilities or Abilities(), row.part_size, continued=token is not None and began
        )
        # What became of a commit is asked before anything else: the source may be another file by now.
        self._todo: deque[Action] = deque([Settle() if row.committing and began else Inspect()])
        self._fresh = fresh
        self._inspected = False
        self._pending: list[Action] = []
        self._plan: Plan | None = None
        self._first_plan: Plan | None = None  # of a session that is not journalled yet
        self._unsent: deque[Part] = deque()
        self._reread: set[int] = set()
        self._held = Held()
        self._acknowledged = row.acknowledged
        self._failure: HaulierError | None = None
        self._stored: tuple[Stored, ...] = ()
        self._stored_by_us = True
        self._resyncs = 0
        self._conflict: ConflictError | None = None
        self._commit_due = False
        self._after_drain: Action | None = None

    # -- what to do next ---------------------------------------------------------------------------------------

    @property
    def acknowledged(self) -> int:
        """Bytes of all artifacts that the destination holds in this session."""
        return self._acknowledged

    @property
    def window_now(self) -> int:
        """Most parts in flight in this session."""
        return self._window if self._session.abilities.parts is PartsMode.PARALLEL else 1

    @property
    def parts_mode(self) -> PartsMode:
        """How this session's parts are sent."""
        return self._session.abilities.parts

    @property
    def sends_one_part(self) -> bool:
        """Whether one part is all that is sent, so that nothing can be done meanwhile."""
        return self._plan is not None and len(self._plan.missing) == 1

    def parts_of(self, artifact: int) -> list[Part]:
        """The missing parts of an artifact, in order."""
        return [part for part in self._plan.missing if part.artifact == artifact] if self._plan else []

    def next(self) -> Action | None:
        """The next action, or None while outcomes are awaited."""
        if self._failure is not None:
            self._todo = deque(waiting for waiting in self._todo if isinstance(waiting, SaveAck))
            if not self._todo:
                return None if self._pending else self._conclude_failure(self._failure)
        if not self._todo and self._after_drain is not None:
            if self._pending:
                return None
            self._todo.append(self._after_drain)
            self._after_drain = None
        if not self._todo:
            self._schedule()
        if not self._todo:
            return None
        action = self._todo.popleft()
        if not isinstance(action, Conclude):
            self._pending.append(action)
        return action

    def _schedule(self) -> None:
        """Keep the window full; when everything is sent and hashed, go on to the commit."""
        if self._plan is None:
            return
        sending = sum(isinstance(action, SendPart) for action in self._pending)
        if self._unsent and sending < self.window_now:
            part = self._unsent[0]
            if not part.last:
                self._unsent.popleft()
                self._todo.append(SendPart(part, in_order=part.artifact not in self._reread))
                return
        waits_for_last = not self._unsent or self._unsent[0].last
        if waits_for_last and not self._pending and not self._commit_due:
            self._commit_due = True
            self._todo.append(Inspect(again=True))

    # -- what happened -----------------------------------------------------------------------------------------

    def succeeded(self, action: Action, result: Any = None) -> None:  # noqa: C901  one case per kind of action
        """Report that an action was carried out."""
        self._pending.remove(action)
        if self._failure is not None and not isinstance(action, SendPart | SaveAck):
            return
        match action:
            case Inspect(again=False):
                self._begin()
            case Inspect(again=True):
                self._todo.append(IntendCommit())
            case OpenSession():
                self._opened(*result)
            case SaveSession():
                self._session_saved(action)
            case AskHeld():
                self._holds(result)
            case Reread():
                self._reread_done(action, result)
            case SendPart():
                self._part_sent(action, result)
            case IntendCommit():
                self._todo.append(self._commit_action())
            case Commit():
                self._committed(result)
            case Settle():
                self._settled(result)
            case _:
                pass

    def failed(self, action: Action, error: HaulierError) -> None:
        """Report that an action failed."""
        self._pending.remove(action)
        if self._failure is not None:
            return
        match action, error:
            case Commit(), ConflictError():
                self._conflict = error
                self._todo.append(Settle())
            case Commit(), SessionLostError() | ServerError():
                self._todo.append(Settle())
            case Commit(), NetworkError(reached=True):
                self._todo.append(Settle())
            case ((AskHeld() | SendPart()), SessionLostError()):
                self._resync(error, OpenSession())
            case ((SendPart() | Commit()), OffsetError()):
                self._commit_due = False
                self._resync(error, AskHeld())
            case ((Reread() | Commit()), IntegrityError()) if self._session.continued:
                self._start_anew(error)
            case Abort(), _:
                pass
            case Inspect(), SourceChangedError() if self._stored:
                self._failure = OutcomeUnknownError(
                    "something is stored, but the file changed before the two could be compared", where=error.where
                )
            case _:
                self._failure = error

    # -- sessions ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._inspected = True
        if self._stored:
            self._compare()
        elif self._fresh is not None:
            plan, self._fresh = self._fresh, None
            self._start(plan, commits=self.row.committing)
        elif self._session.token is not None:
            self._todo.append(AskHeld())
        else:
            self._todo.append(OpenSession())

    def _opened(self, token: Token, abilities: Abilities) -> None:
        try:
            part_size, plan = first_plan(self.artifacts, abilities, self._limits, self._preferred)
        except HaulierError as error:
            self._failure = error
            return
        self._rows = []
        self._first_plan = None if token.known else plan
        commits = self._first_plan is not None and plan.commits_at_once
        self._todo.append(SaveSession(token, abilities, part_size, commits))

    def _session_saved(self, action: SaveSession) -> None:
        self._session = _Session(action.token, action.abilities, action.part_size)
        if self._first_plan is None:
            self._todo.append(AskHeld())
            return
        self._start(self._first_plan, commits=action.commits)

    def _start(self, plan: Plan, *, commits: bool) -> None:
        """Send everything in a session that holds nothing."""
        self._follow(plan, Held())
        if commits:
            self._commit_due = True
            self._todo.append(self._commit_action())

    def _holds(self, held: Held) -> None:
        if held.stored:
            self._stored = held.stored
            self._stored_by_us = False
            self._compare()
            return
        self._make_plan(held)

    def _make_plan(self, held: Held) -> None:
        try:
            plan = make_plan(self.artifacts, self._session.abilities, self._session.part_size, held, self._rows)
        except SessionLostError as error:
            self._resync(error, OpenSession())
            return
        self._follow(plan, held)

    def _follow(self, plan: Plan, held: Held) -> None:
        self._plan = plan
        self._held = held
        self._acknowledged = plan.acknowledged
        self._unsent = deque(plan.missing)
        whole_again = set(plan.reread) | self._not_read_in_order(plan.missing)
        self._reread = {index for index in whole_again if index not in self.digests}
        self._todo.extend(
            Reread(
                index,
                tuple(row for row in self._rows if row.artifact == index and self._is_held(row)),
                self._told(index, held),
            )
            for index in sorted(self._reread)
        )

    def _told(self, index: int, held: Held) -> tuple[Told, ...]:
        """Held parts of which the destination tells digests; a kill may have kept our own from being journalled."""
        size = self._session.part_size
        parts = held.parts.get(index, {})
        return tuple(
            Told((number - 1) * size, part.size, part.digests) for number, part in sorted(parts.items()) if part.digests
        )

    def _not_read_in_order(self, missing: Sequence[Part]) -> set[int]:
        """Artifacts that are not hashed whole while they are sent.

        The one reader starts at the first byte or not at all, and a part that is streamed does not pass through it.
        """
        by_artifact: dict[int, list[Part]] = {}
        for part in missing:
            by_artifact.setdefault(part.artifact, []).append(part)
        return {
            index
            for index, parts in by_artifact.items()
            if parts[0].offset or (len(parts) > 1 and any(map(self._streams, parts)))
        }

    def _is_held(self, row: PartRow) -> bool:
        if self._session.abilities.resume is ResumeMode.OFFSET:
            return row.offset + row.size <= self._held.prefixes.get(row.artifact, 0)
        return row.number in self._held.parts.get(row.artifact, {})

    def _resync(self, error: HaulierError, action: Action) -> None:
        self._resyncs += 1
        if self._resyncs > MOST_RESYNCS:
            self._failure = TransientError(f"the destination lost its place {self._resyncs} times: {error.what}")
            return
        self._plan = None
        self._unsent.clear()
        self._todo = deque(waiting for waiting in self._todo if isinstance(waiting, SaveAck | Abort))
        self._after_drain = action  # parts in flight still read from where they stand

    def _start_anew(self, error: HaulierError) -> None:
        """What was held is not what is read now: drop the session and send everything once more."""
        self._session = replace(self._session, continued=False)
        self._commit_due = False
        self._todo.append(Abort())
        self._resync(error, OpenSession())

    # -- parts -------------------------------------------------------------------------------------------------

    def _part_sent(self, action: SendPart, sent: Sent) -> None:
        part = action.part
        if sent.held.prefixes.get(part.artifact, part.offset + part.size) < part.offset + part.size:
            self._resync(OffsetError("the destination kept less than it was sent"), AskHeld())
            return
        etag = ""
        held_part = sent.held.parts.get(part.artifact, {}).get(part.number)
        if held_part is not None:
            etag = held_part.etag
        if self._session.abilities.resume is ResumeMode.LIST:
            known = dict(self._held.parts.get(part.artifact, {}))
            known.update(sent.held.parts.get(part.artifact, {}))
            self._held = replace(self._held, parts={**self._held.parts, part.artifact: known})
        else:
            prefix = {part.artifact: part.offset + part.size}
            self._held = replace(self._held, prefixes={**self._held.prefixes, **prefix})
        self._acknowledged += part.size
        row = PartRow(part.artifact, part.number, part.offset, part.size, sent.sha256, etag, sent.prefix)
        self._rows.append(row)
        self._todo.append(SaveAck(row, self._acknowledged))

    def _reread_done(self, action: Reread, digests: Mapping[str, str]) -> None:
        self.digests[action.artifact] = digests
        if self._stored:
            self._compare()

    # -- commit and proof --------------------------------------------------------------------------------------

    def _commit_action(self) -> Commit:
        last = self._unsent[0] if self._unsent else None
        in_order = last is None or last.artifact not in self._reread
        return Commit(self._held, last, in_order)

    def _committed(self, stored: tuple[Stored, ...]) -> None:
        self._stored = stored
        self._compare()

    def _settled(self, settled: Settled) -> None:
        if settled.outcome is Outcome.PRESENT:
            self._stored = settled.stored
            self._stored_by_us = False
            self._compare()
        elif self._conflict is not None:
            self._failure = self._conflict
        elif settled.outcome is Outcome.UNKNOWN:
            self._failure = OutcomeUnknownError("the answer to the commit was lost, and the destination cannot tell")
        elif self._commit_due:
            self._failure = ServerError("the commit did not arrive")
        else:
            self.digests.clear()
            self._todo.append(Inspect())

    def _compare(self) -> None:
        if any(isinstance(action, Reread) for action in (*self._pending, *self._todo)):
            return
        missing = [artifact.index for artifact in self.artifacts if artifact.index not in self.digests]
        if missing:
            self._todo.extend([Reread(index) for index in missing] if self._inspected else [Inspect()])
            return
        try:
            entries = prove(self.artifacts, self._stored, self.digests, self.row.item_id)
        except IntegrityError as error:
            self._failure = error if self._stored_by_us else ConflictError(error.what, where=error.where)
            return
        self._todo.append(Conclude(Proven(entries)))

    # -- failure -----------------------------------------------------------------------------------------------

    def _conclude_failure(self, error: HaulierError) -> Conclude:
        ends_session = isinstance(error, CancelledError | SourceChangedError | IntegrityError)
        return Conclude(Failed(error, keep_session=not ends_session))
