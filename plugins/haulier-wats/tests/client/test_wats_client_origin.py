"""The token goes to the origin it was configured for, and nothing takes its place."""

from __future__ import annotations

import json
from urllib.parse import quote, unquote

import pytest

from haulier.errors import ConfigError, HaulierError, PermissionDeniedError, ValidationError
from haulier_wats.addresses import origin_of


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


@pytest.mark.parametrize(
    "identifier", ["a/b", "..x", "a?b#c", "%2e%2e", "%2F", "sessão 1", "日本", "a;b&c=d", "a\r\nX: y", 7]
)
def test_each_identifier_of_a_server_arrives_as_one_segment(server, client, context, identifier):
    quoted = quote(str(identifier), safe="")
    server.on("GET", f"/api/uploads/{quoted}/status", {"session_id": identifier, "status": "open"})
    answer = {"session_id": identifier, "metadata_upload_url": "/m", "video_upload_url": "/v"}
    server.on("POST", "/api/uploads/create-session", answer)
    session = client.create_session({}, "key", context)
    assert client.session_status(session.session_id, context).status == "open"
    assert unquote(server.received[-1].path.split("/")[3]) == str(identifier)
    assert "x" not in server.received[-1].headers


def test_half_of_a_surrogate_pair_is_no_identifier(client):
    with pytest.raises(ValidationError, match="identifier"):
        client.url("recordings", json.loads('"\\ud800"'))


def test_nothing_that_a_server_or_a_file_is_called_adds_header_fields(server, client, body, context):
    server.on("POST", "/up", {})
    name = 'a".mp4\r\nX-Injected: 1\r\n\r\nbytes\u2028.mp4'
    client.upload_file(client.http.resolve("/u\r\np\t"), body(b"bytes"), name, context)
    (request,) = server.received
    assert request.path == "/up"
    assert "x-injected" not in request.headers
    head, content = request.body.split(b"\r\n\r\n", 1)
    assert len(head.split(b"\r\n")) == 3
    assert content.startswith(b"bytes\r\n--")


@pytest.mark.parametrize("name", ["X\r\nInjected: 1", "line\n"])
def test_a_client_name_that_no_header_carries_is_an_error_of_ours(server, new_backend, context, name):
    with pytest.raises(ValidationError, match="cannot be used"):
        new_backend(server.url, user_agent=name).probe(context)
    assert not server.received


def test_invariant_10_a_foreign_upload_address_gets_nothing_of_ours(start_server, server, client, body, context, netrc):
    foreign = start_server()
    foreign.on("PUT", "/bucket/x", (200, {}, b""))
    server.on("GET", "/api/health", (200, {"Set-Cookie": "session=1; Path=/"}, b""))
    client.health(context)
    assert (
        client.upload_file(f"{foreign.origin}/bucket/x?X-Amz-Signature=a", body(b"bytes"), "a", context, method="PUT")
        == ""
    )
    headers = foreign.received[0].headers
    assert {"authorization", "cookie", "idempotency-key"}.isdisjoint(headers)


def test_invariant_10_a_redirect_to_another_origin_carries_the_token_nowhere(
    start_server, server, client, body, context
):
    foreign = start_server()
    server.on("POST", "/up", (307, {"Location": f"{foreign.origin}/up"}, b""))
    with pytest.raises(HaulierError, match="redirect"):
        client.upload_file(client.http.resolve("/up"), body(b"bytes"), "a", context)
    assert foreign.received == []


def test_invariant_10_a_client_certificate_is_shown_to_its_own_origin_only(new_backend):
    http = new_backend("https://storage.example/api", client_cert="c.pem", client_key="k.pem")._client.http
    assert http._certificate("https://storage.example/x") == ("c.pem", "k.pem")
    assert http._certificate("https://bucket.example/x") is None
