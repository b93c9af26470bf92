"""The worked example of the documentation: short, shown word for word, and careful with what no suite can set up."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import indent

import pytest

from haulier import Proof, Secret, UploadManager
from haulier.errors import AuthenticationError, ConfigError, NetworkError, QuotaError, ValidationError
from haulier.testing.backend_suite.drive import Drive, make_upload
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "webdav" / "haulier_webdav.py"
PAGE = DOCS / "write-a-webdav-backend.md"


def page_block(name):
    text = PAGE.read_text("utf-8")
    return re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def backend(webdav):
    """``backend(url, **options)``."""
    return lambda url, **options: build_backend(webdav.WebDavBackend, {"url": url, **options})


def drive(backend, content, key="session.mp4"):
    return Drive(backend, make_upload([content], keys=[key]), [content])


# -- the page --------------------------------------------------------------------------------------------------


def test_the_example_is_shorter_than_120_lines_and_the_page_shows_it_word_for_word():
    text = EXAMPLE.read_text("utf-8")
    assert len(text.splitlines()) < 120
    assert page_block("haulier_webdav.py") == text


def test_the_lesson_quotes_the_example_and_its_tests():
    text = EXAMPLE.read_text("utf-8") + Path(__file__).with_name("test_webdav_example.py").read_text("utf-8")
    lesson = PAGE.read_text("utf-8").partition("## Piece by piece")[2]
    quoted = re.findall(r"^```python\n(.*?)^```$", lesson, re.MULTILINE | re.DOTALL)
    assert len(quoted) == 11
    assert [block for block in quoted if block not in text and indent(block, "    ") not in text] == []


def test_the_configuration_of_the_page_uploads_as_a_one_file_plugin(dav, tmp_path, monkeypatch):
    url, folder = dav
    monkeypatch.setenv("WEBDAV_PASSWORD", "a-password-for-tests")
    (tmp_path / "haulier_webdav.py").write_text(page_block("haulier_webdav.py"), "utf-8")
    text = page_block("haulier.toml").replace("https://cloud.example.org/recordings", url)
    (tmp_path / "haulier.toml").write_text(f'{text}\n[upload]\nstate_dir = "state"\nbackend = "cloud"\n', "utf-8")
    (tmp_path / "session.mp4").write_bytes(b"0123456789" * 1000)
    with UploadManager.open(tmp_path / "haulier.toml") as uploads:
        receipt = uploads.wait(uploads.submit(tmp_path / "session.mp4"), timeout=60)
    assert receipt.proof is Proof.CONTENT
    assert (folder / receipt.key).read_bytes() == b"0123456789" * 1000
    assert receipt.location == f"{url}/{receipt.key}"
    assert receipt.sha256 == hashlib.sha256(b"0123456789" * 1000).hexdigest()


# -- options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["https://me:a-secret@host/dav", "https://host/dav?a-secret", "ftp://host/dav", "host/dav", "https:///dav"]
)
def test_an_address_that_misleads_or_holds_a_password_is_refused(backend, url):
    with pytest.raises(ConfigError, match="url must be") as caught:
        backend(url)
    assert "a-secret" not in str(caught.value)


def test_the_password_shows_nowhere(webdav):
    options = webdav.WebDavOptions("https://host/dav", "me", Secret("a-secret"))
    assert "a-secret" not in f"{options!r} {options}"


# -- servers ---------------------------------------------------------------------------------------------------


@contextmanager
def scripted(answer):
    """A server whose every request is handled by ``answer(handler)``; the address, and the requests as they came."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def __getattr__(self, name):
            if not name.startswith("do_"):
                raise AttributeError(name)
            return self.handle_any

        def handle_any(self):
            seen.append((self.command, self.path, self.headers.get("Authorization")))
            answer(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


def test_a_wrong_password_is_a_matter_of_credentials_and_not_shown(backend, dav, login):
    with pytest.raises(AuthenticationError) as caught:
        backend(dav[0], **{**login, "password": "wrong-password"}).probe(RunContext())
    assert "wrong-password" not in str(caught.value)


def test_nobody_there_is_an_outage_that_costs_no_attempt(backend):
    with scripted(lambda _: None) as (url, _):
        pass
    with pytest.raises(NetworkError) as caught:
        backend(url).probe(RunContext())
    assert not caught.value.reached


def test_a_redirect_is_refused_and_the_password_goes_nowhere_else(backend, login):
    def elsewhere(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with scripted(elsewhere) as (other, asked):

        def redirect(handler):
            handler.send_response(307)
            handler.send_header("Location", f"{other}/file")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with scripted(redirect) as (url, _), pytest.raises(ValidationError, match="redirect"):
            backend(url, **login).stat("file", RunContext())
    assert asked == []


def test_an_answer_that_is_cut_off_is_not_taken_for_the_object(backend):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 400)
        handler.close_connection = True

    with scripted(cut) as (url, _), pytest.raises(NetworkError) as caught:
        backend(url).stat("file", RunContext())
    assert caught.value.reached


def test_a_server_that_misreads_the_new_name_is_believed_in_nothing(backend, dav_as_shipped, login):
    """wsgidav ends the path of a Destination at a semicolon."""
    with pytest.raises(ValidationError, match="not under its key"):
        drive(backend(dav_as_shipped[0], **login), b"content", key="semi;colon.mp4").run()


def test_a_refusal_that_comes_before_the_whole_body_is_understood(backend):
    def refuse(handler):
        status = {"PUT": 507, "GET": 404}[handler.command]
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        handler.close_connection = True

    with scripted(refuse) as (url, seen), pytest.raises(QuotaError):
        drive(backend(url), bytes(32 << 20)).run()
    assert [method for method, _, _ in seen] == ["GET", "PUT"]
