"""What a manager does besides uploading: probes, scans, disposal, the tasks of dead owners, requests from outside."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from haulier.errors import CancelledError, HaulierError, JournalError, PluginError, TransferError
from haulier.models import SuspensionReason
from haulier.threads import Ended
from haulier.transfer.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haulier.clock import Clock
    from haulier.service.destinations import Destinations
    from haulier.service.disposal import Disposer
    from haulier.service.state import Owner
    from haulier.service.workers import Workers
    from haulier.threads import Threads
    from haulier.transfer.ledger import Ledger

__all__ = ["Upkeep"]

log = logging.getLogger("haulier.manager")


class Upkeep:
    """Each of :meth:`keep`, :meth:`look` and :meth:`dispose` is repeated by a thread of its own, one at a time.

    Args:
        ledger: Journal and rules.
        destinations: The configured backends.
        workers: Those of this manager.
        owner: This manager.
        disposer: Lets go of sources.
        scan: Takes in what watched folders hold; does nothing when none are watched.
        clock: Monotonic time for the intervals.
        silence: Seconds a probe may wait for an answer.
        threads: For the probes.
        recover: Goes on after a rebuild of the journal, at the start.
    """

    DISPOSAL_SECONDS = 5.0
    LONGEST_DISPOSAL_PAUSE = 300.0
    OWNERS_SECONDS = 10.0
    ABORTS_SECONDS = 3600.0
    CLOCKS_SECONDS = 30.0  # another process, whose clock is ahead, may have written a wait and died

    def __init__(
        self,
        *,
        ledger: Ledger,
        destinations: Destinations,
        workers: Workers,
        owner: Owner,
        disposer: Disposer,
        scan: Callable[[], None],
        clock: Clock,
        silence: float,
        threads: Threads,
        recover: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger = ledger
        self.destinations = destinations
        self.workers = workers
        self.owner = owner
        self.disposer = disposer
        self.scan = scan
        self.clock = clock
        self.silence = silence
        self.threads = threads
        self._probing: dict[str, RunContext] = {}
        self._probing_lock = threading.Lock()
        self._stopped = False
        self.recover = recover
        self.journal_error: JournalError | None = None
        self._due: dict[str, float] = {}
        self._disposal_pause = self.DISPOSAL_SECONDS
        self._ahead = float("-inf")  # by how much the wall clock was ahead of the monotonic one

    def step(self) -> None:
        """Do whatever is due, one after the other; a manager has a thread for each of the three."""
        self.keep()
        self.look()
        self.dispose()

    def keep(self) -> None:
        """What takes no time: the journal's health, the clock, requests, owners, and who is to be probed."""
        with self._noting_journal_errors():
            if self.journal_error is not None:
                self.ledger.journal.write(lambda tx: tx.put_meta("alive", str(self.clock.now())))
                self.workers.release_stranded()
                self.journal_error = None
            self._heed_the_clock()
            self._every("clocks", self.CLOCKS_SECONDS, self.ledger.end_waits_from_the_future)
            self.workers.heed_requests()
            self._every("owners", self.OWNERS_SECONDS, self.bury_the_dead)
            self._every("aborts", self.ABORTS_SECONDS, self.workers.aborter.owed.give_up_old)
            self.probe()

    def look(self) -> None:
        """Take in what watched folders hold. Takes as long as a slow volume or plugin does."""
        with self._noting_journal_errors():
            if self.journal_error is None:
                self.scan()

    def dispose(self) -> None:
        """Let go of sources. Takes as long as reading them does."""
        with self._noting_journal_errors():
            if self.journal_error is not None:
                return
            completed = self.workers.let_go_of()
            if completed:
                self.disposer.step(completed)
            if self.workers.sources_to_go.is_set():
                self.workers.sources_to_go.clear()
                self._due.pop("disposal", None)
            self._every("disposal", self._disposal_pause, self._dispose_of_all)

    def _dispose_of_all(self) -> None:
        """Very many sources may wait for a destination that is away: most of the time is left to other things."""
        began = self.clock.monotonic()
        self.disposer.step()
        took = self.clock.monotonic() - began
        self._disposal_pause = min(max(self.DISPOSAL_SECONDS, 20 * took), self.LONGEST_DISPOSAL_PAUSE)
        self._due["disposal"] = self.clock.monotonic() + self._disposal_pause

    def stop(self) -> None:
        """Tell the probes that run to stop."""
        self._stopped = True
        with self._probing_lock:
            contexts = list(self._probing.values())
        for context in contexts:
            context.stop("stop")

    @contextmanager
    def _noting_journal_errors(self) -> Iterator[None]:
        try:
            yield
        except JournalError as error:
            if not self._stopped:
                self.note_journal_error(error)

    def _heed_the_clock(self) -> None:
        """At the start and when the wall clock was set back, waits may last too long."""
        ahead = self.clock.now() - self.clock.monotonic()
        if self._ahead == float("-inf") or ahead < self._ahead - 1.0:
            self.ledger.end_waits_from_the_future()
        self._ahead = ahead

    def note_journal_error(self, error: JournalError) -> None:
        """Remember that the journal cannot be written; nothing new is claimed until it can."""
        if self.journal_error is None:
            log.error("%s", error)
        self.journal_error = error

    def bury_the_dead(self) -> int:
        """Show that this one lives, and give back the tasks of owners that died; how many."""
        self.owner.show_life()
        return self.owner.bury_the_dead(self.ledger.release_owner)

    def probe(self) -> None:
        """Ask suspended backends whose time has come, each on a thread of its own: one that hangs holds up no other."""
        for name in self.ledger.probes_due():
            if name in self.destinations.names:
                self._probe_apart(name)

    def _probe_apart(self, name: str) -> None:
        context = RunContext(silence=min(self.silence, 10.0))
        with self._probing_lock:
            if name in self._probing:
                return
            self._probing[name] = context

        def run() -> None:
            try:
                with self._noting_journal_errors():
                    self.probe_backend(name, context)
            finally:
                with self._probing_lock:
                    del self._probing[name]

        try:
            self.threads.spawn(f"haulier-probe-{name}", run)
        except RuntimeError as error:  # no thread can be had now
            with self._probing_lock:
                del self._probing[name]
            log.warning("backend %s cannot be probed now: %s", name, error)

    def greet(self) -> None:
        """At start: go on after a rebuild; other credentials than at the time of a suspension end it."""
        self.recover()
        self.workers.aborter.owed.sweep()
        for name in self.destinations.names:
            reason, fingerprint = self.ledger.suspension(name)
            if reason is SuspensionReason.CREDENTIALS and fingerprint != self._fingerprint(name):
                self.ledger.probe_succeeded(name)

    def _fingerprint(self, name: str) -> str:
        try:
            return self.destinations.fingerprint(name)
        except HaulierError:
            return ""

    def probe_backend(self, name: str, context: RunContext) -> None:
        """Ask one backend and journal its answer."""
        try:
            self.destinations.get(name).probe(context)
        except CancelledError as error:
            if not context.cancelled():  # else the manager stops
                self.ledger.probe_failed(name, error, self._fingerprint(name))
        except TransferError as error:
            self.ledger.probe_failed(name, error, self._fingerprint(name))
        except HaulierError as error:
            log.warning("backend %s cannot be used: %s", name, error)
            self.ledger.probe_failed(name, error)
        except Ended:
            raise
        except BaseException as error:  # noqa: BLE001  a plugin may raise anything; it must not end the upkeep
            defect = PluginError(f"the probe raised {error!r}", where=name)
            self.ledger.probe_failed(name, defect, self._fingerprint(name))
        else:
            self.ledger.probe_succeeded(name)

    def _every(self, name: str, seconds: float, step: Callable[[], object]) -> None:
        now = self.clock.monotonic()
        if now >= self._due.get(name, float("-inf")):
            self._due[name] = now + seconds
            step()
