"""The options of a ``[backends.NAME]`` table with ``type = "wats"``."""

from __future__ import annotations

from dataclasses import dataclass, field

from haulier.config.secrets import Secret  # noqa: TC001  the core reads the fields' types to validate a table

__all__ = ["RENEW", "USER_AGENT", "WatsOptions"]

USER_AGENT = "WATS-RecordingUploader/1.0"
RENEW = "`haulier wats token set --new`"


def _option(help_text: str) -> dict[str, str]:
    return {"help": help_text}


@dataclass(frozen=True, slots=True)
class WatsOptions:
    """Where a WATS storage server is and how to speak to it."""

    base_url: str = field(metadata=_option("Address of the API, for example https://storage.example/api"))
    api_token: Secret = field(
        metadata=_option("Bearer token; it is sent to the origin of base_url and nowhere else") | {"renew": RENEW}
    )
    ca_bundle: str = field(
        default="",
        metadata=_option("PEM file of the certificate authorities to trust; default: those of the operating system"),
    )
    client_cert: str = field(default="", metadata=_option("PEM file of a client certificate"))
    client_key: str = field(default="", metadata=_option("PEM file of its key; default: it lies in client_cert"))
    user_agent: str = field(default=USER_AGENT, metadata=_option("Name this client gives itself"))
    resumable: str = field(
        default="auto",
        metadata=_option('"auto" resumes uploads where the server can, "never" sends whole files'),
    )
