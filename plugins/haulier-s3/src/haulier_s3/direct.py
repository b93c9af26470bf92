"""The calls that carry a body, without what boto3 does around each: signed by botocore, sent as they are.

boto3 costs several times as much processor time for a small object as the request itself. Where the service is, how
parameters become header fields and answers become members, is still botocore's knowledge (its endpoint rules and its
service model); so are its exceptions, which are raised here as boto3 would.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier_s3.bodies import OutgoingBody
    from haulier_s3.connections import Answer

__all__ = ["OPERATIONS", "Direct", "Elsewhere"]

OPERATIONS = {"put_object": "PutObject", "upload_part": "UploadPart"}
"""What is sent here, by boto3's names."""

_BLOCK = 256 << 10  # bytes, with each call of the system
_LEAST_ERROR = 300
_FOR_THE_REGION = frozenset({HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.BAD_REQUEST})
_MARK = "key"
_REGION = "x-amz-bucket-region"  # Amazon S3 API reference, HeadBucket: also in refusals for the region's sake
_KEPT = "-._~/"  # what stays as it is in a path: Amazon S3 API reference, "Create a canonical request"


class Elsewhere(Exception):  # noqa: N818  it is no error: boto3 knows where to ask instead
    """The bucket is in another region than requests are signed for."""


class _Operation(NamedTuple):
    """What botocore's model says of an operation."""

    name: str
    output: Any
    inputs: Mapping[str, tuple[str, str]]  # by parameter: whether it is a field, several or of the query, and its name
    outputs: Mapping[str, str]  # by member: its field, in lower case

    @classmethod
    def of(cls, model: Any) -> _Operation:
        """As the model has it."""
        inputs = {
            name: (member.serialization.get("location", ""), member.serialization.get("name", name))
            for name, member in model.input_shape.members.items()
        }
        outputs = {
            name: member.serialization.get("name", name).lower() for name, member in model.output_shape.members.items()
        }
        return cls(model.name, model.output_shape, inputs, outputs)

    def written(self, parameters: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Parameters as header fields and as a query."""
        fields: dict[str, str] = {}
        query: dict[str, str] = {}
        for name, value in parameters.items():
            location, wire = self.inputs[name]
            if location == "headers":
                fields |= {f"{wire}{key}": text for key, text in value.items()}
            elif location == "header":
                fields[wire] = value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else str(value)
            else:
                query[wire] = str(value)
        return fields, query

    def read(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Header fields of an answer as members, those that are texts."""
        return {name: headers[wire] for name, wire in self.outputs.items() if wire in headers}


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
        from botocore.parsers import create_parser  # type: ignore[import-untyped]

        from haulier_s3.connections import Connections, trusting
        from haulier_s3.signing import Signer

        model = client.meta.service_model
        self._operations = {name: _Operation.of(model.operation_model(wire)) for name, wire in OPERATIONS.items()}
        self._credentials = credentials
        self._address = address
        self._fields = {"Host": urlsplit(address.origin).netloc, "User-Agent": agent, "Accept-Encoding": "identity"}
        self._parser = create_parser("rest-xml")
        self._signer = Signer(address.origin, address.region)
        trusted = trusting(trust) if address.origin.startswith("https:") else None
        self._connections = Connections(address.origin, trusted)

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
        self._connections.close()

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
        called = self._operations[operation]
        fields, query = called.written(parameters)
        path = self._address.path + quote(key, safe=_KEPT)
        target = f"{path}?{urlencode(query)}" if query else path
        fields |= {**self._fields, "Content-Length": str(len(body))}
        signed = self._signer.signed("PUT", target, fields, self._credentials.get_frozen_credentials())
        answer = self._answer(target, signed, body, silence, patience)
        if answer.status >= _LEAST_ERROR:
            raise self._refusal(called, answer)
        return called.read(answer.headers)

    def _answer(
        self, target: str, fields: Mapping[str, str], body: OutgoingBody, silence: float, patience: float
    ) -> Answer:
        from botocore import exceptions  # type: ignore[import-untyped]

        from haulier_s3 import connections

        try:
            head = connections.head_of("PUT", target, fields)
            return self._connections.exchange(head, _blocks(body), silence, patience)
        except connections.UnreachableError as error:
            raise _unreached(error, self._address.origin) from error
        except connections.AnswerTimeoutError as error:
            raise exceptions.ReadTimeoutError(endpoint_url=self._address.origin, error=error) from error
        except connections.BrokenError as error:
            raise exceptions.ConnectionClosedError(
                endpoint_url=self._address.origin, request=None, error=error
            ) from error

    def _refusal(self, called: _Operation, answer: Answer) -> Exception:
        from botocore.awsrequest import HeadersDict  # type: ignore[import-untyped]
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        told = {"status_code": answer.status, "headers": HeadersDict(answer.headers), "body": answer.body}
        parsed = self._parser.parse(told, called.output)
        region = answer.headers.get(_REGION, self._address.region)
        if region != self._address.region and answer.status in _FOR_THE_REGION:
            return Elsewhere(region)
        refusal: Exception = ClientError(parsed, called.name)
        return refusal


def _blocks(body: OutgoingBody) -> Any:
    """A small body whole: it goes out with one call of the system. A large one in views of one buffer."""
    views = body.views(_BLOCK)
    return b"".join(views) if len(body) <= _BLOCK else views


def _unreached(error: Exception, origin: str) -> Any:
    from botocore import exceptions

    from haulier_s3.connections import ConnectTimeoutError

    if isinstance(error.__cause__, ssl.SSLError):
        return exceptions.SSLError(endpoint_url=origin, error=error)
    if isinstance(error, ConnectTimeoutError):
        return exceptions.ConnectTimeoutError(endpoint_url=origin, error=error)
    return exceptions.EndpointConnectionError(endpoint_url=origin, error=error)
