"""What the SDK is given to prove who we are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haulier.errors import ConfigError

if TYPE_CHECKING:
    from haulier_azure.options import AzureOptions

__all__ = ["credential_for"]


def credential_for(options: AzureOptions) -> Any:
    """A credential for the options: a key, a SAS, or one that gets and renews an identity's tokens.

    Raises:
        ConfigError: An identity is wanted and ``azure-identity`` is not installed.
    """
    account = options.account
    if account.key:
        return {"account_name": account.name, "account_key": account.key.reveal()}
    if account.sas:
        from azure.core.credentials import AzureSasCredential

        return AzureSasCredential(account.sas.reveal())
    return _identity(options)


def _identity(options: AzureOptions) -> Any:
    try:
        from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
    except ImportError:
        raise ConfigError(
            "without `credential` an identity is used, and the package azure-identity is not installed",
            advice="Install haulier-azure[identity], or give `credential` or `connection_string`",
        ) from None
    if options.identity == "managed":
        return ManagedIdentityCredential(client_id=options.identity_client_id or None, retry_total=0)
    return DefaultAzureCredential(retry_total=0)
