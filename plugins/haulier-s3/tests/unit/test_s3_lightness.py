"""Nothing heavy is imported before it is needed, and what is missing is named."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires

import pytest

from haulier import UploadManager
from haulier.errors import UnknownBackendError
from haulier.hooks.loading import PluginHost

SCRIPT = """
import sys
import haulier_s3.plugin
{more}
print([name for name in ("boto3", "botocore", "awscrt", "urllib3") if name in sys.modules])
"""
MAKE = """
from haulier_s3.backend import S3Backend
from haulier_s3.options import S3Options
[S3Backend] == haulier_s3.plugin.register_backends()
haulier_s3.plugin.register_commands()
S3Backend("archive", S3Options("recordings"))
"""


@pytest.mark.parametrize("more", ["", MAKE], ids=["plugin", "backend"])
def test_the_sdk_is_not_imported_before_the_first_call(more):
    out = subprocess.run([sys.executable, "-c", SCRIPT.format(more=more)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_haulier_itself_asks_for_no_sdk():
    needed = " ".join(line for line in requires("haulier") if "extra ==" not in line)
    assert not [name for name in ("boto", "aws", "azure", "google") if name in needed]


def test_a_configuration_that_names_s3_without_the_plugin_says_what_to_install(tmp_path):
    host = PluginHost(entry_points=list)
    with pytest.raises(UnknownBackendError) as caught:
        host.backend_class("s3")
    assert caught.value.advice == "Install the package haulier-s3"
    document = {
        "upload": {"backend": "archive", "state_dir": str(tmp_path / "state")},
        "plugins": {"deny": ["haulier-s3"]},
        "backends": {"archive": {"type": "s3", "bucket": "recordings"}},
    }
    (tmp_path / "clip.mp4").write_bytes(b"x")
    manager = UploadManager.open(document)
    try:
        with pytest.raises(UnknownBackendError, match="'s3'"):
            manager.service.destinations.get("archive")
    finally:
        manager.close()
