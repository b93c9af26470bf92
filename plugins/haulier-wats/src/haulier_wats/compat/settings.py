"""The program's settings object, brought to a configuration of Haulier. Nothing in it can stop the program.

Any attribute may be missing, hold something of another kind, or be a mock that answers everything with another mock:
only values of the right type count, for the rest the defaults hold.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier_wats.compat.config import DEFAULTS, check_address
from haulier_wats.compat.log import logger
from haulier_wats.compat.values import WrongValueError, as_bool

if TYPE_CHECKING:
    from haulier.config.models import BackendConfig, Config
    from haulier_wats.compat.upload_client import RecordingUploadClient

__all__ = ["FaceSettings", "read_settings", "settings_of_client"]

log = logger("config")

WATS = "wats"
OPTION = "api_token"
STATE_FOLDER = "uploads"
OLD_STATE = "upload_state.json"
_FILE = "file:"
_ATTRIBUTES = {name: f"API_{name.removeprefix('api_').upper()}" for name in DEFAULTS}
_PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class FaceSettings:
    """What the face works with.

    Attributes:
        config: Of Haulier; its state folder is the first of ``folders``.
        folders: State folders, the wanted one first, then the one to fall back to.
        old_state: Where the first uploader may have left its state; None when nobody can tell.
        problem: Why uploading cannot work with these settings; empty when it can.
    """

    config: Config
    folders: tuple[Path, ...]
    old_state: Path | None = None
    problem: str = ""

    @property
    def enabled(self) -> bool:
        """Whether anything is uploaded."""
        return self.config.upload.enabled

    @property
    def connection(self) -> tuple[str, str] | None:
        """Address and token (perhaps a reference) of the WATS server; None when another backend was chosen."""
        table = self.config.backends.get(self.config.upload.backend)
        if table is None or table.type != WATS:
            return None
        return str(table.options.get("base_url", "")), str(table.options.get(OPTION, ""))

    def usable_config(self) -> Config:
        """The configuration without a token that cannot be read, which is logged: recordings are queued all the same.

        The server refuses them then, and they wait for a token that can be read. May ask the OS key store, which may
        take its time: not for the constructing thread.
        """
        upload, known = self.config.upload, self.config.backends
        tables = {name: known[name] for name in (upload.backend, *upload.also) if name in known}
        usable = {name: _usable_table(table) for name, table in tables.items()}
        return replace(self.config, backends={**known, **usable})


def _usable_table(table: BackendConfig) -> BackendConfig:
    """A backend's table without a token of WATS that cannot be read."""
    from haulier.config.references import resolve_secret
    from haulier.config.sealing import purpose_of
    from haulier.errors import ConfigError
    from haulier_wats.options import RENEW

    text = table.options.get(OPTION) if table.type == WATS else None
    if not isinstance(text, str):
        return table
    purpose = purpose_of(WATS, OPTION, table.options)
    try:
        resolve_secret(
            text, environ=os.environ, base_dir=Path.cwd(), where=f"api.{OPTION}", purpose=purpose, renew=RENEW
        )
    except ConfigError as error:
        log.error("%s; recordings are queued and wait", error)  # noqa: TRY400  the text says all there is
        return replace(table, options={**table.options, OPTION: ""})
    return table


def read_settings(settings: object, *, environ: Mapping[str, str] | None = None) -> FaceSettings:
    """Read the settings object, or a mapping with the content of ``config.json``. Warns once of each odd value.

    Args:
        settings: See the module.
        environ: The environment; None for that of this process.
    """
    from haulier.config.layers import load_config
    from haulier.config.models import default_state_dir
    from haulier_wats.config import read_wats_config

    data_folder = _path(_attribute(settings, "USER_DATA_DIR"))
    document = _document(settings, data_folder)
    config = load_config(document, environ=environ, readers={"api": read_wats_config}, lenient=True)
    for warning in config.warnings:
        log.warning("%s", warning)
    wanted = config.upload.state_dir
    if data_folder is not None and config.origins["upload.state_dir"] == "default":
        wanted = data_folder / STATE_FOLDER
    made = FaceSettings(
        replace(config, upload=replace(config.upload, state_dir=wanted)),
        tuple(dict.fromkeys((wanted, default_state_dir()))),
        None if data_folder is None else data_folder / OLD_STATE,
    )
    return replace(made, problem=_problem(settings, made))


def _document(settings: object, data_folder: Path | None) -> dict[str, Any]:
    """What ``config.json`` would hold. A file that holds the token lies where ``config.json`` does, as for Haulier."""
    document = dict(settings) if isinstance(settings, Mapping) else _from_attributes(settings)
    given = document.get("api")
    api = _clean(given if isinstance(given, Mapping) else {})
    if data_folder is not None and str(api.get("api_token", "")).startswith(_FILE):
        name = Path(api["api_token"].removeprefix(_FILE)).expanduser()
        api["api_token"] = f"{_FILE}{data_folder / name}"
    tables = document.get("backends")
    backends = dict(tables) if isinstance(tables, Mapping) else {}
    chosen = api.get("backend", WATS)
    backends.setdefault(chosen, {})
    if chosen == WATS and isinstance(backends[WATS], Mapping) and not api.get("api_token"):
        backends[WATS] = {"api_token": "", **backends[WATS]}  # without a token the server decides
    return {**document, "api": api, "backends": backends}


def _from_attributes(settings: object) -> dict[str, Any]:
    api = {name: _attribute(settings, attribute) for name, attribute in _ATTRIBUTES.items()}
    api["backend"] = _attribute(settings, "API_BACKEND")
    api["also"] = _attribute(settings, "API_ALSO")
    folder = _path(_attribute(settings, "RECORDING_OUTPUT_DIR"))
    document: dict[str, Any] = {"api": api, "backends": _attribute(settings, "API_BACKENDS")}
    return document if folder is None else {**document, "recording": {"output_dir": str(folder)}}


def _clean(api: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is of a wrong kind. Truth values are read here: a wrong one must not switch anything on."""
    cleaned: dict[str, Any] = {}
    for name, value in api.items():
        if name == "also":
            if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
                cleaned[name] = list(value)
            continue
        default = DEFAULTS.get(name, "" if name == "backend" else None)
        if default is None and value is not None:
            cleaned[name] = value  # one of Haulier's own keys
        elif not isinstance(value, _PLAIN) or (isinstance(default, str) and not isinstance(value, str)):
            continue
        elif isinstance(default, bool):
            try:
                cleaned[name] = as_bool(value)
            except WrongValueError as wrong:
                log.warning("api.%s must be %s; the default holds (%s)", name, wrong, str(default).lower())
        elif value != "" or default != "":
            cleaned[name] = value
    return cleaned


def _problem(settings: object, made: FaceSettings) -> str:
    if not made.enabled:
        return ""
    if not made.config.upload.backend:
        return "no backend is configured"
    if made.connection is None:
        return ""
    try:
        check_address(made.connection[0])
    except ValueError as error:
        return str(error)
    if _refuses(settings):
        return "validate_api_config() of the settings says that the section api is not complete"
    if not made.connection[1]:
        log.warning("api.api_token is empty: the server will see requests without a token")
    return ""


def _refuses(settings: object) -> bool:
    """Whether the program's own check says no; one that fails, is missing or is a mock says nothing."""
    check = _attribute(settings, "validate_api_config")
    if not callable(check):
        return False
    try:
        return check() is False
    except Exception:
        log.warning("validate_api_config() of the settings failed; its answer is left out", exc_info=True)
        return False


def _attribute(settings: object, name: str) -> Any:
    try:
        return getattr(settings, name, None)
    except Exception:  # noqa: BLE001  a property of the program may raise anything
        return None


def _path(value: Any) -> Path | None:
    return Path(os.path.abspath(value)) if isinstance(value, str | Path) and str(value).strip() else None  # noqa: PTH100


def settings_of_client(
    client: RecordingUploadClient | None,
    max_retries: int,
    max_concurrent_uploads: int,
    state_file: str | os.PathLike[str] | None,
) -> FaceSettings:
    """The settings of a manager that was made by hand: its client's server, nothing watched, nothing deleted.

    Raises:
        TypeError: There is no client that names a server.
    """
    if client is None or not isinstance(client.api_base_url, str):
        raise TypeError("upload_client must be a RecordingUploadClient")
    api = {
        "enabled": True,
        "base_url": client.api_base_url,
        "api_token": client.api_token,
        "upload_timeout": client.timeout,
        "max_retries": max_retries,
        "max_concurrent_uploads": max_concurrent_uploads,
    }
    made = read_settings({"api": api})
    if state_file is None:
        return made
    path = Path(os.path.abspath(state_file))  # noqa: PTH100  resolve() would follow links
    return replace(made, folders=(path.parent / STATE_FOLDER, *made.folders[-1:]), old_state=path)
