"""A managed identity as an Azure host offers it: tokens that are asked for by themselves, and soon expire."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from haulier.errors import AuthenticationError
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier_azure.backend import AzureBackend

UNIT = 512
MEDIA = pattern(4 * UNIT + 5)
KEY = "2026/11/clip.mp4"


class Tokens:
    """The host's address for tokens."""

    def __init__(self):
        owner, self.given = self, 0

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                owner.given += 1
                told = {
                    "access_token": f"hidden-token-{owner.given}",
                    "expires_on": str(int(time.time()) + 60),
                    "resource": "https://storage.azure.com",
                    "token_type": "Bearer",
                }
                body = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def tokens(monkeypatch):
    running = Tokens()
    monkeypatch.setenv("IDENTITY_ENDPOINT", running.url)
    monkeypatch.setenv("IDENTITY_HEADER", "a-header")
    yield running
    running.stop()


@pytest.fixture
def begun(service, tokens, tmp_path):
    """An upload to a service that speaks TLS with a certificate of its own, by a managed identity."""
    pem = tmp_path / "certificate.pem"
    write_certificate(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    table = {
        "container": "sessions",
        "account_url": f"{service.secured(context)}/recordings",
        "identity": "managed",
        "ca_bundle": str(pem),
        "min_part_size": UNIT,
    }
    return Drive(build_backend(AzureBackend, table), make_upload([MEDIA]), [MEDIA], part_size=UNIT).open()


def write_certificate(path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    kept = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + kept)


def bearers(service):
    return list(dict.fromkeys(each.headers["authorization"] for each in service.asked))


def test_tokens_are_renewed_in_the_middle_of_an_upload(service, begun):
    before = bearers(service)
    begun.finish()
    assert service.blobs[KEY].content == MEDIA
    assert all(value.startswith("Bearer hidden-token-") for value in bearers(service))
    assert len(bearers(service)) > len(before)


def test_refused_tokens_are_got_anew_at_the_next_call_and_not_shown(service, begun):
    begun.send_some(2)
    service.rule = lambda _: (401, "InvalidAuthenticationInfo")
    with pytest.raises(AuthenticationError) as caught:
        begun.send_some()
    assert "hidden-token" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert caught.value.__context__ is None
    service.rule = lambda _: None
    begun.ask_held().finish()
    assert service.blobs[KEY].content == MEDIA
