"""A manager's inside without threads: submit files, run claims one by one, move the clock, look at the journal."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier.config.models import BackendConfig
from haulier.files import Files
from haulier.service.destinations import Destinations
from haulier.service.disposal import Disposer
from haulier.service.intake import Intake, Submission
from haulier.service.operations import Operations
from haulier.service.workers import Workers
from haulier.testing.clock import FakeClock
from haulier.transfer.buffers import BufferPool
from haulier.transfer.engine import UploadEngine
from haulier.transfer.ledger import Ledger
from haulier.transfer.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haulier.backends.api import Backend
    from haulier.events import Event
    from haulier.hooks.loading import Decision
    from haulier.journal.api import Journal, TaskRow
    from haulier.models import Proof, Receipt
    from haulier.service.upkeep import Upkeep

__all__ = ["UploadRig"]


@dataclass(frozen=True)
class RigSettings:
    """The numbers of a rig: small parts, so that small files have many."""

    part_size: int = 1024
    memory_budget: int = 64 * 1024
    window: int = 2
    max_retries: int = 3
    delete_source: bool = False
    delete_proof: Proof | None = None
    sidecar_grace: float = 86_400.0


class UploadRig:
    """See the module. Not thread-safe.

    Args:
        journal: SQLite or memory.
        backends: Ready-made backends by name; the first is the default.
        clock: Moved by the test.
        files: Operating system, perhaps with faults.
        settings: Numbers.
        wrap: Wraps ports by name, see :class:`haulier.testing.steps.StepProxy`.
        owner: Id of the owner; two rigs on one journal are two managers.
    """

    def __init__(
        self,
        journal: Journal,
        *backends: Backend,
        clock: FakeClock | None = None,
        files: Files | None = None,
        settings: RigSettings | None = None,
        wrap: Callable[[str, Any], Any] = lambda name, port: port,  # noqa: ARG005
        owner: str = "rig",
        has_unqueued_media: Callable[[str], bool] = lambda path: False,  # noqa: ARG005
    ) -> None:
        self.journal = journal
        self.clock = clock or FakeClock()
        self.files = files or Files()
        self.settings = settings or RigSettings()
        self.told: list[Event] = []
        self.default = backends[0].name
        numbers = itertools.count(1)
        policy = Policy(max_retries=self.settings.max_retries, random=lambda: 0.0)
        self.ledger: Ledger = wrap(
            "ledger",
            Ledger(
                journal,
                policy=policy,
                clock=self.clock,
                owner=owner,
                chain_key=b"key",
                new_nonce=lambda: f"{owner}{next(numbers):06}",
                publish=self.told.extend,
            ),
        )
        self.destinations = _destinations(backends, wrap)
        self.engine = UploadEngine(
            ledger=self.ledger,
            files=wrap("files", self.files),
            pool=BufferPool(self.settings.memory_budget),
            part_size=self.settings.part_size,
            window=self.settings.window,
            new_nonce=lambda: f"{owner}{next(numbers):06}",
            seal=lambda secret: repr(dict(secret)).encode()[::-1],
            unseal=lambda sealed: eval(sealed[::-1], {}),  # noqa: S307  made two lines above
        )
        self.workers = Workers(
            ledger=self.ledger,
            engine=self.engine,
            destinations=self.destinations,
            clock=self.clock,
            silence=5.0,
            commit_timeout=5.0,
            delete_proof=self.settings.delete_proof,
            tell=self.told.extend,
        )
        self.intake = Intake(
            ledger=self.ledger,
            files=self.files,
            clock=self.clock,
            source_id="rig",
            key_template="{id16}/{name}",
            delete_source=self.settings.delete_source,
            decide=_no_plugin,
            new_nonce=lambda: secrets.token_hex(6),
        )
        self.operations = Operations(self.ledger)
        self.disposer = Disposer(
            ledger=self.ledger,
            files=wrap("files", self.files),
            clock=self.clock,
            sidecar_grace=self.settings.sidecar_grace,
            has_unqueued_media=has_unqueued_media,
        )

    def submit(self, path: Path | str, sidecar: Path | str | None = None, backend: str = "") -> str:
        """Queue a file; its task's id."""
        (taken,) = self.intake.take([Submission(path, backend or self.default, sidecar)])
        return taken.row.id

    def work(self, most: int = 1000) -> int:
        """Run claims until nothing is claimable now; how many there were."""
        return next((count for count in range(most) if not self.workers.work_once()), most)

    def work_on(self, seconds: float = 86_400.0, step: float = 1.0) -> None:
        """Run claims and probes while virtual time passes, until no task moves any more or the time is over."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.work()
            self.probe()
            if not any(row.state in {"queued", "retrying", "uploading"} for row in self.rows()):
                return
            self.clock.advance(step)

    def probe(self) -> None:
        """Ask suspended backends whose time has come."""
        self.upkeep.probe()

    @cached_property
    def upkeep(self) -> Upkeep:
        """Probes, the clock, disposal; without owners and watched folders."""
        from haulier.service.upkeep import Upkeep

        return Upkeep(
            ledger=self.ledger,
            destinations=self.destinations,
            workers=self.workers,
            owner=_NoOwner(),  # type: ignore[arg-type]
            disposer=self.disposer,
            scan=lambda: None,
            clock=self.clock,
            silence=5.0,
            threads=_AtOnce(),  # type: ignore[arg-type]
        )

    def row(self, task_id: str) -> TaskRow:
        """A task's row."""
        row = self.journal.read(lambda tx: tx.task(task_id))
        if row is None:
            raise KeyError(task_id)
        return row

    def rows(self) -> Sequence[TaskRow]:
        """All rows."""
        from haulier.journal.api import TaskFilter

        return self.journal.read(lambda tx: tx.tasks(TaskFilter()))

    def receipt(self, task_id: str) -> Receipt | None:
        """A task's receipt."""
        return self.journal.read(lambda tx: tx.receipt(task_id))

    def kinds(self, task_id: str = "") -> list[str]:
        """Kinds of the events told, progress left out."""
        return [
            event.kind
            for event in self.told
            if event.kind != "upload_progress" and (not task_id or getattr(event, "task", "") == task_id)
        ]


class _AtOnce:
    """Threads that have come to their end before they are started."""

    def spawn(self, name: str, target: Callable[[], None]) -> None:
        del name
        target()


class _NoOwner:
    """A rig has no lock files, and nobody to bury."""

    def show_life(self) -> None:
        """It cannot be taken for dead."""

    def bury_the_dead(self, _: object) -> int:
        return 0


def _no_plugin(hook: str, **question: Any) -> Decision:
    from haulier.hooks.loading import Decision

    del hook, question
    return Decision(None, None)


def _destinations(backends: Sequence[Backend], wrap: Callable[[str, Any], Any]) -> Destinations:
    def find_class(backend_type: str) -> type[Any]:
        raise KeyError(backend_type)

    made = Destinations(
        {backend.name: BackendConfig(backend.name, backend.type) for backend in backends},
        find_class=find_class,
        environ={},
        base_dir=Path.cwd(),
        fingerprint_key=b"key",
        warn=lambda _: None,
        wrap=wrap,
    )
    for backend in backends:
        made.add(wrap("backend", backend))
    return made
