"""Nothing heavy is imported before it is needed, and what is missing is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from haulier.errors import UnknownBackendError
from haulier.hooks.loading import PluginHost

SCRIPT = """
import sys
import haulier_gcs.plugin
{more}
print([name for name in ("google.auth", "google_crc32c", "requests", "urllib3", "awscrt") if name in sys.modules])
"""
MAKE = """
from haulier_gcs.backend import GcsBackend
from haulier_gcs.options import GcsOptions
[GcsBackend] == haulier_gcs.plugin.register_backends()
haulier_gcs.plugin.register_commands()
GcsBackend("archive", GcsOptions("recordings"))
"""


@pytest.mark.parametrize("more", ["", MAKE], ids=["plugin", "backend"])
def test_no_library_is_imported_before_the_first_call(more):
    out = subprocess.run([sys.executable, "-c", SCRIPT.format(more=more)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_configuration_that_names_gcs_without_the_plugin_says_what_to_install():
    host = PluginHost(entry_points=list)
    with pytest.raises(UnknownBackendError) as caught:
        host.backend_class("gcs")
    assert caught.value.advice == "Install the package haulier-gcs"
