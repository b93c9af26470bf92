"""Files below a folder: on a disk of this machine, or on anything that fsspec reaches.

A local folder (a path, or a ``file://`` address) holds prefixes, commits without ever replacing a file, and is read
back. Every other address takes whole files and promises less; see :mod:`haulier.backends.remote_store`.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from haulier.backends.api import Abilities, Backend, CommitMode, IfAbsent, PartsMode, ResumeMode
from haulier.backends.local_disk import LocalDisk
from haulier.backends.local_folder import LocalFolder
from haulier.backends.local_store import LocalStore
from haulier.backends.remote_folder import RemoteFolder
from haulier.backends.remote_store import RemoteStore
from haulier.config.secrets import Secret  # noqa: TC001 - options are resolved when a table is validated
from haulier.models import Proof

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haulier.backends.api import Body, CheckReport, Context, Held, LastPart, Part, Settled, Stored, Token, Upload

__all__ = ["FilesystemBackend", "FilesystemOptions"]

_PROTOCOL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)(?:://|::)")  # two letters at least: one is a Windows drive
_LOCAL_PROTOCOLS = frozenset({"file", "local"})
_ABSOLUTE = re.compile(r"(?:(?:file|local)://)?(?:[/~\\]|[A-Za-z]:[/\\])")
_FOLDING_PLATFORMS = frozenset({"win32", "darwin"})


@dataclass(frozen=True)
class FilesystemOptions:
    """Options of the filesystem backend.

    Raises:
        ValueError: ``url`` is empty, or a path that is not absolute.
    """

    url: str = field(metadata={"help": "absolute path, file:// address, or any address that fsspec knows"})
    options: dict[str, Any] = field(
        default_factory=dict, repr=False, metadata={"help": "further arguments of fsspec's file system"}
    )
    secrets: dict[str, Secret] = field(
        default_factory=dict, metadata={"help": "those of its arguments that are secrets, such as a password"}
    )
    create: bool = field(
        default=True,
        metadata={
            "help": "make the folder when its parent is there; false for mount points, which then are waited for"
        },
    )
    read_back: bool | None = field(
        default=None,
        metadata={"help": "read every file again at commit", "default_text": "true for local folders, else false"},
    )

    def __post_init__(self) -> None:
        if _protocol(self.url) in _LOCAL_PROTOCOLS and not _ABSOLUTE.match(self.url):
            raise ValueError("url must be an absolute path or an address such as sftp://host/folder")


class FilesystemBackend(Backend):
    """A folder as a destination. Thread-safe.

    Args:
        name: Configured name.
        options: See :class:`FilesystemOptions`.
        disk: The operating system, for local folders.
        platform: As ``sys.platform`` says.
    """

    type: ClassVar[str] = "filesystem"
    options_type: ClassVar[Any] = FilesystemOptions

    def __init__(
        self, name: str, options: FilesystemOptions, *, disk: LocalDisk | None = None, platform: str = sys.platform
    ) -> None:
        super().__init__(name, options)
        self._disk = disk
        self._platform = platform
        self._lock = threading.Lock()
        self._made: tuple[LocalFolder, LocalStore] | tuple[RemoteFolder, RemoteStore] | None = None
        self._is_local = _protocol(options.url) in _LOCAL_PROTOCOLS
        self._read_back = self._is_local if options.read_back is None else options.read_back
        self.abilities = self._local_abilities() if self._is_local else self._remote_abilities()

    def close(self) -> None:
        """Close the connections to a remote file system."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and isinstance(made[0], RemoteFolder):
            made[0].close()

    def probe(self, context: Context) -> None:
        """Look whether the folder is there, or can be made; writes nothing."""
        self._store.probe(context)

    def check(self, context: Context) -> CheckReport:
        """Write, read and remove a small file."""
        return self._store.check(context)

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Begin a session; on a local disk its empty partial files are made."""
        return self._store.open(upload, context), self.abilities

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Sizes of the partial files on a local disk; elsewhere nothing."""
        return self._store.held(upload, token, context)

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Write one part; on a local disk it is synced before the answer."""
        return self._store.send(upload, token, part, body, context)

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Give the files their names."""
        del held, last
        return self._store.commit(upload, token, digests, context)

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Look at the keys and read back what lies there."""
        return self._store.settle(upload, token, context)

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Remove the partial files."""
        del token, context
        self._store.abort(upload)

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at a file; sizes only."""
        del context
        return self._folder.stat(key)

    def delete(self, key: str, context: Context) -> bool:
        """Remove a file; its folder stays."""
        del context
        return self._folder.delete(key)

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Files below a prefix in key order, unfinished uploads left out."""
        del context
        return self._folder.list(prefix)

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """A file's content in blocks of 1 MiB."""
        del context
        return self._folder.read(key)

    # -- which kind --------------------------------------------------------------------------------------------

    @property
    def _store(self) -> LocalStore | RemoteStore:
        return self._make()[1]

    @property
    def _folder(self) -> LocalFolder | RemoteFolder:
        return self._make()[0]

    def _make(self) -> tuple[LocalFolder, LocalStore] | tuple[RemoteFolder, RemoteStore]:
        with self._lock:
            if self._made is None:
                self._made = self._make_local() if self._is_local else self._make_remote()
            return self._made

    def _make_local(self) -> tuple[LocalFolder, LocalStore]:
        from fsspec.implementations.local import LocalFileSystem

        root = os.path.normpath(LocalFileSystem._strip_protocol(self.options.url))  # noqa: SLF001 - fsspec's own reading
        disk = self._disk or LocalDisk()
        folder = LocalFolder(root, create=self.options.create, disk=disk, platform=self._platform)
        return folder, LocalStore(folder, read_back=self._read_back)

    def _make_remote(self) -> tuple[RemoteFolder, RemoteStore]:
        secrets = {name: secret.reveal() for name, secret in self.options.secrets.items()}
        folder = RemoteFolder(self.options.url, self.options.options | secrets, platform=self._platform)
        return folder, RemoteStore(folder, create=self.options.create, read_back=self._read_back)

    def _local_abilities(self) -> Abilities:
        return Abilities(
            parts=PartsMode.SEQUENTIAL,
            resume=ResumeMode.OFFSET,
            rewinds=True,
            commit=CommitMode.EXPLICIT,
            if_absent=IfAbsent.ATOMIC,
            proof=Proof.CONTENT if self._read_back else Proof.SIZE,
            case_folding=self._platform in _FOLDING_PLATFORMS,
            optional=frozenset({"list", "delete", "read"}),
        )

    def _remote_abilities(self) -> Abilities:
        return Abilities(
            parts=PartsMode.WHOLE,
            resume=ResumeMode.NONE,
            commit=CommitMode.EXPLICIT,
            if_absent=IfAbsent.CHECK_THEN_WRITE,
            proof=Proof.CONTENT if self._read_back else Proof.SIZE,
            optional=frozenset({"list", "delete", "read"}),
        )


def _protocol(url: str) -> str:
    found = _PROTOCOL.match(url)
    return found[1].lower() if found else "file"
