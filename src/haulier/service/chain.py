"""The receipts' chain: whether each continues the one before it, and the places where a rebuilt journal lost some.

A break is written down with a keyed hash of its own: somebody who removes receipts cannot write one to cover that up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from haulier.transfer.ledger import chain_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from haulier.models import Receipt

__all__ = ["BREAKS", "Break", "Chain", "accepted", "decode_breaks", "encode_breaks"]

BREAKS = "receipt_breaks"  # the journal's meta entry


@dataclass(frozen=True)
class Break:
    """Receipts that were lost with a damaged journal.

    Attributes:
        number: The first receipt behind the gap.
        missing: How many are missing before it.
        previous: The chain hash that receipt ``number`` continues.
        aside: Name of the damaged file, which is kept.
        at: When the journal was rebuilt, seconds since the epoch.
        accepted: Whether somebody confirmed the rebuilt journal since.
    """

    number: int
    missing: int
    previous: str
    aside: str
    at: float
    accepted: bool = False


def encode_breaks(breaks: Iterable[Break], key: bytes) -> str:
    """Breaks as text, with their keyed hash.

    Args:
        breaks: All there are.
        key: Key of the chain.
    """
    text = json.dumps([asdict(each) for each in breaks], sort_keys=True)
    return json.dumps({"breaks": text, "hash": _keyed(key, text)})


def decode_breaks(text: str | None, key: bytes) -> list[Break]:
    """The inverse of :func:`encode_breaks`; nothing when the text was not written with this key."""
    try:
        data: Mapping[str, Any] = json.loads(text or "{}")
        if not hmac.compare_digest(str(data.get("hash", "")), _keyed(key, str(data["breaks"]))):
            return []
        return [Break(**each) for each in json.loads(data["breaks"])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, b"breaks\0" + text.encode(), hashlib.sha256).hexdigest()


class Chain:
    """Follows the chain receipt by receipt, in the order of their numbers. Used by one thread.

    Args:
        key: Key of the chain.
        breaks: Places where it is known to begin anew.
    """

    def __init__(self, key: bytes, breaks: Iterable[Break] = ()) -> None:
        self._key = key
        self._breaks = {each.number: each for each in breaks}
        self._read: tuple[int, tuple[str, ...]] = (0, ("",))

    def find(self, number: int, candidates: Sequence[Receipt]) -> tuple[Receipt, str] | None:
        """The receipt that continues the chain, and the hash that it continues; None when none of them does.

        What was read under a number counts as its predecessor even if it did not continue the chain itself.
        """
        before, hashes = self._read
        known = hashes if number == before + 1 else ()
        if number in self._breaks and not known:
            known = (self._breaks[number].previous,)
        self._read = (number, tuple(each.chain for each in candidates))
        for candidate in candidates:
            for previous in known:
                if hmac.compare_digest(chain_hash(self._key, previous, candidate), candidate.chain):
                    return candidate, previous
        return None


def accepted(breaks: Iterable[Break]) -> list[Break]:
    """The same, accepted by somebody."""
    return [replace(each, accepted=True) for each in breaks]
