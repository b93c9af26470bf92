"""An S3 server that keeps no content: what is left is what the client costs.

It reads each body and forgets it, and keeps of an object its size and what the client told of it (checksums, metadata),
which it tells again when asked. It checks neither signatures nor checksums. Prints its address when it listens.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
import sys
import uuid
from urllib.parse import parse_qs, unquote

BLOCK = 1024 * 1024
KEPT = (b"x-amz-checksum-", b"x-amz-meta-", b"x-amz-checksum-type")
NOTHING = "00000000000000000000000000000000"


class Store:
    def __init__(self) -> None:
        self.objects: dict[str, tuple[int, dict[bytes, bytes]]] = {}
        self.uploads: dict[str, dict[int, int]] = {}
        self.begun: dict[str, dict[bytes, bytes]] = {}
        self.requests = 0


class Connection(asyncio.BufferedProtocol):
    """One client: heads are parsed from a small buffer, bodies are counted and dropped."""

    def __init__(self, store: Store, block: bytearray) -> None:
        self.store = store
        self.block = memoryview(block)
        self.head = b""
        self.left = 0
        self.length = 0
        self.request: tuple[bytes, bytes, dict[bytes, bytes]] | None = None
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, _: int) -> memoryview:
        return self.block

    def buffer_updated(self, count: int) -> None:
        if self.left >= count and not self.wants_body():
            self.left -= count
            if not self.left:
                self.answer()
            return
        self.feed(bytes(self.block[:count]))

    def wants_body(self) -> bool:
        return self.request is not None and self.request[0] == b"POST"

    def feed(self, data: bytes) -> None:
        while data:
            if self.request is None:
                head, found, data = (self.head + data).partition(b"\r\n\r\n")
                if not found:
                    self.head = head
                    return
                self.head = b""
                self.begin(head)
                if self.request is not None and not self.left:
                    self.answer()
                continue
            taken, data = data[: self.left], data[self.left :]
            self.left -= len(taken)
            if self.wants_body():
                self.body += taken
            if not self.left:
                self.answer()

    def begin(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        method, target, _ = first.split(b" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        self.request, self.body = (method, target, headers), b""
        self.left = self.length = int(headers.get(b"content-length", b"0"))
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer(self) -> None:
        assert self.request is not None
        method, target, headers = self.request
        self.request = None
        self.store.requests += 1
        path, _, query = target.decode("ascii").partition("?")
        known = parse_qs(query, keep_blank_values=True)
        status, told, body = self.handle(method, unquote(path), known, headers)
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"x-amz-request-id: 1"]
        if told.pop(b"content-length", None) is not None or method == b"HEAD":
            lines.pop(1)
            lines.append(b"Content-Length: %d" % int(told.pop(b"size", b"0")))
        lines += [name + b": " + value for name, value in told.items()]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if method == b"HEAD" else body))

    def handle(
        self, method: bytes, path: str, query: dict[str, list[str]], headers: dict[bytes, bytes]
    ) -> tuple[bytes, dict[bytes, bytes], bytes]:
        store = self.store
        digest = base64.b64decode(headers.get(b"content-md5", b"")).hex() or f"{NOTHING}-1"  # as of parts: no MD5
        etag = {b"ETag": f'"{digest}"'.encode()}
        kept = {name: value for name, value in headers.items() if name.startswith(KEPT)}
        size = int(headers.get(b"x-amz-decoded-content-length", self.length))
        if method == b"PUT" and "uploadId" in query:
            upload = store.uploads.get(query["uploadId"][0])
            if upload is None:
                return missing("NoSuchUpload")
            upload[int(query["partNumber"][0])] = size
            return b"200 OK", {**etag, **{n: v for n, v in kept.items() if n.startswith(b"x-amz-checksum-")}}, b""
        if method == b"PUT":
            store.objects[path] = (size, kept | etag)
            return b"200 OK", {**etag, **{n: v for n, v in kept.items() if n.startswith(b"x-amz-checksum-")}}, b""
        if method == b"POST" and "uploads" in query:
            made = uuid.uuid4().hex
            store.uploads[made], store.begun[made] = {}, kept
            told = f"<InitiateMultipartUploadResult><UploadId>{made}</UploadId></InitiateMultipartUploadResult>"
            return b"200 OK", {}, told.encode()
        if method == b"POST" and "uploadId" in query:
            parts = store.uploads.pop(query["uploadId"][0], None)
            if parts is None:
                return missing("NoSuchUpload")
            whole = {n: v for n, v in kept.items() if n.startswith(b"x-amz-checksum-")}
            etag = {b"ETag": f'"{NOTHING}-{len(parts)}"'.encode()}
            store.objects[path] = (sum(parts.values()), {**store.begun.pop(query["uploadId"][0]), **whole, **etag})
            digests = "".join(
                f"<{tag}>{whole[name].decode()}</{tag}>"
                for name, tag in (
                    (b"x-amz-checksum-crc64nvme", "ChecksumCRC64NVME"),
                    (b"x-amz-checksum-crc32c", "ChecksumCRC32C"),
                )
                if name in whole
            )
            told = f'<ETag>"{NOTHING}-{len(parts)}"</ETag>{digests}'
            body = f"<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>"
            return b"200 OK", {}, body.encode()
        if method == b"DELETE":
            store.uploads.pop(query.get("uploadId", [""])[0], None) or store.objects.pop(path, None)
            return b"204 No Content", {}, b""
        if method == b"HEAD":
            found = store.objects.get(path)
            if found is None:
                return (b"200 OK", {}, b"") if path.count("/") == 1 or path.endswith("/") else missing("NoSuchKey")
            return b"200 OK", {**found[1], b"size": b"%d" % found[0]}, b""
        return (
            b"200 OK",
            {},
            b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>",
        )


def missing(code: str) -> tuple[bytes, dict[bytes, bytes], bytes]:
    return b"404 Not Found", {}, f"<Error><Code>{code}</Code></Error>".encode()


async def main() -> None:
    store, block = Store(), bytearray(BLOCK)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(store, block), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.disable()
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
