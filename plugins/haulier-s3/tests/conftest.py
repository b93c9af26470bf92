"""Two real servers, one of each per session, met through backends made of tables."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import boto3
import botocore.loaders
import botocore.session
import pytest
from botocore.config import Config

from haulier.testing.servers import ServerProcess, beside_python, free_port

ACCESS, SECRET = "an-access-key", "a-secret-key-for-tests"
PART = 512
_NUMBERS = itertools.count(1)


@dataclass
class Server:
    """A server that runs, and how the tests look into it themselves."""

    name: str
    url: str
    folder: Path | None = None

    @cached_property
    def session(self):
        return boto3.session.Session(
            aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, botocore_session=self.settings
        )

    @cached_property
    def settings(self):
        return botocore.session.Session()

    @cached_property
    def client(self):
        config = Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 3},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=config,
        )

    def bucket(self, **more):
        """A new, empty bucket."""
        name = f"bucket-{next(_NUMBERS)}-{os.getpid()}"
        self.client.create_bucket(Bucket=name, **more)
        return name


def table(url, bucket, **more):
    """The options of a backend that meets this server."""
    return {
        "bucket": bucket,
        "endpoint_url": url,
        "region": "us-east-1",
        "addressing_style": "path",
        "access_key_id": ACCESS,
        "secret_access_key": SECRET,
        "min_part_size": PART,
        **more,
    }


@pytest.fixture(scope="session", autouse=True)
def one_loader():
    """The library's description of the service is read once, not for each of some hundred backends."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield


@pytest.fixture(scope="session")
def moto():
    port = free_port()
    command = [beside_python("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with ServerProcess(command, port, environ={"S3_UPLOAD_PART_MIN_SIZE": "1"}) as process:
        yield Server("moto", process.url)


@pytest.fixture(scope="session")
def rclone(tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("rclone")
    command = [beside_python("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    with ServerProcess(
        [*command, "--auth-key", f"{ACCESS},{SECRET}", "--config", os.devnull, str(folder)], port
    ) as process:
        yield Server("rclone", process.url, folder)


@pytest.fixture(params=["moto", pytest.param("rclone", marks=pytest.mark.full)])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch, tmp_path):
    """Whatever credentials the machine has stay out of it."""
    for name in (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
