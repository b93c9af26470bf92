"""Tests of the upload system against a real storage server on this machine; start it as a script.

    python test_api_upload_system.py

It needs nothing but ``pip install 'haulier-wats[server]'``, and prints a summary. It exits with 1 when a test failed.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from wats_app.api import (
    ApiError,
    ApiIntegrationManager,
    AuthenticationError,
    NetworkError,
    RecordingUploadClient,
    UploadManager,
    UploadStatus,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haulier_wats.server import ServerThread

TOKEN = "a-token-for-tests"  # noqa: S105  of a server that lives for some seconds
PATIENCE = 30.0
LINE = 50


def start_server(folder: Path, port: int = 0) -> ServerThread:
    """A storage server on this machine."""
    from haulier_wats.server import ServerSettings, ServerThread, Tokens

    return ServerThread(ServerSettings(folder, Tokens([TOKEN])), port=port)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class UploadTestCase(unittest.TestCase):
    """A server, and a recording with its metadata, in a folder of its own."""

    __test__ = False  # pytest runs this file as a script, once

    def setUp(self) -> None:
        """Make them."""
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.server = start_server(self.folder / "server")
        self.addCleanup(self.server.stop)
        self.url = f"{self.server.url}/api"
        self.video = self.folder / "test_session_123_TestServer_20241026_150000.mp4"
        self.video.write_bytes(os.urandom(3_000_000))
        self.metadata = self.folder / "test_session_123_metadata.json"
        document = {
            "session_id": "test_session_123",
            "connection_info": {"con_codigo": 123, "ip": "192.168.1.100", "name": "Test Server"},
            "start_time": "2024-10-26T15:00:00.123456",
            "recorder_settings": {"fps": 10, "quality": 23},
        }
        self.metadata.write_text(json.dumps(document, ensure_ascii=False), "utf-8")

    def client(self, url: str = "", token: str = TOKEN, **options: Any) -> RecordingUploadClient:
        """A client that is closed at the end."""
        made = RecordingUploadClient(url or self.url, token, timeout=30, **options)
        self.addCleanup(made.close)
        return made

    def until(self, happened: Callable[[], object]) -> None:
        """Wait for something."""
        end = time.monotonic() + PATIENCE
        pause = threading.Event()
        while not happened():
            if time.monotonic() > end:
                self.fail("it did not happen in time")
            pause.wait(0.02)

    def shortDescription(self) -> None:  # noqa: N802  the name that unittest knows
        """The name alone is printed."""

    def __str__(self) -> str:
        return f"{self._testMethodName} ({type(self).__module__}.{type(self).__qualname__})"


class TestRecordingUploadClient(UploadTestCase):
    """Client authentication, upload flow, error handling, retry logic, progress tracking, file validation."""

    def test_connection_test_success(self) -> None:
        """The right token."""
        self.assertTrue(self.client().test_connection())

    def test_connection_test_failure(self) -> None:
        """The wrong token, and nobody there."""
        self.assertFalse(self.client(token="wrong").test_connection())
        self.assertFalse(self.client(f"http://127.0.0.1:{free_port()}").test_connection())

    def test_upload_recording_success(self) -> None:
        """There, listed, and gone again."""
        client = self.client()
        result = client.upload_recording(self.video, self.metadata)
        self.assertEqual(result["status"], "completed")
        self.assertEqual([one["file_id"] for one in client.list_recordings()["recordings"]], [result["file_id"]])
        self.assertTrue(client.delete_recording(result["file_id"]))
        self.assertEqual(client.list_recordings()["recordings"], [])

    def test_error_handling(self) -> None:
        """Each error has its class and code."""
        with self.assertRaises(AuthenticationError) as refused:
            self.client(token="wrong").upload_recording(self.video, self.metadata)
        self.assertEqual(refused.exception.status_code, 401)
        with self.assertRaises(NetworkError) as nobody:
            self.client(f"http://127.0.0.1:{free_port()}", max_retries=0).upload_recording(self.video, self.metadata)
        self.assertEqual(nobody.exception.status_code, 0)
        self.assertEqual(ApiError("Test error", 500).status_code, 500)

    def test_retry_logic(self) -> None:
        """A server that comes up while the client waits."""
        port, waits = free_port(), []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:  # noqa: PLR2004
                self.addCleanup(start_server(self.folder / "late", port).stop)

        client = self.client(f"http://127.0.0.1:{port}/api", sleep=wait)
        self.assertEqual(client.upload_recording(self.video, self.metadata)["status"], "completed")
        self.assertEqual(waits, [2, 4])

    def test_progress_tracking(self) -> None:
        """It grows, and tells the whole only at the end."""
        told: list[tuple[int, int]] = []
        self.client().upload_recording(self.video, self.metadata, lambda sent, total: told.append((sent, total)))
        self.assertEqual(told, sorted(told))
        self.assertEqual([sent == total for sent, total in told], [False] * (len(told) - 1) + [True])

    def test_file_validation(self) -> None:
        """Missing files, and metadata that is none."""
        client = self.client()
        with self.assertRaises(FileNotFoundError):
            client.upload_recording(self.folder / "missing.mp4", self.metadata)
        self.metadata.write_text('{"no": "session_id"}')
        with self.assertRaises(ValidationError):
            client.upload_recording(self.video, self.metadata)


class TestUploadManager(UploadTestCase):
    """Queue management and state persistence."""

    def manager(self) -> UploadManager:
        """A manager that is stopped at the end."""
        made = UploadManager(self.client(), max_retries=2, state_file=self.folder / "data" / "upload_state.json")
        self.addCleanup(made.stop)
        return made

    def test_queue_upload(self) -> None:
        """Queued, seen, cancelled."""
        manager = self.manager()
        task_id = manager.queue_upload(self.video, self.metadata)
        self.assertTrue(task_id.startswith("upload_"))
        self.assertEqual(manager.get_queue_status()["queue_size"], 1)
        self.assertTrue(manager.cancel_upload(task_id))
        self.assertEqual(manager.get_queue_status()["failed_uploads"], 1)

    def test_state_persistence(self) -> None:
        """What one manager queued another one uploads."""
        before = self.manager()
        task_id = before.queue_upload(self.video, self.metadata)
        before.stop()
        manager = self.manager()
        manager.start()

        def is_completed() -> bool:
            task = manager.get_task_status(task_id)
            return task is not None and task.status is UploadStatus.COMPLETED

        self.until(is_completed)


class TestApiIntegrationManager(UploadTestCase):
    """What WATS itself holds."""

    def manager(self, url: str, **changes: Any) -> ApiIntegrationManager:
        """A manager that is shut down at the end."""
        settings = SimpleNamespace(
            API_ENABLED=True, API_BASE_URL=url, API_TOKEN=TOKEN, USER_DATA_DIR=str(self.folder / "data")
        )
        vars(settings).update(changes)
        made = ApiIntegrationManager(settings)
        self.addCleanup(made.shutdown)
        return made

    def test_initialization_success(self) -> None:
        """A recording is uploaded, and told of."""
        manager = self.manager(self.url)
        self.assertTrue(manager.is_initialized)
        told: list[tuple[str, str]] = []
        manager.on_upload_completed = lambda task_id, file_id: told.append((task_id, file_id))
        task_id = manager.upload_recording(self.video, self.metadata)
        self.until(lambda: told)
        status = manager.get_upload_status(task_id or "")
        self.assertEqual(status and (status["status"], status["server_file_id"]), ("completed", told[0][1]))

    def test_initialization_without_connection(self) -> None:
        """Recordings are queued all the same."""
        manager = self.manager(f"http://127.0.0.1:{free_port()}")
        self.assertTrue(manager.is_initialized)
        self.assertIsNotNone(manager.upload_recording(self.video, self.metadata))

    def test_disabled_api(self) -> None:
        """Nothing is uploaded, and no call fails."""
        manager = self.manager(self.url, API_ENABLED=False)
        self.assertTrue(manager.is_initialized)
        self.assertIsNone(manager.upload_client)
        self.assertIsNone(manager.upload_manager)
        self.assertIsNone(manager.upload_recording(self.video, self.metadata))


class Result(unittest.TextTestResult):
    """Prints lines of the width that the summary has."""

    separator1 = "=" * LINE
    separator2 = "-" * LINE


def main(names: Sequence[str] = ()) -> int:
    """Run the tests of the classes with these names, or all; 0 when all is well."""
    if hasattr(sys.stdout, "reconfigure"):  # a Windows console may know no emoji
        sys.stdout.reconfigure(encoding="utf-8")
    logging.disable(logging.CRITICAL)
    print("🚀 WATS API Upload System - Test Suite")
    print("=" * LINE, flush=True)
    classes = [TestRecordingUploadClient, TestUploadManager, TestApiIntegrationManager]
    loaded = [
        unittest.defaultTestLoader.loadTestsFromTestCase(one) for one in classes if not names or one.__name__ in names
    ]
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(unittest.TestSuite(loaded))
    print("\n📊 Test Results Summary:")
    print(f"✅ Tests run: {result.testsRun}")
    print(f"❌ Failures: {len(result.failures)}")
    print(f"💥 Errors: {len(result.errors)}")
    if not result.wasSuccessful():
        print("\n⚠️  Some tests failed. Please review the issues above.")
        return 1
    print("\n🎉 ALL TESTS PASSED! API upload system is working correctly.")
    return 0


if __name__ == "__main__":
    import test_api_upload_system

    sys.exit(test_api_upload_system.main(sys.argv[1:]))
