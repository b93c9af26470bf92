"""Who may call what, at which paths, and that the document says the same."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from importlib.resources import files

import pytest
import requests

from haulier_wats.server import ServerSettings, ServerSetupError, Tokens, create_app


def anonymous(method, url, **headers):
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, headers=headers, timeout=30)


@pytest.mark.parametrize("path", ["", "/api"])
def test_health_needs_no_token(shared, path):
    answer = anonymous("GET", shared.base.removesuffix("/api") + path + "/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "capabilities": {
            "resumable": ["ietf-resumable-upload"],
            "digests": ["sha-256"],
            "max_file_size": 16 << 30,
            "max_append_size": 64 << 20,
        },
    }


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic {}", "{}", "Bearer {}x", "Bearer é"]
)
@pytest.mark.parametrize("path", ["/recordings", "/uploads/create-session", "/nothing", "/health/"])
def test_all_else_needs_one(shared, token, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.format(token).encode()}
    answer = anonymous("GET", shared.base + path, **headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert token not in answer.text


def test_the_scheme_is_read_without_case(shared, token):
    assert anonymous("GET", shared.base + "/recordings", Authorization=f"bearer {token}").status_code == 200


def test_every_path_is_answered_at_the_root_as_well(shared, new_wire):
    root = new_wire(shared.base.removesuffix("/api"), "")
    session = root.open(3)
    assert session["video_upload_url"].startswith(root.base + "/uploads/")
    root.patch(session["resumable"]["video_url"], b"abc", 0, complete=True)
    assert root.finalize(session).json() == shared.finalize(session).json()


@pytest.mark.parametrize("prefix", ["", "/", "/store/v1/"])
def test_another_prefix(start, prefix):
    wire = start(prefix=prefix)
    base = wire.base.removesuffix("/api") + prefix.rstrip("/")
    assert anonymous("GET", base + "/health").status_code == 200
    assert anonymous("GET", base + "/other/health").status_code == 401


@pytest.mark.parametrize("prefix", ["api", "/a b", "/uploads", "/recordings/x", "/../x", "/a//b", "/a\n"])
def test_a_prefix_that_cannot_be_served_is_refused(tmp_path, prefix):
    with pytest.raises(ServerSetupError, match="prefix"):
        ServerSettings(tmp_path, Tokens(["t"]), prefix)


@pytest.mark.parametrize("limit", ["max_file_size", "max_append_size", "session_ttl", "silence"])
def test_a_limit_that_makes_no_sense_is_refused(tmp_path, limit):
    with pytest.raises(ServerSetupError, match=limit):
        ServerSettings(tmp_path, Tokens(["t"]), **{limit: 0})


def test_unknown_paths_and_methods_are_problems(shared):
    assert shared("GET", "/nothing").json()["status"] == 404
    assert shared("GET", "/recordings/").status_code == 404
    answer = shared("PUT", "/recordings/x")
    assert (answer.status_code, answer.headers["Content-Type"]) == (405, "application/problem+json")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "DELETE"}


@pytest.mark.parametrize("host", ["", "a b", 'x"y', "a/b"])
def test_a_host_that_is_none_is_refused(shared, token, host):
    connection = http.client.HTTPConnection(shared.base.split("/")[2], timeout=30)
    connection.putrequest("POST", "/uploads/create-session", skip_host=True)
    for name, value in {"Host": host, "Authorization": f"Bearer {token}", "Content-Length": "2"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    assert connection.getresponse().status == 400
    connection.close()


def test_addresses_follow_the_host_and_the_proxys_scheme(shared):
    headers = {"Host": "storage.example:8443", "X-Forwarded-Proto": "https"}
    session = shared("POST", "/uploads/create-session", json={"session_id": "a"}, headers=headers).json()
    assert session["video_upload_url"].startswith("https://storage.example:8443/api/uploads/")


def test_tokens_are_read_from_a_file(tmp_path):
    path = tmp_path / "tokens"
    hashed = hashlib.sha256(b"second").hexdigest().upper()
    path.write_text(f"\ufeff# for the agents\n\n  first  \nsha256:{hashed}\npässwort\n", "utf-8")
    tokens = Tokens.from_file(path)
    assert [tokens.accepts(f"Bearer {each}") for each in ("first", "second", "third", "", "# for the agents")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert tokens.accepts("Bearer " + "pässwort".encode().decode("latin-1"))
    assert not tokens.accepts(f"Bearer sha256:{hashed}")
    assert "first" not in repr(ServerSettings(tmp_path, tokens)) + repr(vars(tokens))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "no token"),
        (b"# none\n\n", "no token"),
        (b"a\nsha256:123\n", "token 2"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_token_file_of_no_use_is_refused(tmp_path, content, words):
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ServerSetupError, match=words) as caught:
        Tokens.from_file(path)
    assert str(path) in str(caught.value)
    assert "123" not in str(caught.value)


@pytest.fixture(scope="module")
def document():
    return json.loads(files("haulier_wats.server").joinpath("openapi.json").read_text("utf-8"))


def test_the_document_is_served_without_a_token(shared, document):
    answer = anonymous("GET", shared.base + "/openapi.json")
    assert (answer.status_code, answer.json()) == (200, document)


def test_the_document_names_exactly_what_is_answered(settings, document):
    app = create_app(settings)
    app.state.storage.close()
    routes = {
        (method, route.path.removeprefix("/api"))
        for route in app.routes
        for method in route.methods - ({"HEAD"} if "GET" in route.methods else set())
    }
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    named = {(method.upper(), path) for path, item in document["paths"].items() for method in item if method in methods}
    assert named == routes
    for path, item in document["paths"].items():
        names = {parameter["$ref"].rsplit("/", 1)[1] for parameter in item.get("parameters", ())}
        assert names == set(re.findall(r"{(\w+)}", path))


def test_the_document_refers_to_nothing_that_is_missing(document):
    for pointer in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        value = document
        for step in pointer.split("/"):
            value = value[step]
    operations = [item[method] for item in document["paths"].values() for method in item if method != "parameters"]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
