"""A root on any file system that fsspec knows, and the files below it."""

from __future__ import annotations

import hashlib
import socket
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Stored
from haulier.backends.disk_errors import away, disk_errors
from haulier.backends.keys import PARTIAL_FOLDER, split_key
from haulier.backends.remote_errors import translate_foreign
from haulier.errors import ConfigError, ConflictError, NetworkError, ServerError, UnsupportedError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from haulier.backends.api import Body, Context

__all__ = ["RemoteFolder"]

DEFAULT_SILENCE = 60.0
"""Seconds; as ``upload_timeout`` has by default."""

_BLOCK = 1 << 20


class RemoteFolder:
    """Files below one root. Thread-safe: each thread gets a connection of its own, as fsspec wants it.

    Args:
        url: Root, as fsspec understands it.
        options: Further arguments of the file system.
        platform: As ``sys.platform`` says.
        silence: Seconds without a byte after which a call over SFTP is given up; fsspec itself knows no limit.
    """

    def __init__(
        self, url: str, options: Mapping[str, Any], *, platform: str, silence: float = DEFAULT_SILENCE
    ) -> None:
        self._silence = silence
        self._url = url
        self._options = dict(options)
        self._platform = platform
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._made: list[Any] = []

    def close(self) -> None:
        """Close the connections of all threads, where the file system has any that stay."""
        with self._lock:
            made, self._made = self._made, []
        for system in made:
            _close_connections(system)

    # -- the file system ---------------------------------------------------------------------------------------

    @property
    def _system(self) -> Any:
        """This thread's file system."""
        return self._connected()[0]

    def _connected(self) -> tuple[Any, str]:
        """This thread's file system, and the root's path in it."""
        if not hasattr(self._threads, "connected"):
            self._threads.connected = self._connect()
        connected: tuple[Any, str] = self._threads.connected
        return connected

    def _connect(self) -> tuple[Any, str]:
        """Make the file system, which connects with some protocols.

        Raises:
            ConfigError: Nothing is known by the URL's protocol, or a package is missing.
        """
        from fsspec.core import url_to_fs

        try:
            with self.errors():
                system, root = url_to_fs(self._url, **{"skip_instance_cache": True, **self._options})
        except NetworkError as error:
            raise away(error.what, self.location()) from error
        except ImportError as error:
            raise ConfigError(
                f"a package that this address needs is not installed: {error}",
                where=self.location(),
                advice="Install it into the same environment as haulier",
            ) from error
        except (ValueError, TypeError) as error:
            raise ConfigError(
                "fsspec cannot use this address with these options",
                where=self.location(),
                advice="Correct url and options; `python -c 'import fsspec; print(fsspec.available_protocols())'` "
                "lists the protocols",
            ) from error
        _tune(system, self._silence)
        with self._lock:
            self._made.append(system)
        return system, str(root).rstrip("/")

    def _disconnect(self) -> None:
        """Let go of this thread's connection; the next call makes another."""
        connected = getattr(self._threads, "connected", None)
        if connected is None:
            return
        del self._threads.connected
        with self._lock:
            self._made = [system for system in self._made if system is not connected[0]]
        _close_connections(connected[0])

    @property
    def can_move(self) -> bool:
        """Whether a file can get another name there, rather than be written again."""
        return self._renames or _has_own(self._system, "cp_file", "_cp_file")

    @property
    def _renames(self) -> bool:
        return _has_own(self._system, "mv")

    # -- paths -------------------------------------------------------------------------------------------------

    def path(self, key: str) -> str:
        """Where a key lies.

        Raises:
            ValidationError: The key cannot be a path below the root.
        """
        parts = split_key(key, platform=self._platform)
        if any("\ud800" <= character <= "\udfff" for character in key):
            raise ValidationError("the key holds half a character, which no address can", where=self.location())
        return self._below("/".join(parts))

    def partial(self, name: str) -> str:
        """Where an unfinished upload lies."""
        return self._below(f"{PARTIAL_FOLDER}/{name}")

    @property
    def root(self) -> str:
        """The root's path within its file system."""
        return self._connected()[1]

    def _below(self, relative: str) -> str:
        return f"{self.root}/{relative}"

    def location(self, key: str = "") -> str:
        """The address of a key, without query or credentials."""
        root = _without_credentials(self._url).rstrip("/")
        return f"{root}/{key}" if key else root

    # -- files -------------------------------------------------------------------------------------------------

    @contextmanager
    def errors(self, key: str = "") -> Iterator[None]:
        """Translate what the file system raises inside. A connection that may be broken is not used again."""
        where = self.location(key)
        try:
            with disk_errors(where):
                try:
                    yield
                except NotImplementedError as error:
                    raise UnsupportedError("this file system cannot do that", where=where) from error
                except Exception as error:
                    known = translate_foreign(error, where)
                    if known is None:
                        raise
                    raise known from error
        except (NetworkError, ServerError):
            self._disconnect()
            raise

    def info(self, path: str) -> Mapping[str, Any] | None:
        """What is known of a path, asked anew; None when nothing lies there."""
        with self.errors():
            self._system.invalidate_cache()
            try:
                found: Mapping[str, Any] = self._system.info(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return found

    def size(self, path: str) -> tuple[bool, int | None]:
        """Whether a file lies there, and its bytes if the file system says so.

        Raises:
            ConflictError: A folder lies there.
        """
        found = self.info(path)
        if found is None:
            return False, None
        if found.get("type") == "directory":
            raise ConflictError("a folder has this name", where=self.location())
        return True, found.get("size")

    def write(self, path: str, body: Body, context: Context) -> None:
        """Write a whole file from a body; a failure leaves nothing that counts."""
        with self.errors():
            self.make_parent(path)
            file = self._system.open(path, "wb")
        try:
            block = memoryview(bytearray(min(_BLOCK, max(body.size, 1))))
            while count := body.readinto(block):
                context.check_cancelled()
                with self.errors():
                    file.write(bytes(block[:count]))
        except BaseException:
            with suppress(Exception):
                file.close()
            with suppress(Exception):
                self._system.rm_file(path)
            raise
        with self.errors():
            file.close()

    def move(self, source: str, target: str) -> None:
        """Give a file another name: by a rename where there is one, else by a copy at the far side."""
        with self.errors():
            self.make_parent(target)
            if self._renames:
                self._system.mv(source, target)
            else:
                # fsspec's own mv would take brackets and stars in a name for patterns.
                self._system.cp_file(source, target)
                self._system.rm_file(source)

    def make_parent(self, path: str) -> None:
        """Make the folders above a path, where there are folders.

        Raises:
            ConflictError: A file has the name of the folder; not every file system would mind.
        """
        parent = path.rpartition("/")[0]
        for level in range(parent.count("/"), -1, -1):
            try:
                self._system.makedirs(parent, exist_ok=True)
                break
            except PermissionError:
                raise
            except OSError:  # another thread made the folder in between: each level can be lost to one once
                if not level:
                    raise
        found = self.info(parent)
        if found is not None and found.get("type") == "file":
            raise ConflictError("a file has the name of a folder", where=self.location())

    def remove(self, path: str) -> bool:
        """Remove a file; False when it is not there."""
        with self.errors():
            try:
                self._system.rm_file(path)
            except FileNotFoundError:
                return False
        return True

    def blocks(self, path: str) -> Generator[bytes, None, None]:
        """A file's content in blocks of 1 MiB."""
        with self.errors(), self._system.open(path, "rb") as file:
            while block := file.read(_BLOCK):
                yield block

    def sha256(self, path: str, context: Context) -> str:
        """Digest of a file as it is read back."""
        hasher = hashlib.sha256()
        with closing(self.blocks(path)) as blocks:
            for block in blocks:
                context.check_cancelled()
                hasher.update(block)
        return hasher.hexdigest()

    # -- objects -----------------------------------------------------------------------------------------------

    def stored(self, key: str, size: int | None, sha256: str | None = None) -> Stored:
        """What is known of a file."""
        return Stored(key, self.location(key), size, digests={"sha256": sha256} if sha256 else {})

    def stat(self, key: str) -> Stored | None:
        """Look at a file."""
        there, size = self.size(self.path(key))
        return self.stored(key, size) if there else None

    def delete(self, key: str) -> bool:
        """Remove a file; False when it is not there."""
        path = self.path(key)
        there, _ = self.size(path)
        return there and self.remove(path)

    def read(self, key: str) -> Iterator[bytes]:
        """A file's content.

        Raises:
            ValidationError: There is none.
        """
        path = self.path(key)
        there, _ = self.size(path)
        if not there:
            raise ValidationError("there is no such file", where=self.location(key))
        return self.blocks(path)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Files below a prefix in key order."""
        start = len(self.root) + 1
        with self.errors():
            self._system.invalidate_cache()
            found = self._system.find(self._below(prefix.rpartition("/")[0]).rstrip("/"), detail=True)
        keys = {path[start:]: entry.get("size") for path, entry in found.items()}
        return (
            self.stored(key, keys[key])
            for key in sorted(keys)
            if key.startswith(prefix) and not key.startswith(f"{PARTIAL_FOLDER}/")
        )


def _without_credentials(url: str) -> str:
    """An address fit to be shown. Of a chain (``simplecache::sftp://host/folder``) the last address counts."""
    address = url.rpartition("::")[2] or url
    protocol, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    holds_password = ":" in host and not host.rpartition(":")[2].isdigit()  # one with a slash in it
    if "@" in host or ("@" in path and holds_password):
        rest = rest.rpartition("@")[2] if holds_password else host.rpartition("@")[2] + slash + path
    return f"{protocol}{separator}{rest}".partition("?")[0]


def _close_connections(system: Any) -> None:
    """Close what fsspec has no word for: the client of paramiko (sftp), that of ftplib."""
    for name in ("client", "ftp"):
        connection: Any = getattr(system, name, None)
        if connection is not None and type(connection).__module__.partition(".")[0] in {"paramiko", "ftplib"}:
            with suppress(Exception):
                connection.close()


def _tune(system: Any, silence: float) -> None:
    """Set what fsspec leaves unset of paramiko's connections.

    Nagle's algorithm is switched off: paramiko waits for the answer to each 32 KiB, and with a server that delays its
    acknowledgements a mebibyte takes more than a second. A server that falls silent would hold its caller for ever.
    """
    client: Any = getattr(system, "client", None)
    if type(client).__module__.partition(".")[0] != "paramiko":
        return
    with suppress(Exception):
        client.get_transport().sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        system.ftp.get_channel().settimeout(silence)


def _has_own(system: Any, *names: str) -> bool:
    """Whether a file system has its own version of one of these methods, rather than fsspec's stand-in."""
    import fsspec.asyn
    import fsspec.spec

    bases = (fsspec.spec.AbstractFileSystem, fsspec.asyn.AsyncFileSystem)
    stand_ins = [getattr(base, name) for base in bases for name in names if hasattr(base, name)]
    own = [getattr(type(system), name) for name in names if hasattr(type(system), name)]
    return any(method not in stand_ins for method in own)
