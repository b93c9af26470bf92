"""The reference server of the WATS storage protocol: one process, one folder. It stands alone, without the core."""

from haulier_wats.server.serving import ServerThread, serve
from haulier_wats.server.settings import ServerSettings, ServerSetupError
from haulier_wats.server.tokens import Tokens

__all__ = ["ServerSettings", "ServerSetupError", "ServerThread", "Tokens", "create_app", "serve"]


def __getattr__(name: str) -> object:
    if name == "create_app":
        from haulier_wats.server.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
