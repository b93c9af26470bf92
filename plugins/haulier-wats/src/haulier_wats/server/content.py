"""The bytes of a stored file: whole, or a range of them (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

import base64
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response

from haulier_wats.server.problems import Problem

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["content_answer"]

_BYTES_UNIT = re.compile(rb"\s*bytes\s*=", re.IGNORECASE)
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


def content_answer(
    request: Request, path: Path, stat: os.stat_result, *, name: str, media_type: str, sha256: str
) -> Response:
    """Answer with a file, as the request's conditions and range have it.

    Args:
        request: The request.
        path: The file.
        stat: What the system says of it.
        name: Its name for whoever saves it.
        media_type: Its media type.
        sha256: Its digest in hexadecimal, which serves as its entity tag.

    Raises:
        Problem: 412, If-Match names other content.
    """
    etag = f'"{sha256}"'
    digest = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
    fields = {
        "ETag": etag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
    if "if-match" in request.headers and not _names(request.headers["if-match"], etag, weak=False):
        raise Problem(HTTPStatus.PRECONDITION_FAILED, "the content is another than If-Match names", headers=fields)
    if "if-none-match" in request.headers and _names(request.headers["if-none-match"], etag, weak=True):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=fields)
    return _Content(path, filename=name, media_type=media_type, headers=fields, stat_result=stat)


class _Content(FileResponse):
    """A file, whole or in ranges; a range that cannot be served is a problem like any other."""

    chunk_size = 1 << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unless_refused(message: Message) -> None:
            status = message.get("status", HTTPStatus.OK)
            if status >= HTTPStatus.BAD_REQUEST:
                headers = Headers(raw=message["headers"])
                told = {"Content-Range": headers["content-range"]} if "content-range" in headers else {}
                raise Problem(HTTPStatus(status), "Range names no bytes of the file; see its size", headers=told)
            await send(message)

        await super().__call__(_with_meaningful_range(scope), receive, send_unless_refused)


def _with_meaningful_range(scope: Scope) -> Scope:
    """Without Range where RFC 9110 section 14.2 has it ignored: in another unit than bytes, and in all but GET."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name != b"range" or (scope["method"] == "GET" and _BYTES_UNIT.match(value))
    ]
    return {**scope, "headers": headers}


def _names(field: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags holds this one; ``weak`` compares without regard to weakness."""
    tags = [match for match in _ETAG.finditer(field) if weak or not match[0].startswith("W/")]
    return field.strip() == "*" or etag in {match[1] for match in tags}
