"""The SDK as this plugin uses it: one try per call, our own time limits, and Haulier's errors."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from haulier.errors import AuthenticationError
from haulier_azure.credentials import credential_for
from haulier_azure.failures import translate
from haulier_azure.quiet import hide_signatures

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier_azure.options import AzureOptions

__all__ = ["AzureClient"]

_CONNECTIONS = 64
_SOCKET_BLOCK = 1 << 18  # bytes
_READ_BLOCK = 4 << 20  # bytes of one request while an object is read
_LARGEST_PUT = 5000 * 2**20  # bytes; Blob service REST API, "Put Blob"


class AzureClient:
    """Calls operations of the service. Thread-safe.

    Tokens of an identity are renewed before they expire. When the service refuses the credentials, everything is made
    anew at the next call.

    Args:
        options: Where, and with which credentials.
        credential: Makes what the SDK is given.
    """

    def __init__(self, options: AzureOptions, *, credential: Callable[[AzureOptions], Any] = credential_for) -> None:
        self.options = options
        self.url = f"{options.account.url}/{options.container}"
        self._credential = credential
        self._lock = threading.Lock()
        self._made: Any = None

    def blob(
        self, operation: str, key: str, *, silence: float, patience: float | None = None, **parameters: Any
    ) -> Any:
        """Call an operation on one object.

        Args:
            operation: As the SDK's BlobClient names it, ``get_blob_properties`` for example.
            key: Whole key of the object.
            silence: Seconds without a byte after which a socket operation is given up.
            patience: Seconds to wait for the answer, where that may take longer.
            **parameters: Of the operation.

        Raises:
            HaulierError: What :func:`haulier_azure.failures.translate` makes of the SDK's exception.
        """
        limits = {"connection_timeout": silence, "read_timeout": patience or silence}  # the first of sending as well
        return self.run(lambda: getattr(self._container().get_blob_client(key), operation)(**limits, **parameters), key)

    def container(self, operation: str, *, silence: float, **parameters: Any) -> Any:
        """Call an operation on the container."""
        limits = {"connection_timeout": silence, "read_timeout": silence}
        return self.run(lambda: getattr(self._container(), operation)(**limits, **parameters))

    def run(self, call: Callable[[], Any], key: str = "") -> Any:
        """Call the SDK; its exceptions become ours, and nothing of their texts is kept."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  all of them are translated
            made = translate(error, where=self.location(key))
        # Raised out here it does not have the library's exception, which quotes addresses, as its context.
        if isinstance(made, AuthenticationError):
            self.forget()
        raise made

    def location(self, key: str) -> str:
        """Where an object lies, without query or credentials."""
        return f"{self.url}/{quote(key)}"

    def service(self) -> Any:
        """The SDK's client of the account's service."""
        return self._container()._get_blob_service_client()  # noqa: SLF001  it has no other way from a container

    def forget(self) -> None:
        """Make everything anew at the next call."""
        with self._lock:
            self._made = None

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    # -- making it ---------------------------------------------------------------------------------------------

    def _container(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import ContainerClient

        options = self.options
        hide_signatures()
        transport = RequestsTransport(
            session=self._session(), connection_verify=options.ca_bundle or True, use_env_settings=True
        )
        return ContainerClient(
            options.account.url,
            options.container,
            credential=self._credential(options),
            transport=transport,
            retry_total=0,
            permit_redirects=False,
            max_single_put_size=_LARGEST_PUT,
            max_single_get_size=_READ_BLOCK,
            max_chunk_get_size=_READ_BLOCK,
            logging_enable=False,
        )

    def _session(self) -> Any:
        import requests

        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _adapter())
        proxy = self._proxy()
        if proxy:
            session.trust_env = False  # or the environment's proxy would come first
            session.proxies = {"http": proxy, "https": proxy}
        return session

    def _proxy(self) -> str:
        if not self.options.proxy:
            return ""
        parts = urlsplit(self.options.proxy)
        user, _, password = self.options.proxy_credentials.reveal().partition(":")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"{parts.scheme}://{login}{parts.netloc}"


def _adapter() -> Any:
    """Connections for many threads, with large socket blocks."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
            super().init_poolmanager(connections, maxsize, block, blocksize=_SOCKET_BLOCK, **more)

    return Adapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS, max_retries=0)
