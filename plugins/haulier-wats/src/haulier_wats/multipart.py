"""A multipart/form-data body with one file, streamed (RFC 7578)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from haulier_wats.outgoing import Outgoing

if TYPE_CHECKING:
    from haulier.backends.api import Body

__all__ = ["MultipartFile", "new_boundary"]

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def new_boundary() -> str:
    """A boundary that no content holds: 128 random bits."""
    return f"haulier-{secrets.token_hex(16)}"


class MultipartFile(Outgoing):
    """One form field with a file.

    Args:
        body: The file's bytes.
        name: File name; UTF-8, with quotes and line ends escaped as browsers do.
        content_type: Media type of the file.
        field: Name of the form field.
        boundary: What separates the parts; not part of the content.
    """

    def __init__(
        self,
        body: Body,
        *,
        name: str,
        content_type: str = "application/octet-stream",
        field: str = "file",
        boundary: str,
    ) -> None:
        disposition = f'form-data; name="{_escape(field)}"; filename="{_escape(name)}"'
        head = (
            f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {_single_line(content_type)}\r\n\r\n"
        )
        super().__init__(
            body,
            prefix=head.encode("utf-8", "replace"),
            suffix=f"\r\n--{boundary}--\r\n".encode("ascii"),
        )
        self.content_type = f"multipart/form-data; boundary={boundary}"


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _single_line(text: str) -> str:
    return " ".join(text.split())
