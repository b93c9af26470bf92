"""Kills of the server: it is a child as well, is ended at one of its own steps, and comes back on the same port."""

from __future__ import annotations

import shutil
import signal
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.testing.crash.cases import AT_RANDOM, Case
from haulier.testing.crash.checks import Finding, Kind, check_outcome
from haulier.testing.crash.child import AGENT
from haulier.testing.crash.destination import Destination
from haulier.testing.crash.matrix import (
    AT_ONCE,
    CLIENT,
    KILLS_AT_RANDOM,
    LONGEST,
    PATIENCE,
    Matrix,
    Result,
    Room,
    read_steps,
)
from haulier.testing.crash.steps import SIGKILL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from haulier.testing.crash.cases import Setting

__all__ = ["SERVER", "ServedDestination", "ServedMatrix"]

SERVER = "server"
IDLE = 0.02
STARTS = 20
ONE_HALF = 0.5


class ServedDestination(Destination):
    """A destination whose server the matrix starts, kills and starts again.

    Attributes:
        function: What a child calls to be the server, as the zygote takes it. It is given the members ``port`` (0 for
            any), ``folder`` (its data), ``ready`` (a file to write its address to once it listens), ``record`` and
            ``kill_at`` (for :class:`~haulier.testing.crash.steps.Steps`), and ends in good order at SIGTERM.
    """

    function: str

    def __init__(self) -> None:
        self.url = ""
        self.data: Path | None = None

    def reset(self, folder: Path) -> None:
        """A new data folder; the server of it is started by the matrix."""
        self.data = folder / "data"

    @property
    def functions(self) -> Sequence[str]:
        """The server's as well."""
        return [*self.plugins, self.function]

    @abstractmethod
    def table(self) -> Mapping[str, Any]:
        """The configuration table; the server answers at ``url``."""

    def received(self) -> None:
        """The child counts: what stood before the server would hide that it is away."""
        return


@dataclass
class _Running:
    """A server and what becomes of it."""

    pid: int = 0
    port: int = 0
    killed: int = 0


class ServedMatrix(Matrix):
    """All kills of a server, and kills of both sides at random times.

    Args and the rest are those of :class:`~haulier.testing.crash.matrix.Matrix`.
    """

    destination: ServedDestination
    victim = SERVER
    victim_at_random = "both"

    def _record(self, setting: Setting) -> list[str]:
        room = self._room(setting)
        server = _Running()
        self._start_server(room, server, None)
        problem = self._run_client(room, setting, server)
        self._stop(server, signal.SIGTERM)
        findings = [] if problem else check_outcome(self._seen(room, setting, kills=0))
        if problem or findings:
            text = "; ".join([problem, *map(str, findings)])
            raise AssertionError(f"{self.destination.name}/{setting.name} without a kill: {text}")
        passed: list[str] = read_steps(room, SERVER)["passed"]
        self.zygote.preload([*read_steps(room, SERVER)["modules"], *read_steps(room, CLIENT)["modules"]])
        shutil.rmtree(room.path)
        return passed

    # -- one case ----------------------------------------------------------------------------------------------

    def _run(self, case: Case) -> Result:
        """Kill the server at a step, start it again, let the client finish, look."""
        if case.step == AT_RANDOM:
            return self._run_at_random(case)
        room = self._room(case.setting)
        server = _Running()
        self._start_server(room, server, (case.step, case.passing))
        problem = self._run_client(room, case.setting, server)
        self._stop(server, SIGKILL)
        return self._judged(case, room, _unfinished(problem), reached=bool(server.killed))

    def _run_at_random(self, case: Case) -> Result:
        """Kill client and server, whichever chance says."""
        room, chance, server = self._room(case.setting), case.chance, _Running()
        self._start_server(room, server, None)
        for _ in range(KILLS_AT_RANDOM):
            pid = self._start_client(room, case.setting, AT_ONCE)
            self.zygote.wait_any([pid], chance.uniform(0.0, LONGEST))
            if chance.random() < ONE_HALF:
                self._stop(server, SIGKILL)
                self._start_server(room, server, None)
                self.zygote.wait_any([pid], chance.uniform(0.0, LONGEST))
            self.zygote.kill(pid)
            self.zygote.wait(pid, PATIENCE)
        problem = self._run_client(room, case.setting, server)
        self._stop(server, SIGKILL)
        return self._judged(case, room, _unfinished(problem), kills=2 * KILLS_AT_RANDOM * AT_ONCE)

    # -- the two processes -------------------------------------------------------------------------------------

    def _start_client(self, room: Room, setting: Setting, at_once: int = 1) -> int:
        order = self.order(room, setting, None, at_once=at_once, idle=IDLE, patience=IDLE)
        return self.zygote.start(AGENT, order.to_dict())

    def _run_client(self, room: Room, setting: Setting, server: _Running) -> str:
        """Run a client to its end and keep the server up meanwhile; how it failed, or nothing."""
        pid, deadline = self._start_client(room, setting), time.monotonic() + PATIENCE
        while (ended := self.zygote.wait_any([pid, server.pid], deadline - time.monotonic())) != pid:
            if ended is None:
                self.zygote.kill(pid)
                self.zygote.wait(pid, PATIENCE)
                return f"the client still ran after {PATIENCE:g} s"
            self._note_end(server)
            self._start_server(room, server, None)
        status = self.zygote.wait(pid, PATIENCE)
        error: str = read_steps(room, CLIENT)["error"]
        return error or (f"the client ended with {status}" if status else "")

    def _start_server(self, room: Room, server: _Running, kill_at: tuple[str, int] | None) -> None:
        """Start the server and wait until it listens; again when it is killed before."""
        ready = room.path / "ready"
        for _ in range(STARTS):
            ready.unlink(missing_ok=True)
            order = {
                "port": server.port,
                "folder": str(self.destination.data),
                "ready": str(ready),
                "record": str(room.steps(SERVER)),
                "kill_at": kill_at,
            }
            server.pid = self.zygote.start(self.destination.function, order)
            deadline = time.monotonic() + PATIENCE
            while not ready.exists() and time.monotonic() < deadline:
                if self.zygote.wait_any([server.pid], 0.002) is not None:
                    break
            if ready.exists():
                self.destination.url = ready.read_text("utf-8")
                server.port = int(self.destination.url.rpartition(":")[2])
                return
            self._note_end(server)
            kill_at = None
        raise RuntimeError(f"the server does not start; see {self.zygote.log}")

    def _note_end(self, server: _Running) -> None:
        server.killed += self.zygote.wait(server.pid, PATIENCE) == -SIGKILL

    def _stop(self, server: _Running, number: int) -> None:
        self.zygote.kill(server.pid, number)
        self.zygote.wait(server.pid, PATIENCE)


def _unfinished(problem: str) -> list[Finding]:
    return [Finding(Kind.UNFINISHED, problem)] if problem else []
