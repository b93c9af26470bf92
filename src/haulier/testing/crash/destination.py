"""How a destination describes itself to the matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from haulier.service.parts import WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PART_SIZE", "Destination"]

PART_SIZE = 1024
"""Bytes of a part in all cases: the least that a configuration allows."""


class Destination(ABC):
    """A storage that outlives the processes that use it. A context manager; the matrix enters it once.

    Attributes:
        name: In the ids of cases; holds no slash.
        plugins: Plugin objects (``module:name``) that the child registers besides those installed.
        parts_at_once: Most parts of one upload that are in flight together; 0 where it takes whole files.
        says_what_it_holds: Whether an interrupted upload goes on where it stood. Else its files are sent again.
        finds_session_again: Whether opening with the same item id and nonce gives the same upload session. Then not
            even a session whose token was never journalled is left behind.
    """

    name: str
    plugins: ClassVar[Sequence[str]] = ()
    parts_at_once: int = WINDOW
    says_what_it_holds: bool = True
    finds_session_again: bool = True

    def __enter__(self) -> Destination:  # noqa: PYI034 - subclasses return themselves as what the matrix needs
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what was started."""
        return

    @property
    def functions(self) -> Sequence[str]:
        """What children call besides the agent, for the zygote to import beforehand."""
        return self.plugins

    @abstractmethod
    def reset(self, folder: Path) -> None:
        """Be empty, and count from 0; ``folder`` is there for the case that begins."""

    @abstractmethod
    def table(self) -> Mapping[str, Any]:
        """The configuration table of the backend, with ``type``."""

    @abstractmethod
    def stored(self) -> Mapping[str, bytes]:
        """Everything that is visible, by the key that a receipt names."""

    @abstractmethod
    def pending(self) -> Sequence[str]:
        """Upload sessions that are neither committed nor dropped, and whatever else an unfinished upload leaves."""

    @abstractmethod
    def received(self) -> int | None:
        """Bytes of files that were sent to it since the reset, counted by it or before it; None to count in the child.

        The child then counts what the backend takes out of bodies: never less than what it sends.
        """

    def most_sent_again(self, artifacts: Sequence[int], in_flight: int | None) -> int:
        """Bytes that one kill may cost.

        Args:
            artifacts: Sizes of the largest upload's artifacts: where nothing tells what arrived, it begins anew.
            in_flight: Parts that were sent and not journalled as acknowledged at the kill; None where nobody knows.
        """
        if not self.says_what_it_holds:
            return sum(artifacts)
        most = max(1, self.parts_at_once)
        return PART_SIZE * (most if in_flight is None else min(most, in_flight))
