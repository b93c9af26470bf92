"""The token goes to the origin it was configured for, and nothing takes its place."""

from __future__ import annotations

import pytest

from haulier.errors import ConfigError, PermissionDeniedError, ValidationError
from haulier_wats.http import origin_of


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """A netrc file with credentials for every host."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login somebody password else\ndefault login anybody password atall\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def test_the_token_and_the_clients_name_go_to_the_base_address(server, client, context, token, netrc):
    server.on("GET", "/api/health", {})
    client.health(context)
    headers = server.received[0].headers
    assert headers["authorization"] == f"Bearer {token}"
    assert headers["user-agent"] == "WATS-RecordingUploader/1.0"


def test_invariant_10_a_foreign_upload_address_gets_no_credentials(start_server, client, body, context, netrc):
    foreign = start_server()
    foreign.on("POST", "/bucket/x", {"file_id": "f1"})
    client.upload_file(f"{foreign.origin}/bucket/x?sig=abc", body(b"bytes"), "a.mp4", context)
    assert foreign.received[0].path == "/bucket/x?sig=abc"
    assert "authorization" not in foreign.received[0].headers


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_another_name_for_the_same_machine_is_another_origin(server, client, body, context, host):
    server.on("POST", "/up", {"file_id": "f1"})
    url = f"http://{host}:{server.httpd.server_port}/up"
    assert not client.http.is_own(url)


def test_invariant_10_the_address_of_a_foreign_origin_is_no_part_of_an_error(start_server, client, body, context):
    foreign = start_server()
    foreign.on("POST", "/granted/x", (500, {}, b""))
    with pytest.raises(Exception, match="status 500") as caught:
        client.upload_file(f"{foreign.origin}/granted/x?sig=abc", body(b"bytes"), "a.mp4", context)
    assert caught.value.where == f"{foreign.origin}/"
    assert "granted" not in str(caught.value)


def test_a_foreign_401_is_not_about_our_token(start_server, client, body, context):
    foreign = start_server()
    foreign.on("POST", "/x", (401, {}, b""))
    with pytest.raises(PermissionDeniedError):
        client.upload_file(f"{foreign.origin}/x", body(b"bytes"), "a.mp4", context)


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("/upload/1", "{origin}/upload/1"),
        ("upload/1", "{origin}/api/upload/1"),
        ("?x=1", "{origin}/api/?x=1"),
        ("https://storage.example/up", "https://storage.example/up"),
        (" //storage.example/up ", "http://storage.example/up"),
    ],
)
def test_upload_addresses_may_be_relative(server, client, url, resolved):
    assert client.http.resolve(url) == resolved.format(origin=server.origin)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "https://", "http://[::1", "http://h:99999/x"])
def test_other_upload_addresses_are_refused(client, url):
    with pytest.raises(ValidationError, match="upload address"):
        client.http.resolve(url)


def test_origins():
    assert origin_of("HTTPS://Storage.example/x") == origin_of("https://storage.example:443/y?z")
    assert origin_of("https://storage.example") != origin_of("http://storage.example")
    assert origin_of("http://storage.example:8080") != origin_of("http://storage.example")


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "storage.example/api",
        "ftp://storage.example",
        "https://",
        "https://h:99999",
        "https://me:pw@h/api",
        "https://h/?a=1",
    ],
)
def test_a_base_address_that_cannot_be_is_refused(new_backend, base_url):
    with pytest.raises(ConfigError, match="base_url") as caught:
        new_backend(base_url)
    assert caught.value.where == "backends.archive"
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("text", ["line\nbreak", "späce", " x ", "\x00"])
def test_a_token_that_no_header_carries_is_refused_unquoted(text):
    from haulier import Secret
    from haulier_wats.backend import WatsBackend
    from haulier_wats.options import WatsOptions

    with pytest.raises(ConfigError, match="api_token") as caught:
        WatsBackend("archive", WatsOptions("https://h/api", Secret(text)))
    assert text not in str(caught.value)


def test_making_a_backend_opens_nothing(server, new_backend):
    new_backend(server.url, ca_bundle="/no/such/file")
    assert not server.received


def test_cookies_are_not_kept(server, client, context):
    server.on("GET", "/api/health", (200, {"Set-Cookie": "session=1"}, b""))
    client.health(context)
    client.health(context)
    assert "cookie" not in server.received[1].headers


def test_an_identifier_cannot_lead_elsewhere(client):
    assert client.url("recordings", "a/../b?c#d") == client.url("recordings") + "/a%2F..%2Fb%3Fc%23d"
    for segment in ("", ".", ".."):
        with pytest.raises(ValidationError):
            client.url("uploads", segment, "finalize")
