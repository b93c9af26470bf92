"""Addresses that work without credentials (Cloud Storage, "V4 signing process with your own program")."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["signed_address"]

_ALGORITHM = "GOOG4-RSA-SHA256"


def signed_address(
    base_url: str, path: str, email: str, sign: Callable[[bytes], bytes], *, now: float, seconds: int
) -> str:
    """An address with which an object can be read: a secret.

    Args:
        base_url: Address of the service.
        path: ``/bucket/key``, not quoted.
        email: Name of the service account that signs.
        sign: Signs with its key (RSA, SHA-256).
        now: Wall time, seconds since the epoch, from which the address works.
        seconds: How long it works.
    """
    parts = urlsplit(base_url)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/auto/storage/goog4_request"
    resource = parts.path.rstrip("/") + quote(path, safe="/~")
    query = "&".join(
        f"{name}={quote(value, safe='~')}"
        for name, value in (  # in the order of their names
            ("X-Goog-Algorithm", _ALGORITHM),
            ("X-Goog-Credential", f"{email}/{scope}"),
            ("X-Goog-Date", stamp),
            ("X-Goog-Expires", str(seconds)),
            ("X-Goog-SignedHeaders", "host"),
        )
    )
    request = f"GET\n{resource}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return f"{parts.scheme}://{parts.netloc}{resource}?{query}&X-Goog-Signature={sign(text.encode()).hex()}"
