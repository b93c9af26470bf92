"""A file in a multipart/form-data body, taken out as the body arrives (RFC 7578)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from haulier_wats.server.problems import Problem
from haulier_wats.server.rows import Kind

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["FileForm"]

FILE_FIELD = "file"
MAX_FIELD = 64
"""Most bytes of the field ``kind`` that are looked at."""


class FileForm:
    """Parser of a form with one file in the field ``file``.

    Args:
        request: Whose body it is.
        kind: Which file it is, where the address tells. Else the field ``kind`` before the file does, else the file's
            name: one that ends in ``.json`` is metadata.

    Attributes:
        kind: Which file it is; None until it is known.
        filename: The file's name; None until the file begins.
        overhead: Bytes so far that are not the file's: boundaries, header fields, other fields.

    Raises:
        Problem: 415, the body is no form; 400, its boundary is missing or too long.
    """

    def __init__(self, request: Request, kind: Kind | None) -> None:
        content_type, options = parse_options_header(request.headers.get("content-type"))
        if content_type != b"multipart/form-data":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the file as multipart/form-data, in the field file")
        self.kind = kind
        self._kind_is_given = kind is not None
        self.filename: str | None = None
        self.overhead = 0
        self._field = ""
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._told_kind = bytearray()
        self._content = bytearray()
        self._ended = False
        try:
            self._parser = self._new_parser(options.get(b"boundary", b""))
        except FormParserError:
            raise _malformed("its boundary is too long") from None

    def feed(self, chunk: bytes) -> bytearray:
        """Take a chunk of the body.

        Returns:
            Bytes of the file that were in it.

        Raises:
            Problem: 400, the form is malformed.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(str(error)) from None
        content, self._content = self._content, bytearray()
        self.overhead += len(chunk) - len(content)
        return content

    def close(self) -> None:
        """The body has ended.

        Raises:
            Problem: 400, the form has not, or held no file.
        """
        if not self._ended:
            raise _malformed("it ends before its last boundary")
        if self.filename is None:
            raise _malformed("it has no field file")

    def _new_parser(self, boundary: bytes) -> MultipartParser:
        if not boundary:
            raise _malformed("Content-Type names no boundary")
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": self._begin_header,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._take_content,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def _begin_part(self) -> None:
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        if bytes(self._header[0]).strip().lower() == b"content-disposition":
            self._disposition = bytes(self._header[1])

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if self._field == FILE_FIELD:
            if self.filename is not None:
                raise _malformed("it has more than one field file")
            self.filename = options.get(b"filename", b"").decode("utf-8", "replace")
            self.kind = self.kind or self._told() or _kind_of_name(self.filename)

    def _take_content(self, data: bytes, start: int, end: int) -> None:
        if self._field == FILE_FIELD:
            self._content += memoryview(data)[start:end]
        elif self._field == "kind" and len(self._told_kind) < MAX_FIELD:
            self._told_kind += data[start : min(end, start + MAX_FIELD)]

    def _end_part(self) -> None:
        if self._kind_is_given or self._field != "kind" or self.filename is None:
            return
        if self._told() not in {None, self.kind}:
            raise _malformed("its field kind comes after the file and says otherwise; put it before")

    def _end(self) -> None:
        self._ended = True

    def _told(self) -> Kind | None:
        return kind_named(self._told_kind.decode("utf-8", "replace").strip()) if self._told_kind else None


def kind_named(name: str) -> Kind:
    """The file that a client calls by name.

    Raises:
        Problem: 400, there is no such one.
    """
    try:
        return Kind(name)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "kind is either video or metadata") from None


def _kind_of_name(name: str) -> Kind:
    return Kind.METADATA if name.lower().endswith(".json") else Kind.VIDEO


def _malformed(what: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"the form is malformed: {what}")
