"""The examples of the documentation, importable, and the servers that they are written for."""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import ParseResult, urlsplit

import pytest
import wsgidav.request_server
from cheroot.wsgi import Server
from wsgidav.wsgidav_app import WsgiDAVApp

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
USER, PASSWORD = "me", "a-password-for-tests"


@pytest.fixture(scope="session")
def webdav():
    """The module of the worked example, importable by other processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES / "webdav")
        yield importlib.import_module("haulier_webdav")
        del sys.modules["haulier_webdav"]


class OneMoveAtATime:
    """RFC 4918 promises that MOVE with ``Overwrite: F`` replaces nothing; wsgidav looks first and moves then."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] != "MOVE":
            return self.application(environ, start_response)
        with self.lock:
            return list(self.application(environ, start_response))


def path_alone(destination, **_):
    """Read a Destination that wsgidav has unquoted already: what is left of ``;`` and ``?`` belongs to the path."""
    parts = urlsplit(destination.replace("?", "\x1a"), allow_fragments=False)
    return ParseResult(parts.scheme, parts.netloc, parts.path.replace("\x1a", "?"), "", "", "")


@pytest.fixture(scope="session")
def login():
    """What goes into the table besides the address."""
    return {"user": USER, "password": PASSWORD}


@contextmanager
def serving(folder):
    """A WebDAV server of that folder: its address."""
    application = WsgiDAVApp(
        {
            "provider_mapping": {"/": str(folder)},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "logging": {"enable": False},
            "verbose": 0,
        }
    )
    server = Server(("127.0.0.1", 0), OneMoveAtATime(application), numthreads=12)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()


@pytest.fixture(scope="session")
def dav_as_shipped(tmp_path_factory):
    """Address and folder of a WebDAV server."""
    folder = tmp_path_factory.mktemp("webdav") / "store"
    folder.mkdir()
    with serving(folder) as url:
        yield url, folder


@pytest.fixture
def dav(dav_as_shipped, monkeypatch):
    """The same, without wsgidav's misreading of ``;`` and ``?`` in a Destination."""
    monkeypatch.setattr(wsgidav.request_server, "urlparse", path_alone)
    return dav_as_shipped
