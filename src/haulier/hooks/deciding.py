"""Asks decision hooks so that a plugin that fails or hangs leaves the item undecided, and nothing worse."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haulier.hooks.records import described

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haulier.hooks.records import Implementation

__all__ = ["DECISION_SECONDS", "Decider", "Decision"]

DECISION_SECONDS = 5.0
IDLE_SECONDS = 10.0
LONGEST_KEY = 1000  # characters; object stores take 1024 bytes
ANSWERS: Mapping[str, type] = {"object_key": str, "find_sidecar": str, "accept_file": bool, "validate_metadata": str}


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a decision hook: ``value`` or None; ``undecided`` says why nobody knows."""

    value: Any = None
    undecided: str | None = None


@dataclass(slots=True, eq=False)
class _Call:
    implementation: Implementation
    question: Mapping[str, Any]
    done: threading.Event = field(default_factory=threading.Event)
    late: bool = False
    value: Any = None
    error: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.implementation.plugin, self.implementation.hook

    def run(self) -> None:
        try:
            self.value = self.implementation(**self.question)
        except BaseException as error:  # noqa: BLE001  a plugin may raise anything; on this thread nobody else hears it
            self.error = described(error)

    def decision(self) -> Decision:
        plugin, hook = self.key
        if self.error is not None:
            return Decision(undecided=f"the plugin {plugin} failed in {hook}: {self.error}")
        if self.value is not None and (wrong := _misanswer(hook, self.value)):
            return Decision(undecided=f"the plugin {plugin} answered {hook} with {wrong}")
        return Decision(self.value)


def _misanswer(hook: str, value: Any) -> str:
    """What is wrong with an answer, empty when nothing is."""
    wanted = ANSWERS[hook]
    if not isinstance(value, wanted):
        return f"{type(value).__name__}, not {wanted.__name__}"
    if hook == "object_key" and isinstance(value, str) and len(value) > LONGEST_KEY:
        return f"{len(value)} characters; a key has at most {LONGEST_KEY}"
    return ""


class Decider:
    """Asks implementations one after the other, each under a time limit on a daemon thread. Thread-safe.

    Args:
        seconds: Time limit of each implementation.
        wait: Waits for an event up to so many seconds; tests pass their own.
    """

    def __init__(
        self,
        seconds: float = DECISION_SECONDS,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._seconds = seconds
        self._wait = wait
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[_Call]] = []
        self._hanging: Counter[tuple[str, str]] = Counter()

    def ask(self, implementations: Sequence[Implementation], question: Mapping[str, Any]) -> Decision:
        """The first answer that is not None; a failure ends the asking, since nobody knows what it would have been.

        No thread is used when all implementations come with the core.
        """
        timed = not all(implementation.builtin for implementation in implementations)
        for implementation in implementations:
            call = _Call(implementation, question)
            decision = self._within_time(call) if timed else self._at_once(call)
            if decision.undecided is not None or decision.value is not None:
                return decision
        return Decision()

    @staticmethod
    def _at_once(call: _Call) -> Decision:
        try:
            call.value = call.implementation(**call.question)
        except Exception as error:  # noqa: BLE001  undecided, as with any other plugin
            call.error = described(error)
        return call.decision()

    def _within_time(self, call: _Call) -> Decision:
        plugin, hook = call.key
        if self._hanging[call.key]:
            return Decision(undecided=f"the plugin {plugin} still hangs in an earlier call of {hook}")
        try:
            self._start(call)
        except RuntimeError as error:
            return Decision(undecided=f"the plugin {plugin} was not asked {hook}: {described(error)}")
        try:
            self._wait(call.done, self._seconds)
        finally:
            self._note_if_late(call)
        if call.late:
            return Decision(undecided=f"the plugin {plugin} did not answer {hook} within {self._seconds:g} s")
        return call.decision()

    def _note_if_late(self, call: _Call) -> None:
        with self._lock:
            call.late = not call.done.is_set()
            if call.late:
                self._hanging[call.key] += 1

    # -- threads: as many as calls run at once, kept a while because a scan asks about thousands of files --------

    def _start(self, call: _Call) -> None:
        with self._lock:
            calls = self._idle.pop() if self._idle else None
        if calls is None:
            calls = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(calls,), name="haulier-decision", daemon=True).start()
        calls.put(call)

    def _work(self, calls: queue.SimpleQueue[_Call]) -> None:
        while True:
            try:
                call = calls.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if calls in self._idle:
                        self._idle.remove(calls)
                        return
                continue  # taken out of the idle ones just now: its call is on the way
            call.run()
            with self._lock:
                if call.late:
                    self._hanging[call.key] -= 1
                self._idle.append(calls)
                call.done.set()
            del call
