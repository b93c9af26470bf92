"""boto3 as this plugin uses it: one try per call, our own time limits, and Haulier's errors."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from haulier.errors import AuthenticationError
from haulier_s3.direct import OPERATIONS, Direct, Elsewhere
from haulier_s3.failures import translate

if TYPE_CHECKING:
    from haulier_s3.options import S3Options

__all__ = ["S3Client"]

_CONNECTIONS = 64
_FALLBACK_REGION = "us-east-1"  # what services other than Amazon's take any signature for


class S3Client:
    """Calls operations of the service. Thread-safe.

    Credentials are boto3's business: given ones are used as they are, others are looked for in its usual places and
    renewed before they expire. When the service refuses them they are looked for anew at the next call.

    Args:
        options: Where, and with which credentials.
    """

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._session: Any = None
        self._settings: Any = None  # botocore's session, which that one is made of
        self._clients: dict[tuple[float, float], Any] = {}
        self._direct: Direct | None = None
        self._is_direct = not options.proxy

    def call(
        self,
        operation: str,
        *,
        key: str | None = None,
        silence: float,
        patience: float | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call an operation on the bucket, or on one object.

        Args:
            operation: As boto3 names it, ``head_object`` for example.
            key: Whole key of the object.
            silence: Seconds without a byte after which a socket operation is given up.
            patience: Seconds to wait for the answer, where that may take longer.
            **parameters: Of the operation.

        Raises:
            HaulierError: What :func:`haulier_s3.failures.translate` makes of boto3's exception.
        """
        try:
            if operation in OPERATIONS and key is not None and self._is_direct:
                return self._sent(operation, key, silence, patience or silence, **parameters)
            return self._called(operation, key, silence, patience or silence, **parameters)
        except Exception as error:
            raise self.translated(error, key) from error

    def _called(
        self, operation: str, key: str | None, silence: float, patience: float, **parameters: Any
    ) -> dict[str, Any]:
        named = {"Bucket": self.options.bucket, **({} if key is None else {"Key": key}), **parameters}
        answer: dict[str, Any] = getattr(self._client(silence, patience), operation)(**named)
        return answer

    def _sent(self, operation: str, key: str, silence: float, patience: float, **parameters: Any) -> dict[str, Any]:
        """Call an operation that carries a body; by boto3 where that knows more of where and how."""
        direct = self._the_direct(silence, patience)
        if direct is not None:
            body, others = parameters["Body"], {name: parameters[name] for name in parameters if name != "Body"}
            try:
                return direct.call(operation, key=key, silence=silence, patience=patience, body=body, **others)
            except Elsewhere:
                self._is_direct = False
                body.seek(0)
        return self._called(operation, key, silence, patience, **parameters)

    def translated(self, error: Exception, key: str | None) -> Exception:
        """An exception of boto3 as ours; refused credentials are forgotten."""
        made = translate(error, where=self.location(key or ""))
        if isinstance(made, AuthenticationError):
            self.forget()
        return made

    def presigned(self, key: str, seconds: int) -> str:
        """An address under which an object can be read without credentials for so many seconds."""
        try:
            parameters = {"Bucket": self.options.bucket, "Key": key}
            client = self._client(60.0, 60.0)
            address: str = client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
        except Exception as error:
            raise self.translated(error, key) from error
        return address

    def location(self, key: str) -> str:
        """Where an object lies, without query or credentials."""
        options = self.options
        if not options.endpoint_url:
            return f"s3://{options.bucket}/{key}"
        parts = urlsplit(options.endpoint_url)
        path = parts.path.rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{path}/{options.bucket}/{quote(key)}"

    def forget(self) -> None:
        """Make session and clients anew at the next call."""
        with self._lock:
            self._session, self._clients, self._direct = None, {}, None

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            clients, self._clients, self._session = list(self._clients.values()), {}, None
            direct, self._direct = self._direct, None
        for client in clients:
            client.close()
        if direct is not None:
            direct.close()

    # -- making them -------------------------------------------------------------------------------------------

    def _client(self, silence: float, patience: float) -> Any:
        with self._lock:  # boto3 makes sessions and clients on one thread at a time only
            if (silence, patience) not in self._clients:
                self._clients[silence, patience] = self._make(silence, patience)
            return self._clients[silence, patience]

    def _the_direct(self, silence: float, patience: float) -> Direct | None:
        client = self._client(silence, patience)
        with self._lock:
            if self._direct is None and self._is_direct and self._session is not None:
                self._direct = self._made_direct(client)
                self._is_direct = self._direct is not None
            return self._direct

    def _made_direct(self, client: Any) -> Direct | None:
        from botocore.httpsession import get_cert_path  # type: ignore[import-untyped]

        address = Direct.address_of(client, self.options.bucket)
        if address is None:
            return None
        named = self.options.ca_bundle or self._settings.get_config_variable("ca_bundle")
        trust = named or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True)  # as botocore looks for it
        return Direct(client, self._session.get_credentials(), trust, address, f"haulier {self._settings.user_agent()}")

    def _make(self, silence: float, patience: float) -> Any:
        from botocore.config import Config  # type: ignore[import-untyped]

        options = self.options
        if self._session is None:
            self._session = self._make_session()
        config = Config(
            connect_timeout=silence,  # of sending as well
            read_timeout=patience,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=_CONNECTIONS,
            proxies=self._proxies(),
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Every body goes with a checksum in a header that is signed.
            s3={"addressing_style": options.addressing_style, "payload_signing_enabled": False},
        )
        return self._session.client(
            "s3",
            region_name=options.region or self._session.region_name or _FALLBACK_REGION,
            endpoint_url=options.endpoint_url or None,
            verify=options.ca_bundle or None,
            config=config,
        )

    def _make_session(self) -> Any:
        import boto3  # type: ignore[import-untyped]
        from botocore.session import Session  # type: ignore[import-untyped]

        options = self.options
        self._settings = Session(profile=options.profile or None)
        return boto3.session.Session(
            aws_access_key_id=options.access_key_id.reveal() or None,
            aws_secret_access_key=options.secret_access_key.reveal() or None,
            aws_session_token=options.session_token.reveal() or None,
            botocore_session=self._settings,
        )

    def _proxies(self) -> dict[str, str] | None:
        if not self.options.proxy:
            return None
        parts = urlsplit(self.options.proxy)
        user, _, password = self.options.proxy_credentials.reveal().partition(":")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        address = f"{parts.scheme}://{login}{parts.netloc}"
        return {"http": address, "https": address}
