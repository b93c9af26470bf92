"""Keys of an installation, derived from one secret: it lies in the OS key store, else in a file of mode 0600."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.errors import StateFolderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from haulier.files.port import Files

__all__ = ["Keys", "system_keyring"]

KEY_BYTES = 32
KEY_TRIES, KEY_PAUSE = 200, 0.05  # seconds between tries


@dataclass(frozen=True, repr=False)
class Keys:
    """Keys of this installation, derived from one secret that never enters the journal.

    Args:
        secret: 32 bytes.
    """

    secret: bytes

    @classmethod
    def load(cls, folder: Path, files: Files, keyring: Any = None) -> Keys:
        """Read the secret from the OS key store when there is a working one, else from a file of mode 0600.

        Args:
            folder: The state folder.
            files: Operating system.
            keyring: The ``keyring`` module, or None for the file.

        Raises:
            StateFolderError: The key file cannot be read or is not a key.
        """
        path = folder / "secret.key"
        if keyring is not None and not path.exists():
            return cls(_from_keyring(keyring, folder, files))
        return cls(_from_file(path, files))

    @classmethod
    def find(cls, folder: Path, files: Files, keyring: Any = None) -> Keys:
        """The same, but a secret that is missing is not made.

        Raises:
            StateFolderError: There is none, or it cannot be read.
        """
        path = folder / "secret.key"
        if path.exists():
            return cls(_from_file(path, files))
        known = keyring.get_password("haulier", str(folder)) if keyring is not None else None
        if known is None:
            raise StateFolderError(
                "the key of this installation is missing",
                where=str(path),
                advice="Put the file secret.key back from the backup of the state folder, or unlock the key store",
            )
        return cls(bytes.fromhex(known))

    @property
    def source_id(self) -> str:
        """The id that a new journal gets, 32 hexadecimal digits."""
        return self.derive("source id").hex()[:32]

    def derive(self, purpose: str) -> bytes:
        """A key for one purpose: HMAC-SHA-256 of its name."""
        return hmac.new(self.secret, purpose.encode(), hashlib.sha256).digest()

    def seal(self, secret: Mapping[str, Any]) -> bytes:
        """Encrypt the secret part of a token: AES-256-GCM, nonce first."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(12)
        text = json.dumps(dict(secret)).encode()
        return nonce + AESGCM(self.derive("token")).encrypt(nonce, text, None)

    def unseal(self, sealed: bytes) -> Mapping[str, Any]:
        """The inverse of :meth:`seal`.

        Raises:
            StateFolderError: It was sealed with another key.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            text = AESGCM(self.derive("token")).decrypt(sealed[:12], sealed[12:], None)
        except InvalidTag as error:
            raise StateFolderError("a journalled token was sealed with another key") from error
        opened: dict[str, Any] = json.loads(text)
        return opened


def system_keyring() -> Any:
    """The ``keyring`` module when it is installed and the system has a key store, else None."""
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring

    return keyring if getattr(keyring.get_keyring(), "priority", 0) >= 1 else None


def _from_keyring(keyring: Any, folder: Path, files: Files) -> bytes:
    name = str(folder)
    known = keyring.get_password("haulier", name)
    if known is None:
        with _alone(folder, files):  # a key store has no "only if absent": the second would replace the first's key
            known = keyring.get_password("haulier", name)
            if known is None:
                known = secrets.token_hex(KEY_BYTES)
                keyring.set_password("haulier", name, known)
    return bytes.fromhex(known)


@contextmanager
def _alone(folder: Path, files: Files) -> Iterator[None]:
    """Wait until nobody else makes the key of this state folder."""
    for _ in range(KEY_TRIES):
        lock = files.lock_file(folder / "key.lock")
        if lock is not None:
            with lock:
                yield
            return
        time.sleep(KEY_PAUSE)
    raise StateFolderError("another program is making the key of this state folder", where=str(folder))


def _from_file(path: Path, files: Files) -> bytes:
    if not path.exists():
        with suppress(FileExistsError):  # another process was first
            files.write_private(path, secrets.token_hex(KEY_BYTES).encode("ascii"), over=False)
        files.fsync_folder(path.parent)  # it may have died since
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise StateFolderError("the key file cannot be read", where=str(path)) from error
    if len(key) != KEY_BYTES:
        raise StateFolderError("the key file does not hold a key", where=str(path))
    return key
