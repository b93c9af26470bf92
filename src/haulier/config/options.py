"""Make a backend's options of its table, and tell when they changed."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from haulier.config.problems import Problems, unknown_key
from haulier.config.references import ReferenceKind, resolve_secret
from haulier.config.sealing import purpose_of
from haulier.config.secrets import Secret
from haulier.config.settings import settings_of
from haulier.config.urls import is_loopback, plain_http_origin
from haulier.config.validation import anchor, check
from haulier.errors import ConfigError

if TYPE_CHECKING:
    from haulier.backends.api import Backend, PutBackend
    from haulier.config.models import BackendConfig
    from haulier.config.references import KeyringGet
    from haulier.config.settings import Setting

__all__ = ["build_options", "options_fingerprint"]


def build_options(
    backend_class: type[Backend | PutBackend],
    config: BackendConfig,
    *,
    environ: Mapping[str, str],
    base_dir: Path,
    keyring_get: KeyringGet | None = None,
) -> tuple[Any, tuple[str, ...]]:
    """Check a backend's table against its type's options and resolve its secrets.

    Args:
        backend_class: The backend type; its ``options_type`` is a dataclass.
        config: The table.
        environ: The environment, for ``env:NAME``.
        base_dir: The folder that relative paths and ``file:PATH`` refer to: that of the configuration file.
        keyring_get: Looks up service and name in the OS key store; default the package ``keyring``.

    Returns:
        The options, and warnings: secrets in clear, plain http to another host.

    Raises:
        ConfigError: An option is missing, unknown or wrong. No message shows an option's value.
        PluginError: The type's options are no usable dataclass.
    """
    settings = settings_of(backend_class.options_type)
    table = _Table(config, environ, base_dir, keyring_get)
    table.refuse_unknown(settings)
    values = {name: table.value(setting) for name, setting in settings.items() if name in config.options}
    table.refuse_missing(settings)
    try:
        options = backend_class.options_type(**values)
    except ValueError as error:
        # The dataclass's own check, in __post_init__: its author knows what may be shown.
        raise ConfigError(str(error), where=table.section) from error
    return options, tuple(table.problems.warnings)


def options_fingerprint(options: Any, key: bytes) -> str:
    """A keyed digest over all options including secrets, to notice a change without keeping them.

    Args:
        options: What :func:`build_options` gave.
        key: Secret of this installation: without it the digest confirms no guess.

    Returns:
        HMAC-SHA256, 64 hexadecimal digits.
    """
    text = json.dumps(_canonical(options), sort_keys=True, ensure_ascii=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@dataclasses.dataclass(slots=True)
class _Table:
    """One backend's table while it is checked."""

    config: BackendConfig
    environ: Mapping[str, str]
    base_dir: Path
    keyring_get: KeyringGet | None
    problems: Problems = dataclasses.field(default_factory=Problems)

    @property
    def section(self) -> str:
        return f"backends.{self.config.name}"

    def where(self, name: str) -> str:
        """For messages about one option; deeper entries share their option's place."""
        origins = self.config.origins
        origin = origins.get(name) or next(
            (given for key, given in origins.items() if key.startswith(f"{name}.")), "options"
        )
        return f"{origin}: {self.section}.{name}"

    def refuse_unknown(self, settings: Mapping[str, Setting]) -> None:
        for name in self.config.options:
            if name not in settings:
                raise unknown_key(self.where(name), name, settings, f"option of the backend type {self.config.type!r}:")

    def refuse_missing(self, settings: Mapping[str, Setting]) -> None:
        missing = [setting for setting in settings.values() if setting.required]
        for setting in missing:
            if setting.name in self.config.options:
                continue
            origin = next(iter(self.config.origins.values()), "")
            raise ConfigError(
                f"the backend type {self.config.type!r} needs the option {setting.name!r}: {setting.allowed}",
                where=f"{origin}: {self.section}" if origin else self.section,
                advice=setting.help or f"Add {setting.name} to [{self.section}]",
            )

    def value(self, setting: Setting) -> Any:
        """The checked value of one option that is given."""
        given = self.config.options[setting.name]
        where = self.where(setting.name)
        if setting.secret:
            given = self._resolved(given, where, setting)
        try:
            checked = check(setting, given, as_text=setting.name in self.config.texts)
            checked = anchor(checked, self.base_dir)
        except ValueError as reason:
            advice = f"It is {_kind_of(given)}" if not isinstance(given, Secret) else None
            raise ConfigError(f"must be {reason}", where=where, advice=advice) from None
        if setting.name == "url" and isinstance(checked, str):
            checked = _anchored_url(checked, self.base_dir)
        if setting.name.endswith("url") and isinstance(checked, str):
            self._warn_of_plain_http(checked, where)
        return checked

    def _resolved(self, given: Any, where: str, setting: Setting) -> Any:
        """Replace every text within a value whose type holds secrets."""
        if isinstance(given, str):
            return self._secret(given, where, setting)
        if isinstance(given, Mapping):
            return {key: self._resolved(entry, f"{where}.{key}", setting) for key, entry in given.items()}
        if isinstance(given, (list, tuple)):
            return [self._resolved(entry, where, setting) for entry in given]
        return given

    def _secret(self, text: str, where: str, setting: Setting) -> Secret:
        found = resolve_secret(
            text,
            environ=self.environ,
            base_dir=self.base_dir,
            keyring_get=self.keyring_get,
            where=where,
            purpose=purpose_of(self.config.type, setting.name, self.config.options),
            renew=setting.renew,
        )
        already_in_environment = found.kind is ReferenceKind.LITERAL and where.startswith("environment ")
        if found.warning and not already_in_environment:
            self.problems.warn(where, found.warning)
        return found.secret

    def _warn_of_plain_http(self, url: str, where: str) -> None:
        origin, host = plain_http_origin(url)
        if origin and not is_loopback(host):
            self.problems.warn(where, f"{origin} is not encrypted: what is sent can be read on the way; use https")


def _anchored_url(url: str, base_dir: Path) -> str:
    """An address without a scheme is a path, and relative ones lie in the configuration's folder like other paths."""
    has_scheme = "://" in url or "::" in url
    return url if has_scheme or not url else str(base_dir / Path(url).expanduser())


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    kinds = {str: "a text", int: "a whole number", float: "a number", dict: "a table", list: "a list"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _canonical(value: Any) -> Any:
    """A value as JSON that differs whenever the value does."""
    if isinstance(value, Secret):
        return ["secret", value.reveal()]
    if dataclasses.is_dataclass(value):
        return {item.name: _canonical(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _canonical(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(entry) for entry in value]
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(_canonical(entry), sort_keys=True) for entry in value)
    if isinstance(value, Enum):
        return _canonical(value.value)
    if isinstance(value, (str, int, float)) or value is None:
        return value
    return str(value) if isinstance(value, PurePath) else repr(value)
