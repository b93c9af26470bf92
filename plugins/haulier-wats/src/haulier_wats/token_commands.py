"""``haulier wats token``: take the token out of ``config.json``, and tell where it is without showing it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from haulier.cli.settings import CommonGroup, Settings
from haulier.errors import ConfigError

if TYPE_CHECKING:
    from haulier import Secret
    from haulier.cli.output import Output
    from haulier_wats.config_text import TokenText
    from haulier_wats.token_stores import Store, Stores

__all__ = ["token"]

_STORES = ("encrypted", "keyring", "file", "env")
_LARGEST_NEIGHBOUR = 1 << 20


@click.group(cls=CommonGroup)
def token() -> None:
    """Where the token of WATS's config.json is kept."""


@token.command("set")
@click.option("--store", type=click.Choice(_STORES), help="Where to keep it; default: where it is, else encrypted.")
@click.option("--new", is_flag=True, help="Ask for a new token, or read it from stdin; never from the command line.")
@click.option("--name", help="With env: the variable. With keyring: SERVICE/NAME.")
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="With file: the file to write.")
@click.pass_obj
def set_token(settings: Settings, store: str | None, new: bool, name: str | None, file: Path | None) -> None:
    """Take the token out of config.json, or give a new one. All else in the file stays byte for byte.

    Example: haulier wats token set --config C:/WATS/config.json
    """
    from haulier.cli.output import Output
    from haulier_wats.token_stores import Store, checked_token, fingerprint, store_of

    output = Output(settings)
    place = _Place.open(settings)
    chosen = Store(store) if store else place.usual_store
    wanted = place.reference(chosen, name, file)
    if new or (place.store is Store.NONE and chosen is not Store.ENV):
        held = checked_token(_ask())
    else:
        held = checked_token(place.stores.read(place.text.value or wanted).reveal())
    changed = not place.holds(chosen, wanted, held)
    if changed:
        old = place.text.value
        place.write(place.stores.put(chosen, wanted, held, replace=wanted in {old, place.own_file}))
        if place.document()["reference"] != old and store_of(old) in {Store.FILE, Store.KEYRING}:
            output.say(f"the token that {old} names is still there; delete it there if nobody else needs it")
    verb = "is" if changed else "was already"
    lines = [f"{place.where}: the token {fingerprint(held)} {verb} {place.told}"]
    output.result({**place.document(), "fingerprint": fingerprint(held), "changed": changed}, lines)
    place.warn_of_copies(held, output)


@token.command("show")
@click.pass_obj
def show_token(settings: Settings) -> int:
    """Tell where the token is, and its fingerprint; never the token. Exit code 4 when it cannot be read."""
    from haulier.cli.exit_codes import ExitCode
    from haulier.cli.output import Output
    from haulier_wats.token_stores import Store, fingerprint

    output = Output(settings)
    place = _Place.open(settings)
    mark, problem = None, None
    if place.text.value:
        try:
            mark = fingerprint(place.stores.read(place.text.value))
        except ConfigError as error:
            problem = error
    told = f"the token {mark or '(it cannot be read)'} is {place.told}" if place.text.value else "there is no token"
    output.result({**place.document(), "fingerprint": mark, "readable": mark is not None}, [f"{place.where}: {told}"])
    if place.store is Store.PLAIN:
        output.warn(f"{place.where}: is written in clear; `haulier wats token set` takes it out")
    if problem is not None:
        output.error(problem)
        return ExitCode.CONFIGURATION
    return ExitCode.OK


def _ask() -> str:
    """A token from the prompt, or one line of stdin."""
    if sys.stdin is None:
        raise ConfigError("there is no terminal to ask at", advice="Pipe the token in as one line")
    if sys.stdin.isatty():
        typed: str = click.prompt("Token", hide_input=True, err=True, default="", show_default=False)
        return typed
    return sys.stdin.readline().removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


@dataclass
class _Place:
    """A configuration file, what stands there for the token, and where that may lie."""

    path: Path
    text: TokenText
    stores: Stores

    @classmethod
    def open(cls, settings: Settings) -> _Place:
        from haulier.config.layers import load_config
        from haulier.config.models import BackendConfig
        from haulier.files import Files
        from haulier_wats.config import BACKEND, read_wats_config
        from haulier_wats.config_text import find_token
        from haulier_wats.token_stores import Stores

        path = _config_file(settings)
        text = find_token(_read(path), str(path))
        config = load_config(path, readers={"api": read_wats_config}, lenient=True)
        table = config.backends.get(BACKEND) or BackendConfig(BACKEND, BACKEND)
        stores = Stores(table, f"{path}: {text.key}", path.parent, os.environ, Files())
        return cls(path, text, stores)

    @property
    def where(self) -> str:
        return self.stores.where

    @property
    def store(self) -> Store:
        from haulier_wats.token_stores import store_of

        return store_of(self.text.value)

    @property
    def usual_store(self) -> Store:
        """Where the token goes when nobody says."""
        from haulier_wats.token_stores import Store

        return Store.ENCRYPTED if self.store in {Store.PLAIN, Store.NONE} else self.store

    @property
    def own_file(self) -> str:
        """The file that is nobody else's."""
        from haulier_wats.token_stores import Store

        return self.stores.default_reference(Store.FILE)

    @property
    def told(self) -> str:
        """Where the token lies, in words."""
        from haulier_wats.token_stores import Store

        if self.store is Store.PLAIN:
            return "in clear in this file"
        return "encrypted in this file" if self.store is Store.ENCRYPTED else f"at {self.text.value}"

    def document(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        from haulier_wats.token_stores import Store

        named = self.store in {Store.KEYRING, Store.FILE, Store.ENV}
        return {
            "path": str(self.path),
            "key": self.text.key,
            "store": str(self.store),
            "reference": self.text.value if named else None,
        }

    def reference(self, chosen: Store, name: str | None, file: Path | None) -> str:
        """The place that the options name; without them the present one, or the usual one."""
        from haulier_wats.token_stores import Store

        if name is not None and chosen not in {Store.ENV, Store.KEYRING}:
            raise click.UsageError("--name goes with --store env or --store keyring")
        if file is not None and chosen is not Store.FILE:
            raise click.UsageError("--file goes with --store file")
        if name is not None:
            return f"{chosen}:{name}"
        if file is not None:
            return f"file:{Path(os.path.abspath(file)).as_posix()}"  # noqa: PTH100  resolve() would follow links
        return self.text.value if chosen is self.store else self.stores.default_reference(chosen)

    def holds(self, chosen: Store, wanted: str, token: Secret) -> bool:
        """Whether the token is there already."""
        if chosen is not self.store or wanted != self.text.value:
            return False
        try:
            return self.stores.read(wanted) == token
        except ConfigError:
            return False

    def write(self, reference: str) -> None:
        """Let ``config.json`` say where the token is now."""
        from haulier_wats.config_text import find_token, write_config

        new = self.text.with_value(reference)
        if new != self.text.content:
            write_config(self.path, self.text.content, new, self.stores.files)
        self.text = find_token(new, str(self.path))

    def warn_of_copies(self, token: Secret, output: Output) -> None:
        """Tell of the token in clear elsewhere in the file, or in copies that lie beside it."""
        clear = token.reveal().encode()
        for path in sorted(self.path.parent.glob(f"{self.path.stem}*")):
            try:
                found = path.is_file() and path.stat().st_size <= _LARGEST_NEIGHBOUR and clear in path.read_bytes()
            except OSError:
                continue
            if found:
                output.warn(f"{path} still holds the token in clear; delete it there")


def _config_file(settings: Settings) -> Path:
    from haulier.config.locate import default_user_folder, locate

    found = locate(settings.config, environ=os.environ, cwd=Path.cwd(), user_folder=default_user_folder()).path
    if found is None or found.suffix.lower() == ".toml":
        raise ConfigError(
            "this command is for WATS's own config.json",
            where=str(found or ""),
            advice="Name it with --config; in a haulier.toml write api_token as a reference, such as env:NAME",
        )
    return Path(os.path.abspath(found))  # noqa: PTH100  resolve() would follow links


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=str(path), advice="") from error
