"""Credentials in boto3's usual places, renewed on the way; proxies and certificates."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
import ssl
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from haulier.errors import AuthenticationError, NetworkError
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier_s3.backend import S3Backend

PART = 512
MEDIA = pattern(4 * PART + 5)


def drive(url, **options):
    table = {"bucket": "recordings", "endpoint_url": url, "addressing_style": "path", "min_part_size": PART, **options}
    return Drive(build_backend(S3Backend, table), make_upload([MEDIA]), [MEDIA], part_size=PART)


def keys_used(service):
    """Access keys that signed the requests, in order, each once."""
    found = [re.search(r"Credential=([^/]+)/", each.headers.get("authorization", "")) for each in service.asked]
    return list(dict.fromkeys(match[1] for match in found if match))


def write_profile(path, key):
    path.write_text(f"[work]\naws_access_key_id = {key}\naws_secret_access_key = hidden\n")


def test_credentials_come_from_the_environment(service, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY-OF-THE-ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    drive(service.url).run()
    assert keys_used(service) == ["KEY-OF-THE-ENVIRONMENT"]


def test_refused_credentials_are_read_anew_at_the_next_call(service, tmp_path):
    write_profile(tmp_path / "aws-credentials", "OLD")
    one = drive(service.url, profile="work").open().send_some(2)
    service.rule = lambda _: (400, "ExpiredToken")
    with pytest.raises(AuthenticationError):
        one.send_some()
    service.rule = lambda _: None
    write_profile(tmp_path / "aws-credentials", "NEW")
    one.ask_held().finish()
    assert keys_used(service) == ["OLD", "NEW"]
    assert service.objects["2026/11/clip.mp4"].content == MEDIA


def test_credentials_are_renewed_in_the_middle_of_an_upload(service, tmp_path):
    """They come from a program, and expire before the upload ends."""
    program = tmp_path / "renew.py"
    program.write_text(
        "import datetime, json, pathlib, sys\n"
        "count = pathlib.Path(sys.argv[1]); number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        "until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'KEY{number}', 'SecretAccessKey': 'hidden',\n"
        "                  'SessionToken': f'token{number}', 'Expiration': until.isoformat()}))\n"
    )
    command = " ".join([sys.executable, "-S", str(program), str(tmp_path / "count")])
    (tmp_path / "aws-config").write_text(f"[profile work]\ncredential_process = {command}\n")
    one = drive(service.url, profile="work").open()
    before = keys_used(service)
    one.finish()
    assert len(before) < len(keys_used(service))
    assert service.objects["2026/11/clip.mp4"].content == MEDIA


def test_no_credentials_at_all_suspend(service):
    with pytest.raises(AuthenticationError, match="credentials"):
        drive(service.url).open()
    assert not service.asked


def test_a_profile_that_is_not_there_suspends(service):
    with pytest.raises(AuthenticationError, match="profile"):
        drive(service.url, profile="nobody").open()


GIVEN = {"access_key_id": "an-access-key", "secret_access_key": "hidden"}


def test_a_proxy_is_used_with_its_credentials(service):
    one = drive("http://s3.example", proxy=service.url, proxy_credentials="user:pass word", **GIVEN)
    one.run()
    assert service.objects["2026/11/clip.mp4"].content == MEDIA
    assert {each.headers["host"] for each in service.asked} == {"s3.example"}
    assert all(each.headers["proxy-authorization"].startswith("Basic ") for each in service.asked)


def test_a_proxy_that_is_away_suspends_and_shows_no_credentials(service):
    one = drive("http://s3.example", proxy="http://127.0.0.1:9", proxy_credentials="user:hidden", **GIVEN)
    with pytest.raises(NetworkError) as caught:
        one.open()
    assert not caught.value.reached
    assert "hidden" not in f"{caught.value}"


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
    small = drive(url, **GIVEN, min_part_size=1 << 20)  # which boto3 has no part in
    for refused in (drive(url, **GIVEN).open, small.run):
        with pytest.raises(NetworkError, match="certificate") as caught:
            refused()
        assert not caught.value.reached
        assert "ca_bundle" in caught.value.advice
    drive(url, ca_bundle=str(certificate), **GIVEN).run()
    assert service.objects["2026/11/clip.mp4"].content == MEDIA


def test_an_address_for_reading_works_without_credentials(service):
    one = drive(service.url, **GIVEN)
    one.run()
    address = one.backend.presign("2026/11/clip.mp4", 600)
    assert "X-Amz-Expires=600" in address
    assert "hidden" not in address


def test_what_is_left_over_is_listed_and_dropped(service):
    from haulier_s3.leftovers import leftovers

    one = drive(service.url, **GIVEN).open().send_some(1)
    place, context = one.backend.place, RunContext()
    assert list(leftovers(place, context, before=0.0, except_ids=())) == []
    assert list(leftovers(place, context, before=2e9, except_ids=set(service.pending))) == []
    (found,) = leftovers(place, context, before=2e9, except_ids=())
    assert found.drop(place, context) is True
    assert found.drop(place, context) is False
    assert json.dumps(list(service.pending)) == "[]"
