"""Upload addresses that a server has signed for somebody else's object storage: they carry their own right.

Each kind is known by the parameters of its signature. All of them take the file as it is, with PUT.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

__all__ = ["method_for", "put_fields"]

_S3 = "X-Amz-Signature"
_GCS = "X-Goog-Signature"
_AZURE = frozenset({"sig", "sv"})


def method_for(url: str, *, own: bool) -> str:
    """The method of an upload address whose server tells none.

    Args:
        url: Absolute address.
        own: Whether it is on the base address's origin, where forms are what the protocol has.

    Returns:
        ``PUT`` for a signed address of another origin's object storage, else ``POST``.
    """
    if own:
        return "POST"
    names = _names(url)
    return "PUT" if _S3 in names or _GCS in names or names >= _AZURE else "POST"


def put_fields(url: str) -> dict[str, str]:
    """Fields that a signed address needs besides the usual ones: Azure wants to know the kind of blob."""
    return {"x-ms-blob-type": "BlockBlob"} if _names(url) >= _AZURE else {}


def _names(url: str) -> set[str]:
    return set(parse_qs(urlsplit(url).query, keep_blank_values=True))
