"""What is wrong with a configuration: refused when strict, a warning and the default when lenient."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haulier.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Problems", "nearest", "shown", "unknown_key"]

_SHOWN_LENGTH = 60


@dataclass(slots=True)
class Problems:
    """Collects warnings; not thread-safe.

    Attributes:
        lenient: Whether a wrong setting is a warning instead of an error.
        warnings: What was collected, one sentence each.
    """

    lenient: bool = False
    warnings: list[str] = field(default_factory=list)

    def warn(self, where: str, what: str) -> None:
        """Remember something that is no error."""
        self.warnings.append(f"{where}: {what}")

    def refuse(self, error: ConfigError, instead: str) -> None:
        """Raise the error, or when lenient remember it together with what happens instead."""
        if not self.lenient:
            raise error
        self.warn(error.where, f"{error.what}; {instead}")


def unknown_key(where: str, key: str, known: Iterable[str], noun: str = "key") -> ConfigError:
    """The error for a key that nobody knows: with the nearest known one, and all that are allowed."""
    allowed = sorted(known)
    guess = nearest(key, allowed)
    hint = f"; did you mean {guess!r}?" if guess else ""
    listing = f"Allowed: {', '.join(allowed)}" if allowed else "Nothing is allowed here"
    return ConfigError(f"unknown {noun} {key!r}{hint}", where=where, advice=listing)


def nearest(key: str, known: Iterable[str]) -> str:
    """The known key that is most like this one, or empty when none is."""
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(key.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else ""


def shown(value: Any) -> str:
    """A wrong value as a message shows it: short, and only its kind when it has no short form."""
    if isinstance(value, (str, int, float)):
        text = repr(value).lower() if isinstance(value, bool) else repr(value)
        return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"
