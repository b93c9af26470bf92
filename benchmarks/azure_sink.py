"""An Azure Blob server that keeps no content: what is left is what the client costs.

Of a blob it keeps the size and what the client told of it, of a block the size. It checks neither signatures nor
checksums, and answers the MD5 that came along as if it had computed it. Prints its address when it listens.
"""

from __future__ import annotations

from benchmarks.listening import serve
from benchmarks.s3_sink import Connection

KEPT = (b"x-ms-meta-", b"x-ms-blob-content-")
EVER = {b"ETag": b'"0x1"', b"Last-Modified": b"Thu, 01 Jan 2026 00:00:00 GMT", b"x-ms-version": b"2025-01-05"}

Answer = tuple[bytes, dict[bytes, bytes], bytes]


class BlobConnection(Connection):
    """One client of one account."""

    def handle(self, method: bytes, path: str, query: dict[str, list[str]], headers: dict[bytes, bytes]) -> Answer:
        if "restype" in query:  # a container: it is there
            return (b"201 Created" if method == b"PUT" else b"200 OK"), dict(EVER), b""
        if method == b"PUT":
            return b"201 Created", self.put(path, query.get("comp", [""])[0], headers), b""
        if method == b"HEAD":
            found = self.store.objects.get(path)
            return absent() if found is None else (b"200 OK", {**EVER, **found[1], b"size": b"%d" % found[0]}, b"")
        if method == b"DELETE":
            return (b"202 Accepted", dict(EVER), b"") if self.store.objects.pop(path, None) else absent()
        return absent()

    def put(self, path: str, what: str, headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Take in a block, a list of blocks, or a blob; what is answered."""
        blocks = self.store.uploads.setdefault(path, {})
        if what == "block":
            blocks[len(blocks)] = self.length
        else:
            size = sum(self.store.uploads.pop(path).values()) if what == "blocklist" else self.length
            kept = {name: value for name, value in headers.items() if name.startswith(KEPT)}
            self.store.objects[path] = (size, {**kept, b"x-ms-blob-type": b"BlockBlob"})
        md5 = headers.get(b"content-md5")
        return {**EVER, b"x-ms-request-server-encrypted": b"true", **({b"Content-MD5": md5} if md5 else {})}


def absent() -> Answer:
    return b"404 Not Found", {**EVER, b"x-ms-error-code": b"BlobNotFound"}, b""


if __name__ == "__main__":
    serve(BlobConnection)
