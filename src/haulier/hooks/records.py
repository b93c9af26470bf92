"""What is known of one plugin, and of one hook implementation of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ARGUMENT", "BUILTIN", "ENTRY_POINT", "FILE", "Implementation", "PluginRecord", "described"]

BUILTIN = "builtin"
ARGUMENT = "argument"
ENTRY_POINT = "entry point"
FILE = "file"

LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """What became of one plugin.

    Attributes:
        name: Its entry point, module, class or file name.
        distribution: The installed distribution it came from, else empty.
        version: That distribution's version, else empty.
        source: ``builtin``, ``argument``, ``entry point`` or ``file``.
        hooks: Names of the hooks it implements; empty when it was refused.
        error: Why it was refused, or what went wrong later; None when all is well.
        backends: Backend types it brought.
    """

    name: str
    distribution: str
    version: str
    source: str
    hooks: tuple[str, ...] = ()
    error: str | None = None
    backends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Implementation:
    """One implementation of a hook, called by keyword with everything the specification offers.

    Attributes:
        plugin: Name of the plugin.
        hook: Name of the hook.
        function: The plugin's own function.
        argnames: Those of the offered arguments that it takes.
        builtin: Whether it comes with the core.
    """

    plugin: str
    hook: str
    function: Callable[..., Any]
    argnames: tuple[str, ...]
    builtin: bool = False

    def __call__(self, **offered: Any) -> Any:
        """Call it; raises whatever the plugin raises."""
        return self.function(*(offered[name] for name in self.argnames))


def described(error: BaseException) -> str:
    """An exception of foreign code on one line of bounded length, whatever its ``__str__`` does."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  it is foreign code too
        text = ""
    kind = type(error).__name__
    return f"{kind}: {text}"[:LONGEST_ERROR] if text else kind
