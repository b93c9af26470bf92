"""Contexts that differ from the engine's in one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.backends.api import Context

__all__ = ["Finishing", "Hurried"]

_LAST_SILENCE = 10.0


class Hurried:
    """A context with a shorter limit of silence.

    Args:
        context: What else to obey.
        silence: Seconds.
    """

    def __init__(self, context: Context, silence: float) -> None:
        self.silence = min(context.silence, silence)
        self.commit_timeout = context.commit_timeout
        self.cancelled = context.cancelled
        self.check_cancelled = context.check_cancelled
        self.on_cancel = context.on_cancel


class Finishing:
    """For what is to be done because an upload was told to stop: dropping it. Short of patience instead.

    Args:
        context: The one that was told to stop.
    """

    def __init__(self, context: Context) -> None:
        self.silence = min(context.silence, _LAST_SILENCE)
        self.commit_timeout = self.silence

    def cancelled(self) -> bool:
        """Never."""
        return False

    def check_cancelled(self) -> None:
        """Go on."""
        return

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Never call it."""
        del callback
        return lambda: None
