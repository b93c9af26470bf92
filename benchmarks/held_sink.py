"""The sink of `s3_sink` that also tells which parts it was sent, so that an upload can be continued.

It keeps their sizes and checksums, and no content.
"""

from __future__ import annotations

from benchmarks.listening import serve
from benchmarks.s3_sink import Connection

TAGS = {b"x-amz-checksum-crc64nvme": "ChecksumCRC64NVME", b"x-amz-checksum-crc32c": "ChecksumCRC32C", b"ETag": "ETag"}

CHECKED_BY = (b"x-amz-checksum-algorithm", b"x-amz-checksum-type")

Answer = tuple[bytes, dict[bytes, bytes], bytes]


class HeldConnection(Connection):
    """One client; what any client sent as parts is remembered."""

    told: dict[tuple[str, int], dict[bytes, bytes]] = {}  # noqa: RUF012  one server, one memory

    def handle(self, method: bytes, path: str, query: dict[str, list[str]], headers: dict[bytes, bytes]) -> Answer:
        upload = query.get("uploadId", [""])[0]
        if method == b"GET" and upload in self.store.uploads:
            return b"200 OK", {}, self.parts(upload)
        answer = super().handle(method, path, query, headers)
        if method == b"POST" and "uploads" in query:  # the service repeats how the whole will be checked
            asked = {name: value for name, value in headers.items() if name in CHECKED_BY}
            return answer[0], {**asked, **answer[1]}, answer[2]
        if method == b"PUT" and upload:
            self.told[upload, int(query["partNumber"][0])] = dict(answer[1])
        return answer

    def parts(self, upload: str) -> bytes:
        """All parts on one page."""
        entries = []
        for number, size in sorted(self.store.uploads[upload].items()):
            told = self.told.get((upload, number), {})
            fields = "".join(f"<{tag}>{told[name].decode()}</{tag}>" for name, tag in TAGS.items() if name in told)
            entries.append(f"<Part><PartNumber>{number}</PartNumber><Size>{size}</Size>{fields}</Part>")
        listed = f"<IsTruncated>false</IsTruncated>{''.join(entries)}"
        return f"<ListPartsResult>{listed}</ListPartsResult>".encode()


if __name__ == "__main__":
    serve(HeldConnection)
