"""Runs cases, and adds up what came of them."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haulier.testing.crash.cases import SETTINGS, Case
from haulier.testing.crash.checks import Finding, Kind, Recorded, Seen, check_interrupted, check_outcome
from haulier.testing.crash.child import AGENT, AgentOrder
from haulier.testing.crash.destination import PART_SIZE
from haulier.testing.crash.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from haulier.testing.crash.cases import Setting
    from haulier.testing.crash.destination import Destination

__all__ = ["Case", "Figures", "Matrix", "Result", "Room"]

CLIENT = "client"
PATIENCE = 60.0  # seconds after which a child counts as hanging
TRIES = 3


@dataclass(frozen=True)
class Result:
    """What came of one case.

    Attributes:
        case: The case.
        findings: What is wrong.
        reached: Whether the step was passed so often this time; else nobody was killed.
        sent_again: Bytes.
    """

    case: Case
    findings: tuple[Finding, ...]
    reached: bool
    sent_again: int


@dataclass
class Figures:
    """The sums over many cases.

    Attributes:
        cases: Cases run.
        unreached: Those of them whose step was not passed so often this time.
        lost: Files that did not arrive, or not whole; so are the others.
        doubled: Files stored or queued twice.
        wrongly_reported: Receipts and events that claim what is not so.
        deleted_without_proof: Sources that went without a receipt that proves their content.
        others: Everything else that is wrong, by kind.
        most_bytes_sent_again: In any one case.
        seconds: Wall time of all cases.
        failures: Lines that name case and finding.
    """

    cases: int = 0
    unreached: int = 0
    lost: int = 0
    doubled: int = 0
    wrongly_reported: int = 0
    deleted_without_proof: int = 0
    others: Counter[str] = field(default_factory=Counter)
    most_bytes_sent_again: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count a result."""
        self.cases += 1
        self.unreached += not result.reached
        self.most_bytes_sent_again = max(self.most_bytes_sent_again, result.sent_again)
        kinds = {finding.kind for finding in result.findings}
        self.lost += bool(kinds & {Kind.LOST, Kind.UNFINISHED})
        self.doubled += Kind.DOUBLED in kinds
        self.wrongly_reported += bool(kinds & {Kind.WRONGLY_REPORTED, Kind.BROKEN_CHAIN, Kind.ILLEGAL_EVENTS})
        self.deleted_without_proof += Kind.DELETED_WITHOUT_PROOF in kinds
        self.others.update(str(kind) for kind in kinds)
        self.failures += [f"{result.case.id}: {finding}" for finding in result.findings]

    def __str__(self) -> str:
        return (
            f"{self.cases} cases, lost {self.lost}, doubled {self.doubled}, wrongly reported {self.wrongly_reported}, "
            f"deleted without proof {self.deleted_without_proof}, bytes sent again at most "
            f"{self.most_bytes_sent_again} ({self.unreached} not reached, {self.seconds:.0f} s)"
        )


@dataclass(frozen=True)
class Room:
    """The folders of one case."""

    path: Path

    @property
    def sources(self) -> Path:
        """Where the files lie that are uploaded."""
        return self.path / "sources"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.path / "state"

    @property
    def meter(self) -> Path:
        """The file that counts bytes."""
        return self.path / "meter"

    def steps(self, victim: str) -> Path:
        """Where a process writes its steps."""
        return self.path / f"{victim}.json"

    def metered(self) -> int:
        """What the meter shows."""
        return self.meter.stat().st_size if self.meter.exists() else 0


class Matrix:
    """All kills of a client of one destination. A context manager; for one thread.

    Args:
        destination: What is uploaded to.
        folder: For the cases' folders; in memory (``/dev/shm``) they cost least.
        preload: More functions that the children call, see :class:`~haulier.testing.crash.zygote.Zygote`.
    """

    def __init__(self, destination: Destination, folder: Path, preload: Sequence[str] = ()) -> None:
        self.destination = destination
        self.folder = folder
        self._numbers = itertools.count(1)
        self.zygote = Zygote(folder / "children.log", [AGENT, *destination.plugins, *preload])

    def __enter__(self) -> Self:
        self.destination.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.zygote.close()
        self.destination.__exit__()

    # -- which cases there are ---------------------------------------------------------------------------------

    def cases(self, settings: Iterable[Setting] = SETTINGS) -> list[Case]:
        """Every step that an undisturbed run of each setting passes, at each of its passings.

        Raises:
            AssertionError: An undisturbed run does not end well.
        """
        return [
            Case(self.destination.name, setting, CLIENT, step, passing)
            for setting in settings
            for step, count in Counter(self._record(setting)).items()
            for passing in range(1, count + 1)
        ]

    def _record(self, setting: Setting) -> list[str]:
        room = self._room(setting)
        problem = self.run_agent(room, setting, None)
        findings = check_outcome(self._seen(room, setting, most_sent_again=0))
        if problem or findings:
            text = "; ".join([problem, *map(str, findings)])
            raise AssertionError(f"{self.destination.name}/{setting.name} without a kill: {text}")
        passed: list[str] = read_steps(room, CLIENT)["passed"]
        shutil.rmtree(room.path)
        return passed

    # -- one case ----------------------------------------------------------------------------------------------

    def run(self, case: Case) -> Result:
        """Kill, start again, let it finish, look.

        How often a step is passed may differ by chance between runs: a case that is not reached is tried again.
        """
        for _ in range(TRIES - 1):
            result = self._run(case)
            if result.reached or result.findings:
                return result
        return self._run(case)

    def _run(self, case: Case) -> Result:
        room = self._room(case.setting)
        problem = self.run_agent(room, case.setting, (case.step, case.passing))
        reached = problem == KILLED
        findings = []
        may_leave_session = False
        if reached:
            findings += check_interrupted(case.setting, room.sources, room.state)
            may_leave_session = self._may_leave_session(read_steps(room, CLIENT)["passed"])
            problem = self.run_agent(room, case.setting, None)
        if problem:
            findings.append(Finding(Kind.UNFINISHED, problem))
        if not (room.state / "journal.db").exists():
            return Result(case, tuple(findings), reached, 0)
        seen = self._seen(room, case.setting, may_leave_session=may_leave_session)
        findings += check_outcome(seen)
        shutil.rmtree(room.path)
        return Result(case, tuple(findings), reached, max(0, seen.sent_again))

    def run_agent(self, room: Room, setting: Setting, kill_at: tuple[str, int] | None) -> str:
        """Run a client to its end; how it failed, ``KILLED`` when it was killed, or nothing."""
        pid = self.zygote.start(AGENT, self.order(room, setting, kill_at).to_dict())
        status = self.zygote.wait(pid, PATIENCE)
        if status is None:
            self.zygote.kill(pid)
            self.zygote.wait(pid, PATIENCE)
            return f"the client still ran after {PATIENCE:g} s"
        if status == -signal.SIGKILL:
            return KILLED
        error: str = read_steps(room, CLIENT)["error"]
        return error or (f"the client ended with {status}" if status else "")

    def order(self, room: Room, setting: Setting, kill_at: tuple[str, int] | None, **more: Any) -> AgentOrder:
        """What a client is told."""
        counts_itself = self.destination.received() is not None
        return AgentOrder(
            config=self._config(room, setting),
            folder=str(room.sources),
            record=str(room.steps(CLIENT)),
            scan=setting.shared,
            plugins=tuple(self.destination.plugins),
            kill_at=kill_at,
            meter="" if counts_itself else str(room.meter),
            **more,
        )

    def _config(self, room: Room, setting: Setting) -> Mapping[str, Any]:
        upload = {
            "backend": "there",
            "state_dir": str(room.state),
            "part_size": PART_SIZE,
            "max_concurrent_uploads": 1,
            "delete_after_upload": setting.delete,
            "delete_proof": "content",
            "sidecar_grace": 0,
        }
        return {"upload": upload, "watch": {"settle_seconds": 0}, "backends": {"there": dict(self.destination.table())}}

    def _room(self, setting: Setting) -> Room:
        room = Room(self.folder / f"case-{next(self._numbers)}")
        room.path.mkdir()
        setting.write(room.sources)
        self.destination.reset(room.path)
        return room

    def _seen(
        self, room: Room, setting: Setting, *, may_leave_session: bool = False, most_sent_again: int | None = None
    ) -> Seen:
        received = self.destination.received()
        largest = max(setting.media(), key=lambda name: len(setting.files()[name]))
        together = [len(setting.files()[name]) for name in (largest, setting.sidecar_of(largest)) if name]
        return Seen(
            setting=setting,
            folder=room.sources,
            recorded=Recorded.read(room.state),
            stored=self.destination.stored(),
            pending=self.destination.pending(),
            received=room.metered() if received is None else received,
            most_sent_again=self.destination.most_sent_again(together) if most_sent_again is None else most_sent_again,
            may_leave_session=may_leave_session,
        )

    def _may_leave_session(self, passed: Sequence[str]) -> bool:
        """Whether a session may stay behind at the destination for ever.

        Only where the kill fell between the destination's making the session and our journalling its token, and the
        destination cannot find the session again by item id and nonce.
        """
        if self.destination.finds_session_again:
            return False
        opened = [number for number, step in enumerate(passed) if step == "backend.open"]
        saved = [number for number, step in enumerate(passed) if step == "ledger.save_session:done"]
        return len(opened) > len(saved)

    # -- many --------------------------------------------------------------------------------------------------

    def run_all(self, cases: Iterable[Case]) -> Figures:
        """Run cases one after the other and add up."""
        figures, start = Figures(), time.monotonic()
        for case in cases:
            figures.add(self.run(case))
        figures.seconds = time.monotonic() - start
        return figures


KILLED = "killed"


def read_steps(room: Room, victim: str) -> dict[str, Any]:
    """What a process wrote of its steps; nothing when it never came to that."""
    path = room.steps(victim)
    if not path.exists():
        return {"passed": [], "error": "it ended before it wrote its steps"}
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
