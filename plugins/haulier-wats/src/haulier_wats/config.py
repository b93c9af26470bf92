"""Read WATS's own ``config.json``: the section ``api`` and the recordings folder (WATS manual, "Parâmetros")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haulier.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_wats_config"]

BACKEND = "wats"
"""Name and type of the backend that ``base_url`` and ``api_token`` belong to."""

_DEFAULTS = {"enabled": False, "auto_upload": False, "backend": BACKEND}
"""Where WATS differs from Haulier: it uploads nothing unless told to."""

_CONNECTION = ("base_url", "api_token")


def read_wats_config(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Bring a WATS configuration to Haulier's shape.

    Args:
        document: The whole ``config.json``. ``api`` holds the ten keys of WATS and may hold ``backend`` and other keys
            of Haulier's ``[upload]``; a section ``backends`` is Haulier's own; ``recording.output_dir`` is watched;
            every other section is left to WATS.

    Returns:
        The document in Haulier's shape, and warnings.

    Raises:
        ConfigError: ``api`` is no object.
    """
    api = document.get("api")
    if not isinstance(api, dict):
        raise ConfigError("must be an object with the upload settings", where="api")
    given = {key: value for key, value in api.items() if value is not None}
    upload = {**_DEFAULTS, **{key: value for key, value in given.items() if key not in _CONNECTION}}
    translated: dict[str, Any] = {"upload": upload, "backends": _backends(document, given, upload["backend"])}
    folder, warnings = _recordings_folder(document)
    if folder:
        translated["watch"] = {"paths": [folder]}
    return translated, warnings


def _backends(document: Mapping[str, Any], api: Mapping[str, Any], selected: Any) -> Any:
    """The section ``backends`` with the connection of ``api`` as the backend ``wats``."""
    backends = document.get("backends")
    if backends is None:
        backends = {}
    if not isinstance(backends, dict):
        return backends  # refused by whoever checks the result
    connection = {key: api[key] for key in _CONNECTION if api.get(key) not in (None, "")}
    own = backends.get(BACKEND)
    if not connection and own is None and selected != BACKEND:
        return backends
    if own is not None and not isinstance(own, dict):
        return backends
    return {**backends, BACKEND: {**connection, **(own or {})}}


def _recordings_folder(document: Mapping[str, Any]) -> tuple[Any, list[str]]:
    recording = document.get("recording")
    if recording is None:
        return None, []
    if not isinstance(recording, dict):
        return None, ["recording is no object; no folder is watched"]
    return recording.get("output_dir"), []
