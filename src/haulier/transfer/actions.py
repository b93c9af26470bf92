"""What the state machine of an upload asks for, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Abilities, Held, Part, Token
    from haulier.errors import HaulierError
    from haulier.journal.api import PartRow
    from haulier.models import ReceiptEntry

__all__ = [
    "Abort",
    "Action",
    "AskHeld",
    "Commit",
    "Conclude",
    "Failed",
    "Inspect",
    "IntendCommit",
    "OpenSession",
    "Proven",
    "Reread",
    "SaveAck",
    "SaveSession",
    "SendPart",
    "Sent",
    "Settle",
    "Told",
]


@dataclass(frozen=True)
class Action:
    """Something to be done; its outcome is reported once."""


@dataclass(frozen=True)
class Inspect(Action):
    """Compare the source with the journal. Result None. ``again`` marks the look right before the commit."""

    again: bool = False


@dataclass(frozen=True)
class OpenSession(Action):
    """``Backend.open``. Result: token and abilities."""


@dataclass(frozen=True)
class SaveSession(Action):
    """Journal the token, durably, before the first byte. Result None.

    ``commits``: the first call that sends anything may commit, so the intent to commit is journalled with the token.
    """

    token: Token
    abilities: Abilities
    part_size: int
    commits: bool = False


@dataclass(frozen=True)
class AskHeld(Action):
    """``Backend.held``. Result: held."""


@dataclass(frozen=True)
class Told:
    """A range of an artifact that the destination holds, with digests as it computed them."""

    offset: int
    size: int
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Reread(Action):
    """Read an artifact whole, in order. Result: its digests by name, after each range was compared.

    ``expected`` are ranges as they were read before, ``told`` as the destination has them.
    """

    artifact: int
    expected: tuple[PartRow, ...] = ()
    told: tuple[Told, ...] = ()


@dataclass(frozen=True)
class SendPart(Action):
    """``Backend.send``. Result: :class:`Sent`. ``in_order``: read by the one reader that hashes the whole."""

    part: Part
    in_order: bool


@dataclass(frozen=True)
class Sent:
    """Result of :class:`SendPart`: the destination's answer, and the digest that is journalled with it.

    ``prefix``: it is that of all bytes up to the part's end, see :class:`~haulier.journal.api.PartRow`.
    """

    held: Held
    sha256: str
    prefix: bool = False


@dataclass(frozen=True)
class SaveAck(Action):
    """Journal an acknowledged range. Result None. ``acknowledged`` counts bytes of the whole task."""

    row: PartRow
    acknowledged: int


@dataclass(frozen=True)
class IntendCommit(Action):
    """Renew the lease and journal that a commit may reach the destination, durably. Result None."""


@dataclass(frozen=True)
class Commit(Action):
    """``Backend.commit``. Result: what is stored."""

    held: Held
    last: Part | None = None
    in_order: bool = True


@dataclass(frozen=True)
class Settle(Action):
    """``Backend.settle``. Result: settled."""


@dataclass(frozen=True)
class Abort(Action):
    """``Backend.abort``; when it fails, it is owed as soon as another session is journalled. Result None."""


@dataclass(frozen=True)
class Proven:
    """The upload is stored, and this is what can be shown."""

    entries: tuple[ReceiptEntry, ...]


@dataclass(frozen=True)
class Failed:
    """The claim ends without success.

    Attributes:
        error: Why.
        keep_session: Whether the next claim continues where this one stopped.
        aborted: Whether the destination dropped a session that is not kept.
    """

    error: HaulierError
    keep_session: bool
    aborted: bool = False


@dataclass(frozen=True)
class Conclude(Action):
    """The end: nothing follows."""

    verdict: Proven | Failed
