"""Every call through a port is a named step: count it, fail it, or end the process there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StepProxy"]


class StepProxy:
    """Stands before a port and reports each call of a public method, before and after it.

    Args:
        port: The real one.
        name: Its name; a step is called ``name.method`` and ``name.method:done``.
        on_step: Told each step's name; what it raises is raised at the caller, and it may never return.
    """

    def __init__(self, port: Any, name: str, on_step: Callable[[str], None]) -> None:
        self._port = port
        self._name = name
        self._on_step = on_step

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._port, attribute)
        if attribute.startswith("_") or not callable(value):
            return value
        step = f"{self._name}.{attribute}"

        def call(*args: Any, **kwargs: Any) -> Any:
            self._on_step(step)
            result = value(*args, **kwargs)
            self._on_step(f"{step}:done")
            return result

        return call
