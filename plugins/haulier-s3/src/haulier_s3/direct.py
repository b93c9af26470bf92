"""The calls that carry a body, without what boto3 does around each: signed by botocore, sent by urllib3.

boto3 costs several times as much processor time for a small object as the request itself. Where the service is, how
parameters become header fields and answers become members, is still botocore's knowledge (its endpoint rules and its
service model); so are its exceptions, which are raised here as boto3 would.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier_s3.bodies import OutgoingBody

__all__ = ["OPERATIONS", "Direct", "Elsewhere"]

OPERATIONS = {"put_object": "PutObject", "upload_part": "UploadPart"}
"""What is sent here, by boto3's names."""

_BLOCK = 256 << 10  # bytes, with each call of the system
_CONNECTIONS = 64
_LONGEST_ANSWER = 1 << 20
_LEAST_ERROR = 300
_FOR_THE_REGION = frozenset({HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.BAD_REQUEST})
_MARK = "key"
_REGION = "x-amz-bucket-region"  # Amazon S3 API reference, HeadBucket: also in refusals for the region's sake
_KEPT = "-._~/"  # what stays as it is in a path: Amazon S3 API reference, "Create a canonical request"


class Elsewhere(Exception):  # noqa: N818  it is no error: boto3 knows where to ask instead
    """The bucket is in another region than requests are signed for."""


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Address(NamedTuple):
    """Where objects of a bucket are, and for which region requests are signed."""

    origin: str
    path: str
    region: str


class Direct:
    """Sends bodies to one bucket. Thread-safe.

    Args:
        client: boto3's, for its endpoint rules and its model.
        credentials: botocore's, which renew themselves.
        trust: File of the authorities of certificates.
        address: As :meth:`address_of` found it.
        agent: Value of ``User-Agent``.
    """

    def __init__(self, client: Any, credentials: Any, trust: str, address: _Address, agent: str) -> None:
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.parsers import create_parser  # type: ignore[import-untyped]
        from urllib3 import connection_from_url

        self._model = client.meta.service_model
        self._credentials = credentials
        self._address = address
        self._agent = agent
        self._host = urlsplit(address.origin).netloc
        self._parser = create_parser("rest-xml")
        # Every body goes with a checksum in a header that is signed.
        self._signing = {"client_config": Config(s3={"payload_signing_enabled": False})}
        tls = {"ca_certs": trust, "cert_reqs": "CERT_REQUIRED"} if address.origin.startswith("https:") else {}
        self._pool = connection_from_url(address.origin, maxsize=_CONNECTIONS, **tls)

    @staticmethod
    def address_of(client: Any, bucket: str) -> _Address | None:
        """Where boto3 would send to; None where more than an address and a signature is needed.

        Raises:
            Exception: botocore's, when there are no credentials or the options do not fit together.
        """
        from botocore.utils import get_environ_proxies  # type: ignore[import-untyped]

        signed = urlsplit(
            client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": _MARK}, ExpiresIn=60)
        )
        scope = parse_qs(signed.query).get("X-Amz-Credential", [""])[0].split("/")
        origin = f"{signed.scheme}://{signed.netloc}"
        if len(scope) < 5 or scope[-2] != "s3" or get_environ_proxies(origin):  # noqa: PLR2004  parts of a scope
            return None
        return _Address(origin, signed.path.removesuffix(_MARK), scope[-3])

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def call(
        self, operation: str, *, key: str, silence: float, patience: float, body: OutgoingBody, **parameters: Any
    ) -> dict[str, Any]:
        """Send a body, and give the answer as boto3 would.

        Args:
            operation: One of :data:`OPERATIONS`.
            key: Whole key of the object.
            silence: Seconds without a byte after which sending is given up.
            patience: Seconds to wait for the answer.
            body: What is sent.
            **parameters: Of the operation.

        Raises:
            Elsewhere: The service says that the bucket is in another region; nothing was stored.
            botocore.exceptions.ClientError: The service refused it.
            botocore.exceptions.BotoCoreError: There was no answer.
        """
        name = OPERATIONS[operation]
        model = self._model.operation_model(name)
        fields, query = _written(model.input_shape.members, parameters)
        fields |= {"Host": self._host, "User-Agent": self._agent, "Content-Length": str(len(body))}
        path = self._address.path + quote(key, safe=_KEPT)
        target = f"{path}?{urlencode(query)}" if query else path
        answer = self._answer(target, self._signed(target, fields), body, silence, patience)
        if answer.status >= _LEAST_ERROR:
            raise self._refusal(name, model.output_shape, answer)
        return _read(model.output_shape.members, answer.headers)

    def _signed(self, target: str, fields: Mapping[str, str]) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

        request = AWSRequest(method="PUT", url=self._address.origin + target, headers=fields)
        request.context.update(self._signing)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._address.region).add_auth(request)
        return dict(request.headers.items())

    def _answer(
        self, target: str, fields: Mapping[str, str], body: OutgoingBody, silence: float, patience: float
    ) -> _Answer:
        from urllib3 import Timeout, exceptions

        try:
            response = self._pool.urlopen(
                "PUT",
                target,
                body=_blocks(body),
                headers=fields,
                retries=False,
                redirect=False,
                timeout=Timeout(connect=silence, read=patience),  # the first is one of sending as well
                preload_content=False,
            )
            told = response.read(_LONGEST_ANSWER)
            response.release_conn()
        except exceptions.HTTPError as error:
            raise _as_botocore(error, self._address.origin) from error
        return _Answer(response.status, response.headers, told)

    def _refusal(self, name: str, shape: Any, answer: _Answer) -> Exception:
        from botocore.awsrequest import HeadersDict
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        told = {"status_code": answer.status, "headers": HeadersDict(answer.headers), "body": answer.body}
        parsed = self._parser.parse(told, shape)
        region = answer.headers.get(_REGION, self._address.region)
        if region != self._address.region and answer.status in _FOR_THE_REGION:
            return Elsewhere(region)
        refusal: Exception = ClientError(parsed, name)
        return refusal


def _blocks(body: OutgoingBody) -> Any:
    """A small body whole: it goes out with one call of the system. A large one in views of one buffer."""
    return body.read() if len(body) <= _BLOCK else body.views(_BLOCK)


def _written(members: Mapping[str, Any], parameters: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters as header fields and as a query."""
    fields: dict[str, str] = {}
    query: dict[str, str] = {}
    for name, value in parameters.items():
        serialization = members[name].serialization
        location, wire = serialization.get("location"), serialization.get("name", name)
        if location == "headers":
            fields |= {f"{wire}{key}": text for key, text in value.items()}
        elif location == "header":
            fields[wire] = value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else str(value)
        else:
            query[wire] = str(value)
    return fields, query


def _read(members: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Header fields of an answer as members, those that are texts."""
    found = {name: headers.get(member.serialization.get("name", name)) for name, member in members.items()}
    return {name: value for name, value in found.items() if value is not None}


def _as_botocore(error: Exception, origin: str) -> Any:
    from botocore import exceptions as ours  # type: ignore[import-untyped]
    from urllib3 import exceptions as theirs

    if isinstance(error, theirs.SSLError):
        return ours.SSLError(endpoint_url=origin, error=error)
    if isinstance(error, theirs.NewConnectionError):  # which urllib3 derives from a time limit's error
        return ours.EndpointConnectionError(endpoint_url=origin, error=error)
    if isinstance(error, theirs.ConnectTimeoutError):
        return ours.ConnectTimeoutError(endpoint_url=origin, error=error)
    if isinstance(error, theirs.ReadTimeoutError):
        return ours.ReadTimeoutError(endpoint_url=origin, error=error)
    if isinstance(error, theirs.ProtocolError):
        return ours.ConnectionClosedError(endpoint_url=origin, request=None, error=error)
    return ours.HTTPClientError(error=error)
