"""Telling destinations to drop the upload sessions that nobody goes on with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from haulier.errors import JournalError, PluginError
from haulier.threads import Ended
from haulier.transfer.aborts import OwedAborts
from haulier.transfer.context import RunContext
from haulier.transfer.run import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from haulier.journal.api import AbortRow
    from haulier.service.destinations import Destinations
    from haulier.transfer.engine import UploadEngine
    from haulier.transfer.ledger import Ledger

__all__ = ["Aborter"]


class Aborter:
    """Makes the calls that are owed, of each backend one at a time. Thread-safe.

    Args:
        ledger: Journal and rules.
        engine: Makes the call.
        destinations: The configured backends.
        silence: See ``upload.upload_timeout``.

    Attributes:
        owed: What is still to be done.
    """

    def __init__(self, *, ledger: Ledger, engine: UploadEngine, destinations: Destinations, silence: float) -> None:
        self.owed = OwedAborts(ledger)
        self._engine = engine
        self._destinations = destinations
        self._silence = silence
        self._running: dict[str, RunContext] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def step(self, backends: Iterable[str]) -> bool:
        """Have one of these backends drop a session; False when nothing can be done now.

        A failure costs no task and no other backend anything.

        Raises:
            JournalError: The journal cannot be written; the abort stays owed.
        """
        return any(self._step(name) for name in backends)

    def _step(self, name: str) -> bool:
        context = RunContext(silence=self._silence)
        with self._lock:
            if self._stopped or name in self._running:
                return False
            self._running[name] = context
        try:
            owed = self.owed.take(name)
            if owed is not None:
                self._abort(owed, context)
        finally:
            with self._lock:
                del self._running[name]
        return owed is not None

    def _abort(self, owed: AbortRow, context: RunContext) -> None:
        try:
            self._engine.abort(owed, self._destinations.get(owed.backend), context)
        except (Ended, JournalError):
            raise
        except Exception as error:  # noqa: BLE001  whatever a plugin raises, it is tried again or given up
            if context.cancelled():
                self.owed.give_back(owed)
            else:
                self.owed.failed(owed, translated(error, owed.backend))
        except BaseException as error:  # noqa: BLE001  e.g. SystemExit: a thread is not the plugin's to end
            self.owed.failed(owed, PluginError(f"the abort raised {error!r}", where=owed.backend))
        else:
            self.owed.done(owed)

    def stop(self) -> None:
        """Begin nothing more and tell what runs to stop."""
        with self._lock:
            self._stopped = True
            contexts = list(self._running.values())
        for context in contexts:
            context.stop("stop")
