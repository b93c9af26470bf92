"""A simulated destination: the memory backend, with a network before it and moods of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from haulier.backends.memory import MemoryBackend, MemoryOptions
from haulier.errors import (
    AuthenticationError,
    HaulierError,
    NetworkError,
    QuotaError,
    ServerError,
    ThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Abilities, Body, Context, Held, LastPart, Part, Settled, Stored, Token, Upload
    from haulier.testing.simulation.scheduler import Scheduler

__all__ = ["Moods", "SimDestination"]

T = TypeVar("T")

UNREACHABLE = "unreachable"
FAILING = "failing"
EXPIRED = "expired"
FULL = "full"
THROTTLING = "throttling"
SILENT = "silent"


@dataclass
class Moods:
    """What is wrong with a destination now, and until when (virtual seconds).

    Attributes:
        until: End of each trouble by its name.
        poisoned: Names of media files whose upload always fails.
        doubled: Calls that the network delivers twice, by method.
        delays: Share of calls that take long.
    """

    until: dict[str, float] = field(default_factory=dict)
    poisoned: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    delays: float = 0.05


class SimDestination(MemoryBackend):
    """See the module. One object serves one simulated process; the store and the moods are shared.

    Args:
        name: Its configured name.
        options: Abilities and store.
        moods: What is wrong with it.
        scheduler: Time and steps.
        on_call: Told of each call that reaches it: method, upload, part.
    """

    def __init__(
        self,
        name: str,
        options: MemoryOptions,
        moods: Moods,
        scheduler: Scheduler,
        on_call: Callable[[str, Upload, Part | None], None],
    ) -> None:
        super().__init__(name, options)
        self.moods = moods
        self.scheduler = scheduler
        self.on_call = on_call

    def is_(self, trouble: str) -> bool:
        """Whether it has this trouble now."""
        return self.scheduler.time < self.moods.until.get(trouble, 0.0)

    def probe(self, context: Context) -> None:
        """See the base."""
        self._through("probe", context, lambda: super(SimDestination, self).probe(context))

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """See the base."""
        return self._through("open", context, lambda: super(SimDestination, self).open(upload, context), upload)

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """See the base."""
        return self._through("held", context, lambda: super(SimDestination, self).held(upload, token, context), upload)

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """See the base."""

        def call() -> Held:
            answer = super(SimDestination, self).send(upload, token, part, body, context)
            if "send" in self.moods.doubled:
                self._again(lambda: super(SimDestination, self).send(upload, token, part, body, context), body)
            return answer

        return self._through("send", context, call, upload, part)

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """See the base."""

        def call() -> tuple[Stored, ...]:
            stored = super(SimDestination, self).commit(upload, token, held, digests, context, last)
            if "commit" in self.moods.doubled:
                self._again(lambda: super(SimDestination, self).commit(upload, token, held, digests, context, last))
            return stored

        return self._through("commit", context, call, upload, last.part if last else None)

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """See the base."""
        return self._through(
            "settle", context, lambda: super(SimDestination, self).settle(upload, token, context), upload
        )

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """See the base."""
        self._through("abort", context, lambda: super(SimDestination, self).abort(upload, token, context), upload)

    # -- the network -------------------------------------------------------------------------------------------

    def _through(
        self,
        method: str,
        context: Context,
        call: Callable[[], T],
        upload: Upload | None = None,
        part: Part | None = None,
    ) -> T:
        """Out, there, and back."""
        self.scheduler.step(f"{self.name}.{method}")
        self._take_time(context)
        self._be_in_a_mood(method, context, upload)
        if upload is not None:
            self.on_call(method, upload, part)
        answer = call()
        self._take_time(context)
        if self.is_(SILENT):
            self._be_silent(context)
        self.scheduler.step(f"{self.name}.{method}:done")
        return answer

    def _again(self, call: Callable[[], Any], body: Body | None = None) -> None:
        """The network delivers it a second time; nobody sees that answer."""
        if body is not None:
            body.rewind()
        try:
            call()
        except HaulierError:
            return

    def _take_time(self, context: Context) -> None:
        if self.scheduler.chance.random() < self.moods.delays:
            self._wait(context, self.scheduler.chance.choice([0.1, 1.0, 7.0]))

    def _be_silent(self, context: Context) -> None:
        self._wait(context, context.silence)
        raise NetworkError("no answer came", where=self.name)

    def _wait(self, context: Context, seconds: float) -> None:
        self.scheduler.wait(context.cancelled, seconds)
        context.check_cancelled()

    def _be_in_a_mood(self, method: str, context: Context, upload: Upload | None) -> None:
        if self.is_(UNREACHABLE):
            raise NetworkError("the connection was refused", where=self.name, reached=False)
        if self.is_(EXPIRED):
            raise AuthenticationError("the credentials have expired", where=self.name)
        if self.is_(SILENT):
            self._be_silent(context)
        if method == "probe":
            return
        if self.is_(THROTTLING):
            raise ThrottledError("too many requests", where=self.name, retry_after=5.0)
        if self.is_(FAILING):
            raise ServerError("the server failed (500)", where=self.name)
        if self.is_(FULL) and method in {"open", "send", "commit"}:
            raise QuotaError("the destination is full", where=self.name)
        if upload is not None and upload.artifacts[0].name in self.moods.poisoned and method in {"open", "send"}:
            raise ServerError("this one makes the server fail (500)", where=self.name)
