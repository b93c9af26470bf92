"""Secrets by reference."""

import builtins
import sys
import types

import pytest

from haulier.config.ownership import belongs_to_user, readable_by_others
from haulier.config.references import is_reference, resolve_secret
from haulier.config.secrets import Secret
from haulier.errors import ConfigError


def resolve(text, tmp_path, environ=None, **more):
    return resolve_secret(text, environ=environ or {}, base_dir=tmp_path, where="here: token", **more)


def secret_file(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_from_the_environment(tmp_path):
    assert resolve("env:T", tmp_path, {"T": "x"}) == (Secret("x"), "env", "")


@pytest.mark.parametrize(("environ", "state"), [({}, "is not set"), ({"T": ""}, "is empty")])
def test_an_environment_variable_without_content_is_an_error(tmp_path, environ, state):
    with pytest.raises(ConfigError, match=f"here: token: the environment variable T {state}"):
        resolve("env:T", tmp_path, environ)


@pytest.mark.parametrize(("content", "secret"), [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), (" x \n\n", " x \n")])
def test_from_a_file_without_its_line_end(tmp_path, content, secret):
    secret_file(tmp_path / "t", content)

    assert resolve("file:t", tmp_path) == (Secret(secret), "file", "")
    assert resolve(f"file:{tmp_path / 't'}", tmp_path.parent).secret == Secret(secret)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_file_that_others_can_read_is_warned_of(tmp_path, mode):
    secret_file(tmp_path / "t", "s3cret", mode)

    found = resolve("file:t", tmp_path)

    assert found.secret.reveal() == "s3cret"
    assert "chmod 600" in found.warning
    assert "s3cret" not in found.warning


@pytest.mark.parametrize(
    ("content", "tells"), [(None, "No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "no text")]
)
def test_a_secret_file_without_a_secret_is_an_error(tmp_path, content, tells):
    if content is not None:
        (tmp_path / "t").write_bytes(content)

    with pytest.raises(ConfigError, match=tells):
        resolve("file:t", tmp_path)


def test_from_the_key_store(tmp_path):
    asked = []

    def get(service, user):
        asked.append((service, user))
        return "k"

    assert resolve("keyring:wats/uploads/me", tmp_path, keyring_get=get) == (Secret("k"), "keyring", "")
    assert asked == [("wats/uploads", "me")]


def test_an_empty_or_silent_key_store_is_an_error(tmp_path):
    def locked(service, user):
        raise RuntimeError("s3cret inside")

    with pytest.raises(ConfigError, match="nothing under svc/me"):
        resolve("keyring:svc/me", tmp_path, keyring_get=lambda service, user: None)
    with pytest.raises(ConfigError, match="does not answer: RuntimeError") as caught:
        resolve("keyring:svc/me", tmp_path, keyring_get=locked)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="keyring:SERVICE/NAME"):
        resolve("keyring:svc", tmp_path, keyring_get=locked)


def test_without_the_package_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(ConfigError, match=r"haulier\[keyring\]"):
        resolve("keyring:svc/me", tmp_path)


def test_the_package_is_asked_when_it_is_there(tmp_path, monkeypatch):
    package = types.ModuleType("keyring")
    package.get_password = lambda service, user: service + user
    monkeypatch.setitem(sys.modules, "keyring", package)

    assert resolve("keyring:svc/me", tmp_path).secret == Secret("svcme")


def test_a_literal_works_with_a_warning_that_does_not_show_it(tmp_path):
    found = resolve("hunter2", tmp_path)

    assert (found.secret, found.kind) == (Secret("hunter2"), "literal")
    assert "in clear" in found.warning
    assert "hunter2" not in found.warning
    assert resolve("", tmp_path).warning == ""


def test_what_is_a_reference():
    assert all(map(is_reference, ["env:X", "file:x", "keyring:a/b"]))
    assert not any(map(is_reference, ["", "x", "ENV:X", "https://x", "literal:x"]))


def test_ownership_of_files_of_our_own(tmp_path):
    path = secret_file(tmp_path / "t", "x")

    assert belongs_to_user(path)
    assert not readable_by_others(path)
    with pytest.raises(OSError):
        belongs_to_user(tmp_path / "missing")


def test_a_secret_prints_as_stars():
    assert "x1y2" not in builtins.repr(Secret("x1y2")) + str(Secret("x1y2"))
