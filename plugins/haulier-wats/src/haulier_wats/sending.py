"""Sending parts: appends to an upload resource, or one request per file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from haulier.backends.api import Held, HeldPart
from haulier.errors import OffsetError, SessionLostError, SourceChangedError
from haulier_wats.outgoing import Outgoing
from haulier_wats.resumable import append, progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.backends.api import Artifact, Body, Context, Part
    from haulier_wats.client import WatsClient
    from haulier_wats.sessions import Session

__all__ = ["APPEND", "append_part", "append_sizes", "settled_offset", "whole_file"]

APPEND = 4 * 1024 * 1024
"""Most bytes of one append: what a broken connection can cost, since a server drops what its digest does not cover."""


def whole_file(
    client: WatsClient, session: Session, artifact: Artifact, part: Part, body: Body, context: Context
) -> Held:
    """Send a whole file as the session wants it; the server's name for it becomes the part's tag."""
    url, method = session.url(artifact), session.method(artifact)
    file_id = client.upload_file(url, body, artifact.name, context, method=method)
    return Held(parts={artifact.index: {part.number: HeldPart(part.size, file_id)}})


def append_part(
    client: WatsClient, session: Session, artifact: Artifact, part: Part, body: Body, context: Context
) -> Held:
    """Append one part, in several requests where it is larger than one append or the server takes less at once.

    Raises:
        OffsetError: The resource stands elsewhere, before or after.
    """
    if not part.size:
        return Held(prefixes={artifact.index: settled_offset(client, session, artifact, context)})
    url = session.url(artifact)
    offset = part.offset
    for piece, size, sha256 in _pieces(session, part, body):
        complete = offset + size == artifact.size
        stands = append(
            client.http,
            url,
            piece,
            context,
            artifact=artifact.index,
            offset=offset,
            complete=complete,
            sha256=sha256,
        )
        offset += size
        if stands.offset != offset:
            held = Held(prefixes={artifact.index: stands.offset})
            raise OffsetError("the server kept another number of bytes", where=client.http.where(url), held=held)
    return Held(prefixes={artifact.index: offset})


def settled_offset(client: WatsClient, session: Session, artifact: Artifact, context: Context) -> int:
    """Bytes that the server holds of a file; one whose bytes are all there but which is still open is closed."""
    url = session.url(artifact)
    stands = progress(client.http, url, context)
    if stands.offset > artifact.size:
        raise SessionLostError("the server holds more than the file has", where=client.http.where(url))
    if stands.offset == artifact.size and not stands.complete:
        append(client.http, url, b"", context, artifact=artifact.index, offset=stands.offset, complete=True)
    return stands.offset


def append_sizes(size: int, least: int, most: int | None) -> list[int]:
    """Sizes in bytes of the appends that one part becomes: as few and as even as possible.

    None is above ``most``, nor above :data:`APPEND` unless ``least`` asks for it, and none below ``least`` where that
    leaves room.
    """
    most = min(most or size, max(APPEND, least))
    if size <= most:
        return [size]
    wanted = -(-size // most)
    count = max(-(-size // most), min(wanted, size // max(least, 1)))
    return [size * (index + 1) // count - size * index // count for index in range(count)]


def _pieces(session: Session, part: Part, body: Body) -> Iterator[tuple[Outgoing | bytes, int, str]]:
    """The part whole, or cut: its own digest covers none of the pieces, so each is read, then sent with its own."""
    sizes = append_sizes(part.size, session.min_append, session.max_append)
    if len(sizes) == 1:
        sha256 = body.digest("sha256") if session.digests else ""
        yield Outgoing(body), part.size, sha256
        return
    for size in sizes:
        piece = _read_exactly(body, size)
        yield piece, size, hashlib.sha256(piece).hexdigest() if session.digests else ""


def _read_exactly(body: Body, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        count = body.readinto(view[filled:])
        if not count:
            raise SourceChangedError("the file ended before the part did")
        filled += count
    return bytes(buffer)
