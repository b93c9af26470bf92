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

SCOPES = ("upload", "read", "delete")


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
            "max_metadata_size": 16 << 20,
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


@pytest.mark.parametrize(("scope", "needed"), [("upload", "delete"), ("read", "delete"), ("delete", "read upload")])
def test_a_token_without_the_scope_is_told_which_it_lacks(start, scope, needed):
    wire = start(tokens=Tokens([f"limited {scope}", "t0ken-of-the-tests"]))
    stored = wire.store()["file_id"]
    method = "DELETE" if needed == "delete" else "GET"
    answer = wire(method, f"/recordings/{stored}", headers={"Authorization": "Bearer limited"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["scopes"] == needed.split()
    assert f'error="insufficient_scope", scope="{needed}"' in answer.headers["WWW-Authenticate"]
    assert wire("GET", f"/recordings/{stored}").status_code == 200


def test_an_uploader_finds_its_own_item_and_no_other(start):
    wire = start(tokens=Tokens(["agent upload", "t0ken-of-the-tests"]))
    stored = wire.store(item_id="mine")
    wire.session.headers["Authorization"] = "Bearer agent"
    assert wire("GET", "/recordings?item_id=mine").json()["recordings"][0]["file_id"] == stored["file_id"]
    assert wire("GET", f"/recordings/{stored['file_id']}").status_code == 200
    for path in (
        "/recordings",
        "/recordings?session_id=rdp_123_1729950022",
        f"/recordings/{stored['file_id']}/content",
    ):
        assert wire("GET", path).status_code == 403
    assert wire.store(b"more", item_id="next")["status"] == "completed"


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


@pytest.mark.parametrize("prefix", ["api", "/a b", "/uploads", "/recordings/x", "/metrics", "/../x", "/a//b", "/a\n"])
def test_a_prefix_that_cannot_be_served_is_refused(tmp_path, prefix):
    with pytest.raises(ServerSetupError, match="prefix"):
        ServerSettings(tmp_path, Tokens(["t"]), prefix)


@pytest.mark.parametrize("limit", ["max_file_size", "max_metadata_size", "max_append_size", "session_ttl", "silence"])
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


def test_a_token_may_do_what_stands_behind_it(tmp_path):
    path = tmp_path / "tokens"
    hashed = hashlib.sha256(b"third").hexdigest()
    path.write_text(f"all\nsecond\tupload, read\nsha256:{hashed} name=auditor@hq read\nfourth  name=agent-7\n")
    callers = [Tokens.from_file(path).caller(f"Bearer {token}") for token in ("all", "second", "third", "fourth")]
    assert [set(caller.scopes) for caller in callers] == [set(SCOPES), {"upload", "read"}, {"read"}, set(SCOPES)]
    fingerprints = [f"sha256:{hashlib.sha256(token).hexdigest()[:12]}" for token in (b"all", b"second")]
    assert [caller.name for caller in callers] == [*fingerprints, "auditor@hq", "agent-7"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "no token"),
        (b"# none\n\n", "no token"),
        (b"a\nsha256:123\n", "token 2"),
        (b"a upload,write123\n", "token 1 is followed by .*upload, read, delete"),
        (b"a name=\n", "token 1 is followed by"),
        (b"123 read\n123\n", "token 2 was given before"),
        (b",read\n", "token 1 is empty"),
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


METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def operations_of(document):
    """Method and path of each operation, with what the document says of it."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def test_the_document_names_exactly_what_is_answered(settings, document):
    app = create_app(settings)
    app.state.storage.close()
    routes = {(method, route.path.removeprefix("/api")) for route in app.routes for method in route.methods}
    implied = {("HEAD", path) for method, path in routes if method == "GET"}
    assert routes - implied <= set(operations_of(document)) <= routes
    for path, item in document["paths"].items():
        names = {parameter["$ref"].rsplit("/", 1)[1] for parameter in item.get("parameters", ())}
        assert names == set(re.findall(r"{(\w+)}", path))


def test_the_document_s_scopes_are_those_that_are_needed(start, document):
    wire = start(tokens=Tokens([f"{scope} {scope}" for scope in SCOPES]))
    for (method, path), operation in operations_of(document).items():
        enough = {scope for each in operation["security"] for scope in each["token"]}
        url = re.sub("{kind}", "video", re.sub(r"{\w+_id}", "unknown", path))
        for scope in SCOPES:
            answer = wire(method, url, headers={"Authorization": f"Bearer {scope}"})
            if path == "/recordings" and scope == "upload":
                assert answer.status_code == 403
                answer = wire(method, f"{url}?item_id=i", headers={"Authorization": "Bearer upload"})
            assert (answer.status_code == 403) == (bool(enough) and scope not in enough), (method, path, scope)


def test_the_document_refers_to_nothing_that_is_missing(document):
    for pointer in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        value = document
        for step in pointer.split("/"):
            value = value[step]
    operations = [item[method] for item in document["paths"].values() for method in item if method != "parameters"]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
