"""The backend type ``webdav``: whole objects in a folder of a WebDAV server (RFC 4918), with nothing but Python."""

from __future__ import annotations

import base64
import hashlib
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import CONFLICT, NOT_FOUND, HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import Any
from urllib.parse import quote, urlsplit

import haulier
from haulier import errors
from haulier.backends.api import Artifact, Body, Context, IfAbsent, Stored, Upload
from haulier.backends.http_errors import error_for_status, parse_retry_after, public_url
from haulier.backends.keys import partial_name, split_key


@dataclass(frozen=True)
class WebDavOptions:
    """The options of a table with ``type = "webdav"``."""

    url: str = field(metadata={"help": "address of the folder that takes the files"})
    user: str = field(default="", metadata={"help": "name to log in with"})
    password: haulier.Secret = field(default=haulier.Secret(""), metadata={"help": "that user's password"})

    def __post_init__(self) -> None:
        """Refuse what is no plain address, above all one with a password in it."""
        if not urlsplit(self.url).hostname or not self.url.startswith("http") or public_url(self.url) != self.url:
            raise ValueError("url must be http:// or https:// with a host and a path, and nothing else")


class WebDavBackend(haulier.PutBackend):
    """A folder of a WebDAV server. Thread-safe: nothing is kept between two requests."""

    type = "webdav"
    options_type = WebDavOptions
    if_absent = IfAbsent.ATOMIC  # MOVE with Overwrite: F
    proof = haulier.Proof.CONTENT  # stat reads the object back

    def probe(self, context: Context) -> None:
        """Ask for the folder itself, with the credentials."""
        self._ask(context, "PROPFIND", self.options.url, {"Depth": "0"})

    def put(self, upload: Upload, artifact: Artifact, body: Body, context: Context) -> Stored:
        """Send a draft, give it its name unless something has it, and read it back."""
        draft = self._url(f".{partial_name(upload, artifact)}.part")
        try:
            self._ask(context, "PUT", draft, {"Content-Length": str(artifact.size)}, _blocks(body, context))
            self._move(context, draft, artifact.key)
        except (errors.CancelledError, errors.ConflictError, errors.SourceChangedError):
            with suppress(errors.TransferError):
                self._ask(context, "DELETE", draft)  # after any other error the next attempt writes over it
            raise
        if stored := self.stat(artifact.key, context):
            return stored
        raise errors.ValidationError("the server stored it, but not under its key", where=self._url(artifact.key))

    def stat(self, key: str, context: Context) -> Stored | None:
        """Read an object back. Only a clear 404 is absence."""
        where = self._url(key)
        status, size, digest = self._ask(context, "GET", where, fine=NOT_FOUND)
        return None if status == NOT_FOUND else Stored(key, where, size, digests={"sha256": digest})

    def _move(self, context: Context, draft: str, key: str) -> None:
        place = {"Destination": self._url(key), "Overwrite": "F"}
        if self._ask(context, "MOVE", draft, place, fine=CONFLICT)[0] == CONFLICT:  # a folder above is missing
            for folder in (key[:end] for end, letter in enumerate(key) if letter == "/"):
                with suppress(errors.ItemError, errors.ServerError):  # whether it is there now, the MOVE tells
                    self._ask(context, "MKCOL", self._url(folder))
            self._ask(context, "MOVE", draft, place)

    def _url(self, key: str) -> str:
        split_key(key, platform="linux")  # refuses what would leave the folder
        if key.encode(errors="ignore").decode() != key:
            raise errors.ValidationError("the key holds half a character", where=self.options.url)
        return f"{self.options.url.rstrip('/')}/{quote(key)}"

    def _ask(
        self, context: Context, method: str, where: str, headers: Any = (), body: Any = None, *, fine: int = 0
    ) -> tuple[int, int, str]:
        """Ask once: no retry, no redirect, no other server. Give status, size and SHA-256 of the answer."""
        reached, size, digest = False, 0, hashlib.sha256()
        url, login = urlsplit(where), f"{self.options.user}:{self.options.password.reveal()}".encode()
        basic = {"Authorization": f"Basic {base64.b64encode(login).decode()}"} if self.options.user else {}
        scheme = HTTPSConnection if url.scheme == "https" else HTTPConnection
        silence = context.commit_timeout if method == "MOVE" else context.silence
        try:
            with closing(scheme(url.hostname or "", url.port, timeout=silence)) as connection:
                connection.connect()
                reached = True
                with suppress(ConnectionError):  # an answer may have come early, and says why
                    connection.request(method, url.path, body, {**basic, **dict(headers)})
                with connection.getresponse() as answer:
                    if answer.status not in {*range(200, 300), fine}:
                        wait = parse_retry_after(answer.headers["Retry-After"], time.time())
                        raise error_for_status(answer.status, where=where, retry_after=wait)
                    for block in _blocks(answer, context):
                        digest.update(block)
                        size += len(block)
                    if answer.length:  # cut off: http.client says nothing
                        raise IncompleteRead(b"", answer.length)
                    return answer.status, size, digest.hexdigest()
        except (OSError, HTTPException) as error:
            raise errors.NetworkError(f"no whole answer to {method}", where=where, reached=reached) from error


def _blocks(body: Any, context: Context) -> Any:
    while block := body.read(1024 * 1024):
        context.check_cancelled()
        yield block


@haulier.hookimpl
def register_backends() -> list[type[haulier.PutBackend]]:
    """The backend type ``webdav``."""
    return [WebDavBackend]
