"""Addresses under which an object can be read without credentials."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from haulier.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier_azure.client import AzureClient

__all__ = ["presigned"]

_SILENCE = 60.0  # seconds
_SKEW = timedelta(minutes=5)


def presigned(client: AzureClient, key: str, seconds: int, clock: Callable[[], float] = time.time) -> str:
    """An address with a signature: a secret.

    Args:
        client: Of the container.
        key: Whole key of the object.
        seconds: How long it works.
        clock: Wall time, seconds since the epoch.

    Raises:
        UnsupportedError: The credentials are a SAS, which cannot sign another.
    """
    account = client.options.account
    if account.sas:
        raise UnsupportedError(
            "a SAS cannot sign addresses", advice="Configure an account key or an identity for the backend"
        )
    now = datetime.fromtimestamp(clock(), UTC)
    start, end = now - _SKEW, now + timedelta(seconds=seconds)
    signer = {"account_key": account.key.reveal()} if account.key else _delegated(client, start, end)
    return f"{client.location(key)}?{client.run(lambda: _signature(client, key, end, signer), key)}"


def _delegated(client: AzureClient, start: datetime, end: datetime) -> dict[str, Any]:
    """A key that the service signs with on behalf of an identity."""
    limits = {"connection_timeout": _SILENCE, "read_timeout": _SILENCE}
    key = client.run(lambda: client.service().get_user_delegation_key(start, end, **limits))
    return {"user_delegation_key": key, "start": start}


def _signature(client: AzureClient, key: str, end: datetime, signer: dict[str, Any]) -> str:
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    options = client.options
    return generate_blob_sas(
        options.account.name,
        options.container,
        key,
        permission=BlobSasPermissions(read=True),
        expiry=end,
        **signer,
    )
