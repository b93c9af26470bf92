"""Which upload addresses a server may name: never one that only this machine or its network can reach."""

from __future__ import annotations

import pytest

from haulier import Secret
from haulier.errors import ValidationError
from haulier_wats.addresses import Reach, UploadAddresses, reach_of
from haulier_wats.client import WatsClient
from haulier_wats.http import Http
from haulier_wats.options import WatsOptions

PUBLIC = ["93.184.215.14"]


def addresses(base="https://storage.example/api", found=PUBLIC):
    def lookup(_):
        if found is None:
            raise OSError("no such name")
        return found

    return UploadAddresses(base, lookup)


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("93.184.215.14", Reach.PUBLIC),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", Reach.PUBLIC),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.8.9.10", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("0.0.0.0", Reach.LOOPBACK),
        ("::", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("2002:7f00:1::", Reach.LOOPBACK),
        ("169.254.169.254", Reach.LINK_LOCAL),
        ("fe80::1%eth0", Reach.LINK_LOCAL),
        ("::ffff:169.254.169.254", Reach.LINK_LOCAL),
        ("10.0.0.1", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.1.100", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("224.0.0.1", Reach.PRIVATE),
        ("255.255.255.255", Reach.PRIVATE),
    ],
)
def test_from_where_an_address_can_be_reached(address, reach):
    assert reach_of(address) is reach


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://localhost/x",
        "https://LOCALHOST./x",
        "https://a.localhost:8443/x",
        "https://169.254.169.254/latest/meta-data",
        "https://192.168.0.1/x",
        "http://bucket.example/x",
        "http://storage.example/x",
        "https://me:pw@bucket.example/x",
        "https://me@storage.example/x",
    ],
)
def test_invariant_10_a_public_server_cannot_send_us_into_our_own_network_or_out_of_tls(url):
    with pytest.raises(ValidationError, match="upload address") as caught:
        addresses().absolute(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "found", "url"),
    [
        ("http://127.0.0.1:8080/api", None, "http://localhost:9000/x"),
        ("http://192.168.1.100/api", None, "http://10.0.0.1/x"),
        ("http://storage.internal/api", ["10.1.2.3"], "http://192.168.0.1/x"),
        ("https://storage.example/api", PUBLIC, "https://93.184.215.15:9000/x"),
        ("https://storage.example/api", PUBLIC, "https://bucket.example/x?sig=1"),
        ("http://storage.example/api", PUBLIC, "https://bucket.example/x"),
    ],
)
def test_what_lies_as_the_server_itself_does_may_be_named(base, found, url):
    assert addresses(base, found).absolute(url) == url


@pytest.mark.parametrize(
    ("base", "found", "url"),
    [
        ("http://192.168.1.100/api", None, "http://127.0.0.1/x"),
        ("http://192.168.1.100/api", None, "http://169.254.169.254/x"),
        ("http://127.0.0.1/api", None, "http://169.254.169.254/x"),
        ("http://nobody.example/api", None, "http://10.0.0.1/x"),
    ],
)
def test_nothing_else_may(base, found, url):
    with pytest.raises(ValidationError, match="though base_url is not"):
        addresses(base, found).absolute(url)


def test_a_name_is_judged_by_where_it_led():
    judge = addresses()
    judge.check_peer("https://bucket.example/x", "93.184.215.15")
    judge.check_peer("https://storage.example/x", "10.0.0.1")  # the user's own choice
    with pytest.raises(ValidationError, match="is loopback"):
        judge.check_peer("https://bucket.example/x", "127.0.0.1")


@pytest.mark.parametrize("host", ["localtest.example", "2130706433", "0x7f.1", "127.1"])
def test_invariant_10_a_name_that_leads_home_is_sent_nothing(server, body, context, monkeypatch, host):
    """The base is told to be public; the name is resolved to this machine, as a rebinding server would have it."""
    import socket

    resolve = socket.getaddrinfo

    def to_loopback(name, *arguments, **options):
        return resolve("127.0.0.1" if name == host else name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", to_loopback)
    client = WatsClient(WatsOptions("http://storage.example/api", Secret("token")))
    client.http = Http(WatsOptions("http://storage.example/api", Secret("token")), lookup=lambda _: PUBLIC)
    content = body(b"secret bytes")
    with pytest.raises(ValidationError, match="is loopback"):
        client.upload_file(f"http://{host}:{server.httpd.server_port}/x", content, "a.mp4", context)
    client.close()
    assert server.received == []


def test_a_proxy_is_the_users_choice_and_its_own_address_no_matter(start_server, body, context, monkeypatch):
    proxy = start_server()
    proxy.on("POST", "http://bucket.example/x", {"file_id": "f1"})
    monkeypatch.setenv("http_proxy", proxy.origin)
    http = Http(WatsOptions("http://storage.example/api", Secret("token")), lookup=lambda _: PUBLIC)
    client = WatsClient(WatsOptions("http://storage.example/api", Secret("token")))
    client.http = http
    assert client.upload_file("http://bucket.example/x", body(b"bytes"), "a.mp4", context) == "f1"
    assert "authorization" not in proxy.received[0].headers
    client.close()
