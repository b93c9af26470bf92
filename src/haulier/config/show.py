"""Show the effective configuration as TOML, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from haulier.config.references import is_reference
from haulier.config.secrets import Secret
from haulier.config.settings import SECTIONS, settings_of
from haulier.config.toml_text import key_text, value_text
from haulier.config.urls import without_credentials

if TYPE_CHECKING:
    from haulier.config.models import BackendConfig, Config

__all__ = ["config_document", "show_config"]

_STARS = "***"
_SUSPECT = re.compile(
    r"token|secret|passw|passphrase|passcode|pwd|key|credential|sas|auth|cookie|signature", re.IGNORECASE
)
"""Names under which people keep secrets, for options whose type is not known."""


def config_document(config: Config, option_types: Mapping[str, type] | None = None) -> dict[str, Any]:
    """The effective configuration in the shape of its file, fit to be printed.

    Args:
        config: The configuration.
        option_types: Options dataclass by backend type. Options of other types are hidden whenever their name is like
            that of a secret. References to secrets are shown, secrets are stars.
    """
    document: dict[str, Any] = {
        section: {name: getattr(getattr(config, section), name) for name in settings_of(owner)}
        for section, owner in SECTIONS.items()
    }
    known = option_types or {}
    document["backends"] = {
        name: {"type": backend.type, **_shown_options(backend, known.get(backend.type))}
        for name, backend in config.backends.items()
    }
    return document


def show_config(config: Config, option_types: Mapping[str, type] | None = None, *, origins: bool = False) -> str:
    """The same as TOML text, with the origin of each value as a comment on demand."""
    document = config_document(config, option_types)
    backends = document.pop("backends")
    tables = [(section, table) for section, table in document.items()]
    tables += [(f"backends.{name}", table) for name, table in backends.items()]
    blocks = [f"# {config.path}" if config.path else "# no configuration file"]
    for section, table in tables:
        head, _, name = section.partition(".")
        lines = [f"[{head}.{key_text(name)}]" if name else f"[{section}]"]
        for key, value in table.items():
            line = f"{key_text(key)} = {value_text(value)}"
            lines.append(f"{line}  # {_origin(config, f'{section}.{key}')}" if origins else line)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _origin(config: Config, path: str) -> str:
    """Where a value came from; a table names each of its sources once."""
    found = [origin for key, origin in config.origins.items() if key == path or key.startswith(f"{path}.")]
    text = ", ".join(dict.fromkeys(found)) or "default"
    return re.sub(r"[\x00-\x1f\x7f]", "?", text)


def _shown_options(backend: BackendConfig, options_type: type | None) -> dict[str, Any]:
    settings = settings_of(options_type) if options_type else {}
    shown = {}
    for name, value in backend.options.items():
        setting = settings.get(name)
        is_secret = setting.secret if setting else bool(_SUSPECT.search(name))
        shown[name] = _redacted(value, is_secret=is_secret)
    return shown


def _redacted(value: Any, *, is_secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _redacted(entry, is_secret=is_secret or bool(_SUSPECT.search(str(key))))
            for key, entry in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redacted(entry, is_secret=is_secret) for entry in value]
    if isinstance(value, Secret):
        return _STARS if value else ""
    if isinstance(value, str):
        if not is_secret:
            return without_credentials(value)
        return value if is_reference(value) or not value else _STARS
    if isinstance(value, (bool, int, float)) and not is_secret:
        return value
    return _STARS if is_secret else str(value)
