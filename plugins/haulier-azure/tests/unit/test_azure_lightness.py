"""Nothing heavy is imported before it is needed, and what is missing is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from haulier.errors import UnknownBackendError
from haulier.hooks.loading import PluginHost

SCRIPT = """
import sys
import haulier_azure.plugin
{more}
print([name for name in ("azure.core", "azure.storage.blob", "azure.identity", "requests", "urllib3", "awscrt") if name in sys.modules])
"""
MAKE = """
from haulier.config.secrets import Secret
from haulier_azure.backend import AzureBackend
from haulier_azure.options import AzureOptions
[AzureBackend] == haulier_azure.plugin.register_backends()
haulier_azure.plugin.register_commands()
AzureBackend("archive", AzureOptions("recordings", account_url="https://a.blob.core.windows.net", credential=Secret("a2V5")))
"""


@pytest.mark.parametrize("more", ["", MAKE], ids=["plugin", "backend"])
def test_no_library_is_imported_before_the_first_call(more):
    out = subprocess.run([sys.executable, "-c", SCRIPT.format(more=more)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_configuration_that_names_azure_without_the_plugin_says_what_to_install():
    host = PluginHost(entry_points=list)
    with pytest.raises(UnknownBackendError) as caught:
        host.backend_class("azure")
    assert caught.value.advice == "Install the package haulier-azure"
