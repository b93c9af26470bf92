"""Where the token of ``config.json`` can lie instead, and how it gets there."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from haulier import Secret
from haulier.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.config.models import BackendConfig
    from haulier.files import Files

__all__ = ["Store", "Stores", "checked_token", "fingerprint", "store_of"]

OPTION = "api_token"
VARIABLE = "WATS_API_TOKEN"
SERVICE = "haulier-wats"
FILE_NAME = "wats-token"
_PRINTABLE = re.compile(r"[!-~]+")
_DIGITS = 12


class Store(StrEnum):
    """Where a token lies."""

    ENCRYPTED = "encrypted"  # in config.json itself
    KEYRING = "keyring"
    FILE = "file"
    ENV = "env"
    PLAIN = "plain"  # in config.json, for everybody who reads it
    NONE = "none"


def store_of(text: str) -> Store:
    """Where the token lies that ``api_token`` names or is."""
    from haulier.config.references import reference_kind

    if not text:
        return Store.NONE
    kinds = {"haulier": Store.ENCRYPTED, "literal": Store.PLAIN}
    kind = reference_kind(text)
    return kinds[kind] if kind in kinds else Store(kind)


def fingerprint(token: Secret) -> str:
    """Twelve digits of a token's SHA-256: tells tokens apart, as the server's audit log does, and shows none."""
    return f"sha256:{hashlib.sha256(token.reveal().encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}"


def checked_token(text: str) -> Secret:
    """A token as it may stand in a request's head.

    Raises:
        ConfigError: It is empty, or has characters that no request can carry.
    """
    if not text:
        raise ConfigError("no token was given", advice="Type it at the prompt, or pipe it in as one line")
    if not _PRINTABLE.fullmatch(text):
        raise ConfigError(
            "the token has spaces, control characters or others that no request can carry",
            advice="Give the token alone, as the server's administrator handed it out",
        )
    return Secret(text)


@dataclass(frozen=True)
class Stores:
    """Reads and writes the places.

    Args:
        table: The backend ``wats`` as configured.
        where: File and key, for messages.
        base_dir: The folder of ``config.json``.
        environ: The environment.
        files: Operating system.
    """

    table: BackendConfig
    where: str
    base_dir: Path
    environ: Mapping[str, str]
    files: Files

    def read(self, reference: str) -> Secret:
        """The token that a reference names.

        Raises:
            ConfigError: It is not there, or cannot be read.
        """
        from haulier.config.references import resolve_secret
        from haulier_wats.options import RENEW

        return resolve_secret(
            reference,
            environ=self.environ,
            base_dir=self.base_dir,
            where=self.where,
            purpose=self._purpose,
            renew=RENEW,
        ).secret

    def default_reference(self, store: Store) -> str:
        """Where a token goes in a store when nobody says.

        Raises:
            ConfigError: That cannot be told without ``base_url``.
        """
        if store is Store.KEYRING:
            return f"keyring:{SERVICE}/{self._host()}"
        if store is Store.FILE:
            from haulier.config.locate import default_user_folder

            return f"file:{(default_user_folder() / FILE_NAME).as_posix()}"
        return f"env:{VARIABLE}" if store is Store.ENV else ""

    def put(self, store: Store, reference: str, token: Secret, *, replace: bool) -> str:
        """Bring a token to its place; what ``config.json`` is to say.

        Args:
            store: The kind of place.
            reference: The place, see :meth:`default_reference`.
            token: The token.
            replace: Whether a file that holds something else is this token's own.

        Raises:
            ConfigError: It cannot be put there. Nothing is lost.
        """
        name = reference.partition(":")[2]
        if store is Store.ENCRYPTED:
            reference = self._seal(token)
        elif store is Store.KEYRING:
            self._put_into_key_store(name, token)
        elif store is Store.FILE:
            self._put_into_file(self.base_dir / Path(name).expanduser(), token, replace=replace)
        elif self.environ.get(name) != token.reveal():
            state = "holds another token" if self.environ.get(name) else "is not set"
            raise ConfigError(
                f"the environment variable {name} {state}",
                where=self.where,
                advice=f"Set {name} to the token for the user who runs WATS, then run this again where it is set",
            )
        if self.read(reference) != token:
            raise ConfigError(
                "the token reads differently from its new place; config.json is as it was",
                where=self.where,
                advice="Choose another store",
            )
        return reference

    @property
    def _purpose(self) -> str:
        from haulier.config.sealing import purpose_of

        return purpose_of(self.table.type, OPTION, self.table.options)

    def _host(self) -> str:
        """Host and port of ``base_url``: the token is for that server alone."""
        try:
            host = urlsplit(str(self.table.options.get("base_url", ""))).netloc.rpartition("@")[2].lower()
        except ValueError:
            host = ""
        if host:
            return host
        raise ConfigError(
            "base_url is missing or no address, and the token is kept for that server alone",
            where=self.where,
            advice="Write api.base_url first",
        )

    def _seal(self, token: Secret) -> str:
        from haulier.config.sealing import make_keys, seal

        self._host()
        try:
            return seal(token, self._purpose, make_keys())
        except OSError as error:
            raise ConfigError(
                f"the key cannot be written: {error.strerror or error}", where=self.where, advice="Choose another store"
            ) from error

    def _put_into_key_store(self, name: str, token: Secret) -> None:
        from haulier.files.keys import system_keyring

        service, _, user = name.rpartition("/")
        if not (service and user):
            raise ConfigError("a key store entry needs two names", where=self.where, advice="Give --name SERVICE/NAME")
        keyring: Any = system_keyring()
        if keyring is None:
            raise ConfigError(
                "there is no key store of the operating system here, or the package keyring is missing",
                where=self.where,
                advice='Install it with `pip install "haulier[keyring]"`, or choose --store encrypted',
            )
        try:
            keyring.set_password(service, user, token.reveal())
        except Exception as error:  # noqa: BLE001  key stores raise what they like, and may quote the token
            raise ConfigError(
                f"the key store does not take the token: {type(error).__name__}",
                where=self.where,
                advice="Unlock it, or choose --store encrypted",
            ) from None

    def _put_into_file(self, path: Path, token: Secret, *, replace: bool) -> None:
        text = token.reveal() + "\n"
        try:
            if path.exists() and not replace and path.read_text("utf-8") != text:
                raise ConfigError(
                    f"the file {path} holds something else", where=self.where, advice="Name another with --file"
                )
            if not path.parent.exists():
                self.files.make_private_dir(path.parent)
            self.files.write_private(path, text.encode())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it holds no text"
            raise ConfigError(
                f"the file {path} cannot be written: {reason}", where=self.where, advice="Name another with --file"
            ) from None
