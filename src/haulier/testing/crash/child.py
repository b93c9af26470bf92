"""The process that is killed: a manager that takes in what lies in a folder, uploads it, and lets go of the sources."""

from __future__ import annotations

import importlib
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier import UploadManager
from haulier.errors import HaulierError, WaitTimeoutError
from haulier.files import Files
from haulier.files.names import is_private_name
from haulier.journal.api import TaskFilter
from haulier.models import Disposal, TaskState
from haulier.service.disposal import SIDECARS
from haulier.service.parts import Pace, Ports
from haulier.service.state import open_journal
from haulier.testing.crash.meter import Meter, MeteredBackend
from haulier.testing.crash.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.service.parts import Service

__all__ = ["AGENT", "AgentOrder", "run_agent"]

AGENT = f"{__name__}:run_agent"
MEDIA = "*.mp4"
IDLE_READS = ("journal.read",)
_DONE = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})


@dataclass(frozen=True)
class AgentOrder:
    """What a child is told; goes through JSON.

    Attributes:
        config: As :meth:`haulier.UploadManager.open` takes it.
        folder: Whose files are to be uploaded.
        record: Where the steps are written.
        scan: Whether the folder is scanned; else each media file is submitted by itself.
        plugins: Plugin objects as ``module:name``.
        kill_at: Step and number of its passing; None for never.
        meter: File that counts the bytes taken out of bodies; empty for none.
        clock_rate: How much faster than the machine's the clocks run.
        hurried_since: Since when, on the machine's monotonic clock: the same for all processes of a case.
        idle: Longest sleep of a worker, real seconds.
        patience: Real seconds after which what stands still is probed.
    """

    config: Mapping[str, Any]
    folder: str
    record: str
    scan: bool
    plugins: tuple[str, ...] = ()
    kill_at: tuple[str, int] | None = None
    meter: str = ""
    clock_rate: float = 1.0
    hurried_since: float = 0.0
    idle: float = 0.1
    patience: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return asdict(self)


@dataclass(frozen=True)
class _HurriedClock:
    """The machine's clocks, running faster since a moment: nobody wants to wait out a real retry."""

    rate: float
    since: float

    def now(self) -> float:
        return time.time() + (time.monotonic() - self.since) * (self.rate - 1.0)

    def monotonic(self) -> float:
        return time.monotonic() * self.rate


def run_agent(told: Mapping[str, Any]) -> None:
    """Work until everything is done, or until the step at which this process is to be killed.

    Args:
        told: Members of :class:`AgentOrder`.
    """
    order = AgentOrder(**told)
    kill_at = (order.kill_at[0], order.kill_at[1]) if order.kill_at else None
    steps = Steps(Path(order.record), kill_at, IDLE_READS)
    try:
        error = _work(order, steps)
    except Exception:
        steps.write(traceback.format_exc())
        raise
    steps.write(error)


def _ports(order: AgentOrder, steps: Steps) -> Ports:
    meter = Meter(Path(order.meter)) if order.meter else None

    def wrap(name: str, port: Any) -> Any:
        if name == "backend" and meter is not None:
            port = MeteredBackend(port, meter)
        return steps.wrap(name, port)

    return Ports(
        clock=_HurriedClock(order.clock_rate, order.hurried_since),
        files=steps.wrap("files", Files()),
        journal=lambda folder, files: steps.wrap("journal", open_journal(folder, files)),
        # The driver below does the upkeep, where it happens as often in each run; the thread sleeps.
        pace=Pace(upkeep=3600.0, idle=order.idle),
        wrap=wrap,
    )


def _work(order: AgentOrder, steps: Steps) -> str:
    plugins = [getattr(importlib.import_module(module), name) for module, name in _split(order.plugins)]
    manager = UploadManager.open(order.config, plugins=plugins, ports=_ports(order, steps))
    manager.start()
    problems = _take_in(order, manager)
    _upload(manager, order.patience * order.clock_rate)
    _let_go(manager.service)
    failed = [f"{task.path}: {task.error}" for task in manager.tasks() if task.state is not TaskState.COMPLETED]
    manager.close()
    return "; ".join([*problems, *failed])


def _split(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(module, name) for module, _, name in (each.rpartition(":") for each in names)]


def _take_in(order: AgentOrder, manager: UploadManager) -> list[str]:
    if order.scan:
        _, result = manager.scan(order.folder, settled=True)
        return [f"{name} {why}" for name, why in {**result.problems, **result.waiting}.items()]
    for path in sorted(Path(order.folder).glob(MEDIA)):
        if not is_private_name(path.name):  # an unfinished disposal is no file of the host's
            manager.submit(path)
    return []


def _upload(manager: UploadManager, patience: float) -> None:
    """Wait for all tasks; while they stand still, probe what is suspended."""
    for task in manager.tasks():
        while manager.task(task.id).state not in _DONE:
            try:
                manager.wait(task, timeout=patience)
            except WaitTimeoutError:
                manager.service.upkeep.step()
            except HaulierError:
                break


def _let_go(service: Service) -> None:
    service.upkeep.step()
    for _ in range(5):
        if not service.journal.read(lambda tx: tx.tasks(TaskFilter(disposal=Disposal.PENDING)) or _sidecars(tx)):
            return
        with suppress(OSError):
            service.disposer.step()


def _sidecars(tx: Any) -> bool:
    return (tx.meta(SIDECARS) or "[]") != "[]"
