"""Credentials in their usual places, renewed on the way; proxies, certificates, signed addresses, the command line."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import json
import logging
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from haulier.cli import main
from haulier.errors import AuthenticationError, NetworkError, ServerError, ThrottledError, UnsupportedError
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier_gcs.backend import GcsBackend

UNIT = 512
MEDIA = pattern(4 * UNIT + 5)
KEY = "2026/11/clip.mp4"
EMAIL = "uploader@billed.iam.gserviceaccount.example"


def drive(url, **options):
    table = {"bucket": "recordings", "endpoint_url": url, "min_part_size": UNIT, **options}
    return Drive(build_backend(GcsBackend, table), make_upload([MEDIA]), [MEDIA], part_size=UNIT)


def tokens_used(service):
    """Tokens that came with the requests, in order, each once."""
    return list(dict.fromkeys(each.authorization.removeprefix("Bearer ") for each in service.asked))


class Issuer:
    """Who gives out tokens. ``rule`` gives a status and headers instead, or None."""

    def __init__(self):
        self.given, self.lifetime, self.rule = [], 3600, lambda: None
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                status, headers = issuer.rule() or (200, {})
                issuer.given.append(form)
                answer = {"access_token": f"token-{len(issuer.given)}", "expires_in": issuer.lifetime}
                body = json.dumps(answer if status == 200 else {"error": "invalid_grant"}).encode()
                self.send_response_only(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def issuer():
    running = Issuer()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def key_file(tmp_path, issuer, private_key):
    """A service account's key, whose tokens the issuer gives."""
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    info = {"type": "service_account", "client_email": EMAIL, "private_key": pem, "token_uri": issuer.url}
    path = tmp_path / "key.json"
    path.write_text(json.dumps({**info, "private_key_id": "1", "project_id": "billed"}))
    return path


def test_a_key_file_is_exchanged_for_a_token_that_goes_with_every_request(service, issuer, key_file):
    drive(service.url, credentials_file=str(key_file)).run()
    assert tokens_used(service) == ["token-1"]
    assert len(issuer.given) == 1
    assert issuer.given[0]["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert service.objects[KEY].content == MEDIA


def test_credentials_come_from_the_environment(service, issuer, key_file, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    drive(service.url).run()
    assert tokens_used(service) == ["token-1"]


def test_credentials_of_a_person_s_login_are_renewed_with_their_refresh_token(service, issuer, tmp_path):
    info = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "login.json").write_text(json.dumps({**info, "token_uri": issuer.url}))
    made = drive(service.url, credentials_file=str(tmp_path / "login.json"))
    made.backend._client.access._found(made.context)._token_uri = issuer.url
    made.run()
    assert tokens_used(service) == ["token-1"]
    assert issuer.given[0]["refresh_token"] == ["r"]


def test_a_token_that_expires_is_renewed_in_the_middle_of_an_upload(service, issuer, key_file):
    issuer.lifetime = 60  # less than what is taken to be safe: each request asks for another
    one = drive(service.url, credentials_file=str(key_file)).open()
    before = tokens_used(service)
    one.finish()
    assert len(before) < len(tokens_used(service))
    assert service.objects[KEY].content == MEDIA


def test_refused_credentials_are_read_anew_at_the_next_call(service, issuer, key_file):
    one = drive(service.url, credentials_file=str(key_file)).open().send_some(2)
    service.rule = lambda _: (401, "authError")
    with pytest.raises(AuthenticationError):
        one.send_some()
    service.rule = lambda _: None
    one.ask_held().finish()
    assert tokens_used(service) == ["token-1", "token-2"]
    assert service.objects[KEY].content == MEDIA


def test_a_login_that_was_withdrawn_suspends(service, issuer, key_file):
    issuer.rule = lambda: (400, {})
    with pytest.raises(AuthenticationError, match="refused") as caught:
        drive(service.url, credentials_file=str(key_file)).open()
    assert "haulier resume" in caught.value.advice
    assert not service.asked


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [(503, {}, ServerError), (429, {"Retry-After": "9"}, ThrottledError), (500, {}, ServerError)],
)
def test_an_issuer_in_trouble_is_asked_once(service, issuer, key_file, status, headers, error):
    """google-auth would ask again and again, and sleep in between."""
    issuer.rule = lambda: (status, headers)
    with pytest.raises(error):
        drive(service.url, credentials_file=str(key_file)).open()
    assert len(issuer.given) == 1


def test_an_issuer_that_is_away_suspends(service, issuer, key_file):
    issuer.stop()
    with pytest.raises(NetworkError) as caught:
        drive(service.url, credentials_file=str(key_file)).open()
    assert not caught.value.reached
    assert not service.asked
    issuer.stop = lambda: None


def test_no_credentials_at_all_suspend(service):
    with pytest.raises(AuthenticationError, match="no credentials"):
        drive(service.url).open()
    assert not service.asked


def test_a_machine_of_google_s_is_looked_for_and_not_found(service, monkeypatch):
    """Nobody answers at the place where a machine of Google's finds its credentials."""
    monkeypatch.delenv("NO_GCE_CHECK")
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("GCE_METADATA_DETECT_RETRIES", "1")
    with pytest.raises(AuthenticationError, match="no credentials"):
        drive(service.url).open()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "service_account"}', '{"type": "made up"}', "3"])
def test_a_credentials_file_that_is_none_suspends_and_is_named(service, tmp_path, text):
    (tmp_path / "key.json").write_text(text)
    with pytest.raises(AuthenticationError) as caught:
        drive(service.url, credentials_file=str(tmp_path / "key.json")).open()
    assert "key.json" in str(caught.value)


def test_a_credentials_file_that_is_not_there_suspends(service, tmp_path):
    with pytest.raises(AuthenticationError, match="No such file"):
        drive(service.url, credentials_file=str(tmp_path / "none.json")).open()


def test_many_threads_share_one_token(service, issuer, key_file):
    made = drive(service.url, credentials_file=str(key_file)).backend
    threads = [threading.Thread(target=made.probe, args=(RunContext(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(issuer.given) == 1


# -- what is told ------------------------------------------------------------------------------------------------------


def test_neither_tokens_nor_sessions_are_logged(service, issuer, key_file, caplog):
    with caplog.at_level(logging.DEBUG):
        drive(service.url, credentials_file=str(key_file)).run()
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert not [text for text in ("token-1", "upload_id", "PRIVATE KEY", "-secret") if text in told]


# -- the way there -----------------------------------------------------------------------------------------------------


def test_a_proxy_is_used_with_its_credentials(service):
    one = drive("http://gcs.example", anonymous=True, proxy=service.url, proxy_credentials="user:pass word")
    one.run()
    assert service.objects[KEY].content == MEDIA
    assert {each.headers["host"] for each in service.asked} == {"gcs.example"}
    expected = base64.b64encode(b"user:pass word").decode()
    assert {each.headers["proxy-authorization"] for each in service.asked} == {f"Basic {expected}"}


def test_the_environment_s_proxy_is_used(service, monkeypatch):
    monkeypatch.setenv("http_proxy", service.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    drive("http://gcs.example", anonymous=True).run()
    assert {each.headers["host"] for each in service.asked} == {"gcs.example"}


def test_a_proxy_that_is_away_suspends_and_shows_no_credentials():
    one = drive("http://gcs.example", anonymous=True, proxy="http://127.0.0.1:9", proxy_credentials="user:hidden")
    with pytest.raises(NetworkError) as caught:
        one.open()
    assert not caught.value.reached
    assert "hidden" not in f"{caught.value}"


def test_nobody_there_suspends():
    with pytest.raises(NetworkError, match="refused") as caught:
        drive("http://127.0.0.1:9", anonymous=True).open()
    assert not caught.value.reached


def test_a_netrc_file_is_not_read(service, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    drive(service.url, anonymous=True).run()
    assert tokens_used(service) == [""]


@pytest.fixture
def certificate(tmp_path):
    """A certificate for loopback that nobody trusts; its file holds the key as well."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "certificate.pem"
    hidden = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + hidden)
    return pem


def test_certificates_are_verified_and_an_authority_can_be_named(service, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    url = service.secured(context)
    service.told_url = lambda _: url
    with pytest.raises(NetworkError, match="certificate") as caught:
        drive(url, anonymous=True).open()
    assert not caught.value.reached
    assert "ca_bundle" in caught.value.advice
    drive(url, anonymous=True, ca_bundle=str(certificate)).run()
    assert service.objects[KEY].content == MEDIA


def test_a_bundle_that_is_not_there_is_told(service):
    with pytest.raises(NetworkError):
        drive(service.url.replace("http://", "https://"), anonymous=True, ca_bundle="/nowhere/bundle.pem").open()


# -- signed addresses --------------------------------------------------------------------------------------------------


def verify(private_key, address):
    """Whether an address is signed as the V4 process says, checked with the public key."""
    parts = urlsplit(address)
    query, _, signature = parts.query.partition("&X-Goog-Signature=")
    told = {name: values[0] for name, values in parse_qs(query).items()}
    request = f"GET\n{parts.path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = told["X-Goog-Credential"].partition("/")[2]
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"GOOG4-RSA-SHA256\n{told['X-Goog-Date']}\n{scope}\n{digest}"
    private_key.public_key().verify(bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return told


def test_an_address_for_reading_is_signed_with_the_account_s_key(service, issuer, key_file, private_key):
    made = build_backend(GcsBackend, {"bucket": "recordings", "prefix": "in", "credentials_file": str(key_file)})
    one = GcsBackend("archive", made.options, clock=lambda: 1_900_000_000.0)
    address = one.presign("2026/Prüfstand 1.mp4", 600, RunContext())
    told = verify(private_key, address)
    assert address.startswith("https://storage.googleapis.com/recordings/in/2026/Pr%C3%BCfstand%201.mp4?")
    assert told["X-Goog-Expires"] == "600"
    assert told["X-Goog-Date"] == "20300317T174640Z"
    assert told["X-Goog-Credential"] == f"{EMAIL}/20300317/auto/storage/goog4_request"
    assert not issuer.given


def test_without_a_key_nothing_is_signed(service, issuer, tmp_path):
    info = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "login.json").write_text(json.dumps(info))
    for options in ({"anonymous": True}, {"credentials_file": str(tmp_path / "login.json")}):
        with pytest.raises(UnsupportedError) as caught:
            drive(service.url, **options).backend.presign(KEY, 60, RunContext())
        assert "credentials_file" in caught.value.advice


@pytest.fixture
def haulier(tmp_path, capsys, key_file):
    """The command line on a bucket."""
    document = {
        "upload": {"backend": "archive", "state_dir": str(tmp_path / "state")},
        "backends": {
            "archive": {"type": "gcs", "bucket": "recordings", "credentials_file": "key.json"},
            "other": {"type": "memory"},
        },
    }
    (tmp_path / "haulier.json").write_text(json.dumps(document))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--config", str(tmp_path / "haulier.json"), "--json"])
        return ended.value.code or 0, capsys.readouterr()

    return run


def test_presign_prints_an_address(haulier, private_key):
    code, told = haulier("gcs", "presign", "left/behind.mp4", "--expires", "15m")
    document = json.loads(told.out)
    assert (code, document["backend"], document["key"]) == (0, "archive", "left/behind.mp4")
    assert verify(private_key, document["url"])["X-Goog-Expires"] == "900"
    assert "PRIVATE KEY" not in told.out + told.err


@pytest.mark.parametrize(
    "words", [("--expires", "8d"), ("--expires", "0s"), ("--expires", "soon"), ("--backend", "other")]
)
def test_presign_refuses_what_cannot_be(haulier, words):
    code, told = haulier("gcs", "presign", "left/behind.mp4", *words)
    assert code
    assert "X-Goog-Signature" not in told.out + told.err
