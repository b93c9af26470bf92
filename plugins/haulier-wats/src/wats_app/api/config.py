"""Names of :mod:`haulier_wats.compat.config`."""

from haulier_wats.compat.config import ApiConfig, get_default_api_config

__all__ = ["ApiConfig", "get_default_api_config"]
