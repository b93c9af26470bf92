"""Scripted faults for the memory backend: what a destination can do to an upload, on demand.

A rule names a method of the backend, says which of its calls it means, and what happens to them::

    store.faults.add("send", part=3, before=NetworkError("connection reset"))     # nothing arrived
    store.faults.add("commit", after=NetworkError("silence"))                     # it arrived, the answer did not
    store.faults.add("send", nth=2, keep=1000, after=NetworkError("reset"))       # only 1000 bytes of it arrived
    gate = Gate()
    store.faults.add("open", gate=gate)                                           # hangs until gate.release()

One call meets at most one rule: the first that fits and is not used up.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.backends.api import Context

__all__ = ["Call", "Fault", "FaultScript", "Gate"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a backend method.

    Attributes:
        method: Its name; ``write`` is the moment between check and write of a commit that is not atomic.
        nth: How many calls of this method the store has seen, this one included.
        item: Item id of the upload, or the key for calls about an object; else empty.
        artifact: Index of the artifact of a part, else None.
        part: Number of the part, else None.
    """

    method: str
    nth: int
    item: str = ""
    artifact: int | None = None
    part: int | None = None


class Gate:
    """Holds calls back until it is released, or until their context is cancelled. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = 0
        self._released = False

    def wait_reached(self, calls: int = 1, timeout: float = 30) -> bool:
        """Wait until that many calls stand here; False when ``timeout`` seconds pass first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting >= calls, timeout)

    def release(self) -> None:
        """Let all calls pass, from now on."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def hold(self, context: Context) -> None:
        """Stand here until released.

        Raises:
            CancelledError: The context was cancelled meanwhile.
        """
        undo = context.on_cancel(self._wake)
        try:
            with self._changed:
                self._waiting += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._released or context.cancelled())
                self._waiting -= 1
        finally:
            undo()
        context.check_cancelled()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. The conditions that are given must all hold; the effects that are given happen in this order.

    Attributes:
        method: The method it is about.
        nth: Only the nth call of the method (counted by the store, from 1).
        item: Only this item id (or key).
        artifact: Only parts of this artifact.
        part: Only parts of this number.
        when: Only calls that this says yes to.
        times: How many calls it strikes; None for all.
        gate: The call waits here first.
        forget: The session is forgotten, as if it had expired.
        before: Raised with no effect at the destination.
        keep: Only so many bytes of the part arrive. A destination that holds a prefix keeps them; one that holds
            parts drops an incomplete one. Without ``after`` the answer is an ``OffsetError`` that says what is held.
        wrong_digests: The digests in the answer are not those of the content.
        after: Raised after the effect: a lost answer.
    """

    method: str
    nth: int | None = None
    item: str | None = None
    artifact: int | None = None
    part: int | None = None
    when: Callable[[Call], bool] | None = None
    times: int | None = 1
    gate: Gate | None = None
    forget: bool = False
    before: BaseException | None = None
    keep: int | None = None
    wrong_digests: bool = False
    after: BaseException | None = None

    def fits(self, call: Call) -> bool:
        """Whether the rule is about this call."""
        wanted = ((self.nth, call.nth), (self.item, call.item), (self.artifact, call.artifact), (self.part, call.part))
        return (
            self.method == call.method
            and all(want is None or want == got for want, got in wanted)
            and (self.when is None or self.when(call))
        )

    def strike_before(self, context: Context) -> None:
        """Wait at the gate, then raise ``before``."""
        if self.gate is not None:
            self.gate.hold(context)
        _raise_copy(self.before)

    def strike_after(self) -> None:
        """Raise ``after``."""
        _raise_copy(self.after)


class FaultScript:
    """The rules of one store, in the order they were added. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Fault, list[Call]]] = []

    def add(
        self,
        method: str,
        *,
        nth: int | None = None,
        item: str | None = None,
        artifact: int | None = None,
        part: int | None = None,
        when: Callable[[Call], bool] | None = None,
        times: int | None = 1,
        gate: Gate | None = None,
        forget: bool = False,
        before: BaseException | None = None,
        keep: int | None = None,
        wrong_digests: bool = False,
        after: BaseException | None = None,
    ) -> Fault:
        """Add a rule; the arguments are the attributes of :class:`Fault`."""
        fault = Fault(method, nth, item, artifact, part, when, times, gate, forget, before, keep, wrong_digests, after)
        with self._lock:
            self._rules.append((fault, []))
        return fault

    def clear(self) -> None:
        """Drop all rules."""
        with self._lock:
            self._rules.clear()

    def struck(self, fault: Fault) -> int:
        """How many calls the rule has struck."""
        with self._lock:
            return next((len(calls) for rule, calls in self._rules if rule is fault), 0)

    def match(self, call: Call) -> Fault | None:
        """The rule that strikes this call, which uses it up by one; None for an undisturbed call."""
        with self._lock:
            for fault, calls in self._rules:
                if fault.fits(call) and (fault.times is None or len(calls) < fault.times):
                    calls.append(call)
                    return fault
        return None


def _raise_copy(error: BaseException | None) -> None:
    """Raise a copy, so that one rule can strike several threads without sharing a traceback."""
    if error is not None:
        raise copy.copy(error)
