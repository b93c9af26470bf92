"""Signatures of many small requests: botocore's signer, given what it asks for in the form that costs least.

Source: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.auth import SIGNED_HEADERS_BLACKLIST, S3SigV4Auth  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Signer"]


class _Request:
    """What the signer asks of a request; names of fields are told apart by case, which ours do not need."""

    def __init__(self, method: str, url: str, headers: dict[str, str], context: dict[str, Any]) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.params: dict[str, str] = {}
        self.body = None
        self.context = context


class _Auth(S3SigV4Auth):  # type: ignore[misc]
    """botocore's signer, without its copies of the header fields in the form of an e-mail."""

    def headers_to_sign(self, request: _Request) -> dict[str, str]:
        """Header fields by their names in lower case."""
        lowered = {name.lower(): value for name, value in request.headers.items()}
        return {name: value for name, value in lowered.items() if name not in SIGNED_HEADERS_BLACKLIST}

    def canonical_headers(self, headers_to_sign: Mapping[str, str]) -> str:
        """In order, with blanks as the signature has them."""
        return "\n".join(f"{name}:{self._header_value(headers_to_sign[name])}" for name in sorted(headers_to_sign))


class Signer:
    """Signs requests to one server, all but their bodies: those go with a checksum in a field that is signed.

    Thread-safe.

    Args:
        origin: Scheme, host and port.
        region: For which requests are signed.
    """

    def __init__(self, origin: str, region: str) -> None:
        self._origin = origin
        self._region = region
        self._config = Config(s3={"payload_signing_enabled": False})

    def signed(self, method: str, target: str, fields: Mapping[str, str], credentials: Any) -> dict[str, str]:
        """Header fields with a signature.

        Args:
            method: Of the request.
            target: Path and query, quoted.
            fields: All but what the signature adds; ``Host`` is among them.
            credentials: botocore's, of this moment.
        """
        request = _Request(method, self._origin + target, dict(fields), {"client_config": self._config})
        _Auth(credentials, "s3", self._region).add_auth(request)
        return request.headers
