"""The host's whole table of calls, over destinations that are none of WATS."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from haulier.testing.servers import ServerProcess, beside_python, free_port

# Azurite's own account, which everybody knows
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
STATUS_KEYS = {
    "task_id",
    "status",
    "progress",
    "video_file",
    "created_at",
    "retry_count",
    "last_error",
    "server_file_id",
}
QUEUE_KEYS = {"queue_size", "active_uploads", "completed_uploads", "failed_uploads", "is_running"}


@dataclass
class Destination:
    """A backend as the host's settings name it, and what lies there."""

    name: str
    table: dict
    names: object
    gone: dict = field(default_factory=dict)

    @property
    def away(self):
        """The same where nobody listens."""
        return {**self.table, **self.gone}


@pytest.fixture(scope="session")
def moto():
    port = free_port()
    with ServerProcess([beside_python("moto_server"), "-H", "127.0.0.1", "-p", str(port)], port) as process:
        yield process.url


@pytest.fixture
def s3(request, tmp_path):
    import boto3

    url = request.getfixturevalue("moto")
    keys = {"aws_access_key_id": "an-access-key", "aws_secret_access_key": "a-secret-key"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    bucket = f"host-{os.getpid()}-{abs(hash(tmp_path))}"
    client.create_bucket(Bucket=bucket)
    table = {
        "bucket": bucket,
        "endpoint_url": url,
        "region": "us-east-1",
        "addressing_style": "path",
        "access_key_id": keys["aws_access_key_id"],
        "secret_access_key": keys["aws_secret_access_key"],
    }
    yield Destination(
        "s3",
        table,
        lambda: [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])],
        {"endpoint_url": f"http://127.0.0.1:{free_port()}"},
    )
    client.close()


@pytest.fixture(scope="session")
def emulator():
    port = free_port()
    command = [beside_python("gcp-storage-emulator"), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with ServerProcess(command, port) as process:
        yield process.url


@pytest.fixture
def gcs(request, tmp_path):
    import requests

    url = request.getfixturevalue("emulator")
    bucket = f"host-{os.getpid()}-{abs(hash(tmp_path))}"
    requests.post(f"{url}/storage/v1/b", json={"name": bucket}, timeout=30).raise_for_status()

    def names():
        answer = requests.get(f"{url}/storage/v1/b/{bucket}/o", timeout=30)
        return [entry["name"] for entry in answer.json().get("items", [])]

    table = {"bucket": bucket, "endpoint_url": url, "anonymous": True}
    return Destination("gcs", table, names, {"endpoint_url": f"http://127.0.0.1:{free_port()}"})


@pytest.fixture(scope="session")
def azurite():
    path = Path(__file__).parents[3] / "haulier-azure" / "tests" / "azurite.py"
    spec = importlib.util.spec_from_file_location("azurite_of_hosts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.running() as url:
        yield url


@pytest.fixture
def azure(request, tmp_path):
    from azure.storage.blob import BlobServiceClient

    account = f"{request.getfixturevalue('azurite')}/{ACCOUNT}"
    client = BlobServiceClient(account, credential={"account_name": ACCOUNT, "account_key": KEY})
    name = f"host-{os.getpid()}-{abs(hash(tmp_path))}"
    container = client.create_container(name)
    yield Destination(
        "azure",
        {"container": name, "account_url": account, "credential": KEY},
        lambda: [blob.name for blob in container.list_blobs()],
        {"account_url": f"http://127.0.0.1:{free_port()}/{ACCOUNT}"},
    )
    client.close()


@pytest.fixture(params=["s3", "gcs", "azure"])
def destination(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def host(program, destination):
    """Settings of a host that names this destination and no server of WATS."""

    def make(table=None, **changes):
        return program(
            "",
            API_BASE_URL="",
            API_BACKEND=destination.name,
            API_BACKENDS={destination.name: destination.table if table is None else table},
            validate_api_config=lambda: False,
            **changes,
        )

    return make


def test_every_call_of_the_host_does_what_it_does_with_wats(face, host, destination, recordings, ended, until):
    told = []
    manager = face(host())
    manager.on_upload_started = lambda task_id, filename: told.append(("started", task_id, filename))
    manager.on_upload_progress = lambda task_id, percent: told.append(("progress", task_id, percent))
    manager.on_upload_completed = lambda task_id, file_id: told.append(("completed", task_id, file_id))
    manager.on_upload_failed = lambda task_id, error: told.append(("failed", task_id, error))
    assert manager.is_initialized
    video, metadata = recordings.session(content=b"a recording" * 1000)
    task_id = manager.upload_recording(video, metadata)
    status = ended(manager, task_id)
    assert set(status) == STATUS_KEYS
    assert (status["status"], status["progress"], status["last_error"]) == ("completed", 100, None)
    assert status["server_file_id"]
    assert {name.rpartition("/")[2] for name in destination.names()} == {video.name, metadata.name}
    until(lambda: any(kind == "completed" for kind, *_ in told))
    assert [event for event in told if event[0] != "progress"] == [
        ("started", task_id, video.name),
        ("completed", task_id, status["server_file_id"]),
    ]
    assert manager.upload_recording(video, metadata) == task_id
    older = manager.upload_older_recordings(recordings.folder)
    assert older == []
    queue = manager.get_queue_status()
    assert set(queue) == QUEUE_KEYS
    assert (queue["completed_uploads"], queue["failed_uploads"], queue["is_running"]) == (1, 0, True)
    assert manager.retry_failed_upload(task_id) is False
    assert manager.cancel_upload(task_id) is False
    assert manager.get_upload_status("upload_nobody") is None
    manager.shutdown()
    assert manager.upload_recording(video, metadata) is None


def test_older_recordings_are_taken_once_and_sources_go_with_proof(face, host, destination, recordings, ended, until):
    sessions = [recordings.session(number) for number in (1, 2)]
    manager = face(host(API_DELETE_AFTER_UPLOAD=True))
    tasks = manager.upload_older_recordings(recordings.folder, max_age_days=30)
    assert len(tasks) == len(sessions)
    assert {ended(manager, task_id)["status"] for task_id in tasks} == {"completed"}
    assert len(destination.names()) == 2 * len(sessions)
    manager.cleanup_uploaded_files()
    manager.shutdown()
    again = face(host(API_DELETE_AFTER_UPLOAD=True))
    again.upload_older_recordings(recordings.folder, max_age_days=30)
    assert len(destination.names()) == 2 * len(sessions)
    until(lambda: not any(video.exists() for video, _ in sessions))


def test_while_it_is_away_recordings_wait_and_can_be_cancelled(face, host, destination, recordings, until):
    manager = face(host(destination.away))
    task_id = manager.upload_recording(*recordings.session())
    other = manager.upload_recording(*recordings.session(2))
    assert manager.get_upload_status(task_id)["status"] in {"pending", "in_progress", "retrying"}
    assert manager.cancel_upload(other)
    until(lambda: manager.get_upload_status(other)["status"] == "failed")
    assert manager.get_upload_status(other)["last_error"] == "cancelled"
    manager.shutdown()
    back = face(host())
    until(lambda: back.get_upload_status(task_id)["status"] == "completed", seconds=30)
    assert len(destination.names()) == 2
