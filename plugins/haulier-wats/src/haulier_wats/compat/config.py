"""The section ``api`` of ``config.json`` as WATS knows it: upper-case attributes, checked leniently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from haulier_wats.compat.log import logger
from haulier_wats.compat.values import WrongValueError, as_bool, as_count, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEFAULTS", "ApiConfig", "check_address", "get_default_api_config"]

log = logger("config")

DEFAULTS: dict[str, Any] = {
    "enabled": False,
    "base_url": "",
    "api_token": "",
    "auto_upload": False,
    "upload_timeout": 60,
    "max_retries": 3,
    "max_concurrent_uploads": 2,
    "delete_after_upload": False,
    "upload_older_recordings": True,
    "max_file_age_days": 30,
}


class ApiConfig:
    """The ten settings of the section ``api``.

    A value of the wrong kind gives the default and one warning; a text may stand for a number or a truth value.

    Args:
        config_data: The whole ``config.json``.

    Raises:
        ValueError: Uploading is enabled, and ``base_url`` is no http or https address.
    """

    def __init__(self, config_data: Mapping[str, Any] | None = None) -> None:
        section = (config_data or {}).get("api")
        self._given: Mapping[str, Any] = section if isinstance(section, dict) else {}
        self.ENABLED: bool = self._read("enabled", as_bool)
        self.BASE_URL: str = self._read("base_url", as_text)
        self.API_TOKEN: str = self._read("api_token", as_text)
        self.AUTO_UPLOAD: bool = self._read("auto_upload", as_bool)
        self.UPLOAD_TIMEOUT: int = self._read("upload_timeout", as_count)
        self.MAX_RETRIES: int = self._read("max_retries", as_count)
        self.MAX_CONCURRENT_UPLOADS: int = self._read("max_concurrent_uploads", as_count)
        self.DELETE_AFTER_UPLOAD: bool = self._read("delete_after_upload", as_bool)
        self.UPLOAD_OLDER_RECORDINGS: bool = self._read("upload_older_recordings", as_bool)
        self.MAX_FILE_AGE_DAYS: int = self._read("max_file_age_days", as_count)
        if self.ENABLED:
            check_address(self.BASE_URL)
            if not self.API_TOKEN:
                log.warning("api.api_token is empty: the server will see requests without a token")

    def _read(self, name: str, reader: Callable[[Any], Any]) -> Any:
        value, default = self._given.get(name), DEFAULTS[name]
        if value is None:
            return default
        try:
            return reader(value)
        except WrongValueError as wrong:
            log.warning("api.%s must be %s; the default holds (%s)", name, wrong, default)
            return default

    def is_enabled(self) -> bool:
        """Whether uploading is on, with an address and a token."""
        return bool(self.ENABLED and self.BASE_URL and self.API_TOKEN)

    def to_dict(self) -> dict[str, Any]:
        """The settings by the names of the file, the token as stars."""
        return {
            "enabled": self.ENABLED,
            "base_url": self.BASE_URL,
            "api_token": "***" if self.API_TOKEN else "",
            "auto_upload": self.AUTO_UPLOAD,
            "upload_timeout": self.UPLOAD_TIMEOUT,
            "max_retries": self.MAX_RETRIES,
            "max_concurrent_uploads": self.MAX_CONCURRENT_UPLOADS,
            "delete_after_upload": self.DELETE_AFTER_UPLOAD,
            "upload_older_recordings": self.UPLOAD_OLDER_RECORDINGS,
            "max_file_age_days": self.MAX_FILE_AGE_DAYS,
        }


def get_default_api_config() -> dict[str, Any]:
    """The section ``api`` with every default, as ``config.json`` would hold it."""
    return {"api": dict(DEFAULTS)}


def check_address(base_url: str) -> None:
    """Refuse what is no http or https address.

    Raises:
        ValueError: It is none.
    """
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and parts.hostname
    except ValueError:
        usable = None
    if not usable:
        raise ValueError("api.base_url must be an address that begins with http:// or https://")
