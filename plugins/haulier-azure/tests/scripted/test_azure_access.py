"""Keys, signatures, identities; proxies, certificates, signed addresses, the command line."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import logging
import ssl
import sys
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from haulier.backends.api import Answer
from haulier.cli import main
from haulier.config.secrets import Secret
from haulier.errors import AuthenticationError, ConfigError, NetworkError, PermissionDeniedError, UnsupportedError
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier_azure.backend import AzureBackend
from haulier_azure.options import AzureOptions

UNIT = 512
MEDIA = pattern(3 * UNIT + 5)
KEY = "2026/11/clip.mp4"
SECRET = "YS1rZXktZm9yLXRlc3Rz"
WRONG = base64.b64encode(b"another key").decode()


def drive(made):
    return Drive(made, make_upload([MEDIA]), [MEDIA], part_size=UNIT)


def backend(origin, **options):
    table = {"container": "sessions", "account_url": f"{origin}/recordings", "credential": SECRET}
    return build_backend(AzureBackend, {**table, "min_part_size": UNIT, **options})


def account_of(azurite):
    credential = azurite.client.credential
    return credential.account_name, credential.account_key


def on_azurite(azurite, container, **options):
    name, key = account_of(azurite)
    table = {"container": container, "account_url": f"{azurite.url}/{name}", "credential": key}
    return build_backend(AzureBackend, {**table, "min_part_size": UNIT, **options})


def signature(azurite, container, letters, lifetime=600):
    from azure.storage.blob import generate_container_sas

    name, key = account_of(azurite)
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)
    return generate_container_sas(name, container, account_key=key, permission=letters, expiry=end)


# -- on a real server --------------------------------------------------------------------------------------------------


def test_a_sas_with_the_documented_letters_is_enough(azurite):
    container = azurite.container()
    made = on_azurite(azurite, container, credential=signature(azurite, container, "rcwl"))
    drive(made).run()
    assert azurite.content(container, KEY) == MEDIA
    rights = made.check(RunContext()).rights
    assert rights["delete"] is Answer.NO
    assert {rights[name] for name in ("reach", "list", "write", "resume", "read")} == {Answer.YES}
    with pytest.raises(PermissionDeniedError):
        made.delete(KEY, RunContext())


def test_a_sas_that_may_only_write_uploads_with_proof(azurite):
    container = azurite.container()
    made = on_azurite(azurite, container, credential=signature(azurite, container, "cw"))
    (stored,) = drive(made).run()
    assert stored.compared
    assert azurite.content(container, KEY) == MEDIA


@pytest.mark.parametrize("kind", ["wrong key", "expired SAS", "forged SAS"])
def test_credentials_that_are_not_accepted_are_not_shown(azurite, kind):
    """Azurite calls all of them AuthorizationFailure; what the service says of them is tried with a scripted one."""
    container = azurite.container()
    told = {
        "wrong key": lambda: WRONG,
        "expired SAS": lambda: signature(azurite, container, "rcwl", lifetime=-60),
        "forged SAS": lambda: signature(azurite, container, "rcwl") + "x",
    }[kind]()
    with pytest.raises((AuthenticationError, PermissionDeniedError)) as caught:
        drive(on_azurite(azurite, container, credential=told)).run()
    shown = f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert told not in shown
    assert "sig=" not in shown
    assert azurite.keys(container) == []


def test_a_connection_string_is_enough(azurite):
    container = azurite.container()
    name, key = account_of(azurite)
    text = f"DefaultEndpointsProtocol=http;AccountName={name};AccountKey={key};BlobEndpoint={azurite.url}/{name};"
    made = build_backend(AzureBackend, {"container": container, "connection_string": text, "min_part_size": UNIT})
    drive(made).run()
    assert azurite.content(container, KEY) == MEDIA


def test_a_container_that_is_not_there_is_named_with_what_to_do(azurite):
    report = on_azurite(azurite, "nowhere").check(RunContext())
    assert report.rights["reach"] is Answer.NO
    assert "Create the container" in report.remarks[0]


def test_a_signed_address_reads_one_object_and_nothing_else(azurite):
    container = azurite.container()
    made = on_azurite(azurite, container, prefix="in")
    azurite.blob(container, "in/2026/Prüfstand 1.mp4").upload_blob(MEDIA)
    azurite.blob(container, "in/other").upload_blob(b"other")
    address = made.presign("2026/Prüfstand 1.mp4", 600)
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == MEDIA
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address.replace("2026/Pr%C3%BCfstand%201.mp4", "other"))
    caught.value.close()
    assert caught.value.code == 403


def test_a_sas_signs_nothing(azurite):
    container = azurite.container()
    made = on_azurite(azurite, container, credential=signature(azurite, container, "rcwl"))
    with pytest.raises(UnsupportedError, match="cannot sign"):
        made.presign(KEY, 60)


def test_no_signature_is_logged(azurite, caplog):
    container = azurite.container()
    sas = signature(azurite, container, "rcwl")
    with caplog.at_level(logging.DEBUG):
        drive(on_azurite(azurite, container, credential=sas)).run()
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert sas.partition("sig=")[2] not in told


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture
def haulier(tmp_path, capsys):
    document = {
        "upload": {"backend": "archive", "state_dir": str(tmp_path / "state")},
        "backends": {
            "archive": {
                "type": "azure",
                "container": "sessions",
                "account_url": "https://recordings.blob.core.windows.net",
                "credential": "env:HAULIER_TEST_KEY",
            },
            "other": {"type": "memory"},
        },
    }
    (tmp_path / "haulier.json").write_text(json.dumps(document))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--config", str(tmp_path / "haulier.json"), "--json"])
        return ended.value.code or 0, capsys.readouterr()

    return run


def test_presign_prints_an_address(haulier, monkeypatch):
    monkeypatch.setenv("HAULIER_TEST_KEY", SECRET)
    code, told = haulier("azure", "presign", "left/behind.mp4", "--expires", "15m")
    document = json.loads(told.out)
    assert (code, document["backend"], document["key"]) == (0, "archive", "left/behind.mp4")
    assert document["url"].startswith("https://recordings.blob.core.windows.net/sessions/left/behind.mp4?")
    assert "sp=r&" in document["url"]
    assert SECRET not in told.out + told.err


@pytest.mark.parametrize(
    "words", [("--expires", "8d"), ("--expires", "0s"), ("--expires", "soon"), ("--backend", "other")]
)
def test_presign_refuses_what_cannot_be(haulier, monkeypatch, words):
    monkeypatch.setenv("HAULIER_TEST_KEY", SECRET)
    code, told = haulier("azure", "presign", "left/behind.mp4", *words)
    assert code
    assert "sig=" not in told.out + told.err


# -- the way there -----------------------------------------------------------------------------------------------------


def test_a_proxy_is_used_with_its_credentials(service):
    made = backend(
        "http://azure.example", account_name="recordings", proxy=service.origin, proxy_credentials="user:pass word"
    )
    drive(made).run()
    assert service.blobs[KEY].content == MEDIA
    assert {each.headers["host"] for each in service.asked} == {"azure.example"}
    expected = base64.b64encode(b"user:pass word").decode()
    assert {each.headers["proxy-authorization"] for each in service.asked} == {f"Basic {expected}"}


def test_the_environment_s_proxy_is_used(service, monkeypatch):
    monkeypatch.setenv("http_proxy", service.origin)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    drive(backend("http://azure.example", account_name="recordings")).run()
    assert {each.headers["host"] for each in service.asked} == {"azure.example"}


def test_a_proxy_that_is_away_suspends_and_shows_no_credentials():
    made = backend(
        "http://azure.example", account_name="recordings", proxy="http://127.0.0.1:9", proxy_credentials="user:hidden"
    )
    with pytest.raises(NetworkError) as caught:
        made.probe(RunContext())
    assert not caught.value.reached
    assert "hidden" not in f"{caught.value} {caught.value.__cause__!r}"


def test_nobody_there_suspends():
    with pytest.raises(NetworkError) as caught:
        backend("http://127.0.0.1:9").probe(RunContext())
    assert not caught.value.reached


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


@pytest.fixture
def secured(service, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return service.secured(context)


def test_certificates_are_verified_and_an_authority_can_be_named(service, secured, certificate):
    with pytest.raises(NetworkError, match="certificate") as caught:
        backend(secured).probe(RunContext())
    assert not caught.value.reached
    assert "ca_bundle" in caught.value.advice
    drive(backend(secured, ca_bundle=str(certificate))).run()
    assert service.blobs[KEY].content == MEDIA


# -- identities --------------------------------------------------------------------------------------------------------


class Identity:
    """Gives out tokens, a new one each time it is made."""

    made = 0

    def __init__(self):
        Identity.made += 1
        self.token = f"token-{Identity.made}"

    def get_token(self, *_, **__):
        from azure.core.credentials import AccessToken

        return AccessToken(self.token, int(dt.datetime.now(dt.UTC).timestamp()) + 3600)


def by_identity(secured, certificate, credential):
    options = AzureOptions(
        "sessions", account_url=f"{secured}/recordings", ca_bundle=str(certificate), min_part_size=UNIT
    )
    return AzureBackend("archive", options, credential=credential)


def test_an_identity_s_token_goes_with_every_request_and_is_made_anew_when_refused(service, secured, certificate):
    Identity.made = 0
    made = by_identity(secured, certificate, lambda _: Identity())
    one = drive(made).open().send_some(2)
    assert {each.headers["authorization"] for each in service.asked} == {"Bearer token-1"}
    service.rule = lambda _: (401, "InvalidAuthenticationInfo")
    with pytest.raises(AuthenticationError):
        one.send_some(1)
    service.rule = lambda _: None
    service.asked.clear()
    one.ask_held().finish()
    assert {each.headers["authorization"] for each in service.asked} == {"Bearer token-2"}
    assert service.blobs[KEY].content == MEDIA


def test_an_identity_that_has_no_credentials_suspends(service, secured, certificate):
    from azure.identity import CredentialUnavailableError

    class Nobody:
        def get_token(self, *_, **__):
            raise CredentialUnavailableError(message="no sig=SECRET here")

    with pytest.raises(AuthenticationError, match="no credentials") as caught:
        by_identity(secured, certificate, lambda _: Nobody()).probe(RunContext())
    assert "SECRET" not in f"{caught.value} {caught.value.__cause__!r}"
    assert not service.asked


@pytest.mark.parametrize("identity", ["default", "managed"])
def test_without_azure_identity_the_extra_is_named(monkeypatch, identity):
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    made = AzureBackend(
        "archive", AzureOptions("sessions", account_url="https://a.blob.core.windows.net", identity=identity)
    )
    with pytest.raises(ConfigError) as caught:
        made.probe(RunContext())
    assert "haulier-azure[identity]" in caught.value.advice


def test_which_identity_is_asked_for():
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    from haulier_azure.credentials import credential_for

    url = "https://a.blob.core.windows.net"
    default = credential_for(AzureOptions("sessions", account_url=url))
    managed = credential_for(AzureOptions("sessions", account_url=url, identity="managed", identity_client_id="1"))
    assert isinstance(default, DefaultAzureCredential)
    assert isinstance(managed, ManagedIdentityCredential)
    default.close()
    managed.close()


def test_a_key_and_a_sas_are_given_to_the_sdk_as_they_are():
    from azure.core.credentials import AzureSasCredential

    from haulier_azure.credentials import credential_for

    url = "https://recordings.blob.core.windows.net"
    key = credential_for(AzureOptions("sessions", account_url=url, credential=Secret(SECRET)))
    sas = credential_for(AzureOptions("sessions", account_url=url, credential=Secret("?sp=r&sig=x")))
    assert key == {"account_name": "recordings", "account_key": SECRET}
    assert isinstance(sas, AzureSasCredential)
