"""Runs cases, and adds up what came of them."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haulier.testing.crash.cases import AT_RANDOM, SETTINGS, Case
from haulier.testing.crash.checks import Finding, Kind, Recorded, Seen, check_interrupted, check_outcome
from haulier.testing.crash.child import AGENT, AgentOrder
from haulier.testing.crash.destination import PART_SIZE
from haulier.testing.crash.steps import SIGKILL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from haulier.testing.crash.cases import Setting
    from haulier.testing.crash.destination import Destination
    from haulier.testing.crash.zygote import Zygote

__all__ = ["Case", "Figures", "Matrix", "Result", "Room"]

CLIENT = "client"
PATIENCE = 60.0  # seconds after which a child counts as hanging
TRIES = 3
KILLS_AT_RANDOM = 3
AT_ONCE = 2  # uploads, when kills come at random times
CLOCK_RATE = 100.0  # so that a retry or a probe after seconds comes after hundredths of them
LONGEST = 0.2  # seconds: about as long as an undisturbed run takes


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
    """The folders of one case, and when it began (monotonic seconds)."""

    path: Path
    since: float = field(default_factory=time.monotonic)

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
        zygote: Starts the children; stays the caller's.
    """

    victim = CLIENT
    victim_at_random = CLIENT

    def __init__(self, destination: Destination, folder: Path, zygote: Zygote) -> None:
        self.destination = destination
        self.folder = folder
        self.zygote = zygote
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self.destination.__enter__()
        self.zygote.preload([AGENT, *self.destination.functions])
        return self

    def __exit__(self, *_: object) -> None:
        self.destination.__exit__()

    # -- which cases there are ---------------------------------------------------------------------------------

    def cases(self, settings: Iterable[Setting] = SETTINGS) -> list[Case]:
        """Every step that the victim passes in an undisturbed run of each setting, at each of its passings.

        Raises:
            AssertionError: An undisturbed run does not end well.
        """
        wanted = tuple(settings)
        self._record(wanted[0])  # only then everything is imported, and nothing takes longer than it will
        return [
            Case(self.destination.name, setting, self.victim, step, passing)
            for setting in wanted
            for step, count in Counter(self._record(setting)).items()
            for passing in range(1, count + 1)
        ]

    def _record(self, setting: Setting) -> list[str]:
        room = self._room(setting)
        problem = self.run_agent(room, setting, None)
        findings = check_outcome(self._seen(room, setting, kills=0))
        if problem or findings:
            text = "; ".join([problem, *map(str, findings)])
            raise AssertionError(f"{self.destination.name}/{setting.name} without a kill: {text}")
        written = read_steps(room, CLIENT)
        self.zygote.preload(written["modules"])
        passed: list[str] = written["passed"]
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
        if case.step == AT_RANDOM:
            return self._run_at_random(case)
        room = self._room(case.setting)
        problem = self.run_agent(room, case.setting, (case.step, case.passing))
        reached = problem == KILLED
        findings: list[Finding] = []
        rules: dict[str, Any] = {}
        if reached:
            findings += check_interrupted(case.setting, room.sources, room.state)
            passed = read_steps(room, CLIENT)["passed"]
            rules = {"may_leave_session": self._may_leave_session(passed), "in_flight": parts_in_flight(passed)}
            problem = self.run_agent(room, case.setting, None)
        if problem:
            findings.append(Finding(Kind.UNFINISHED, problem))
        return self._judged(case, room, findings, reached=reached, **rules)

    def at_random(self, seeds: Iterable[int], settings: Sequence[Setting] = SETTINGS) -> list[Case]:
        """A case for each seed: three kills at random times of two uploads at once, taking turns with the settings."""
        return [
            Case(self.destination.name, settings[seed % len(settings)], self.victim_at_random, AT_RANDOM, seed)
            for seed in seeds
        ]

    def _run_at_random(self, case: Case) -> Result:
        room, chance = self._room(case.setting), case.chance
        findings: list[Finding] = []
        for _ in range(KILLS_AT_RANDOM):
            pid = self.zygote.start(AGENT, self.order(room, case.setting, None, at_once=AT_ONCE).to_dict())
            if self.zygote.wait(pid, chance.uniform(0.0, LONGEST)) is None:
                self.zygote.kill(pid)
                self.zygote.wait(pid, PATIENCE)
            if room.state.exists():
                findings += check_interrupted(case.setting, room.sources, room.state)
        problem = self.run_agent(room, case.setting, None)
        if problem:
            findings.append(Finding(Kind.UNFINISHED, problem))
        return self._judged(case, room, findings, kills=KILLS_AT_RANDOM * AT_ONCE)

    def _judged(
        self, case: Case, room: Room, findings: Sequence[Finding], *, reached: bool = True, **rules: Any
    ) -> Result:
        """The result, with what is seen of the room now; then the room is cleared."""
        seen = self._seen(room, case.setting, **rules)
        result = Result(case, (*findings, *check_outcome(seen)), reached, max(0, seen.sent_again))
        shutil.rmtree(room.path)
        return result

    def run_agent(self, room: Room, setting: Setting, kill_at: tuple[str, int] | None) -> str:
        """Run a client to its end; how it failed, ``KILLED`` when it was killed, or nothing."""
        pid = self.zygote.start(AGENT, self.order(room, setting, kill_at).to_dict())
        status = self.zygote.wait(pid, PATIENCE)
        if status is None:
            self.zygote.kill(pid)
            self.zygote.wait(pid, PATIENCE)
            return f"the client still ran after {PATIENCE:g} s"
        if status == -SIGKILL:
            return KILLED
        error: str = read_steps(room, CLIENT)["error"]
        return error or (f"the client ended with {status}" if status else "")

    def order(
        self, room: Room, setting: Setting, kill_at: tuple[str, int] | None, *, at_once: int = 1, **more: Any
    ) -> AgentOrder:
        """What a client is told; with one upload at once, each run passes its steps as often as any other."""
        counts_itself = self.destination.received() is not None
        return AgentOrder(
            config=self._config(room, setting, at_once),
            folder=str(room.sources),
            record=str(room.steps(CLIENT)),
            scan=setting.shared,
            plugins=tuple(self.destination.plugins),
            kill_at=kill_at,
            meter="" if counts_itself else str(room.meter),
            clock_rate=CLOCK_RATE,
            hurried_since=room.since,
            **more,
        )

    def _config(self, room: Room, setting: Setting, at_once: int) -> Mapping[str, Any]:
        upload = {
            "backend": "there",
            "state_dir": str(room.state),
            "part_size": PART_SIZE,
            "max_concurrent_uploads": at_once,
            "delete_after_upload": setting.delete,
            "delete_proof": "content",
            "sidecar_grace": 0,
        }
        return {"upload": upload, "watch": {"settle_seconds": 0}, "backends": {"there": dict(self.destination.table())}}

    def _room(self, setting: Setting) -> Room:
        room = Room(self.folder / f"case-{next(self._numbers)}")
        room.path.mkdir(parents=True)
        setting.write(room.sources)
        self.destination.reset(room.path)
        return room

    def _seen(
        self,
        room: Room,
        setting: Setting,
        *,
        may_leave_session: bool = False,
        in_flight: int | None = None,
        kills: int = 1,
    ) -> Seen:
        received = self.destination.received()
        recorded = Recorded.read(room.state)
        uploads = [[entry.size for entry in receipt.artifacts] for receipt in recorded.receipts]
        largest = max(uploads, key=sum, default=[])
        return Seen(
            setting=setting,
            folder=room.sources,
            recorded=recorded,
            stored=self.destination.stored(),
            pending=self.destination.pending(),
            received=room.metered() if received is None else received,
            most_sent_again=kills * self.destination.most_sent_again(largest, in_flight),
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


def parts_in_flight(passed: Sequence[str]) -> int:
    """Parts that a process began to send and did not journal as acknowledged."""
    counts = Counter(passed)
    return counts["backend.send"] - counts["ledger.save_part:done"]


def read_steps(room: Room, victim: str) -> dict[str, Any]:
    """What a process wrote of its steps; nothing when it never came to that."""
    path = room.steps(victim)
    if not path.exists():
        return {"passed": [], "error": "it ended before it wrote its steps", "modules": []}
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
