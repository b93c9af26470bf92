"""The token's value is replaced within the file's own bytes, and the file is replaced at once."""

from __future__ import annotations

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haulier.errors import ConfigError
from haulier.files import Files
from haulier_wats.config_text import find_token, write_config

REFERENCE = "keyring:haulier-wats/storage.example"
SPACES = st.text(" \t\r\n", max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def objects(draw, members):
    """The text of an object with other members before and behind, any spaces, any spelling of characters."""
    others = draw(
        st.dictionaries(st.text().filter(lambda key: key not in {"api", "api_token", "backends"}), VALUES, max_size=3)
    )
    spelled = [(json.dumps(key, ensure_ascii=draw(st.booleans())), json.dumps(value)) for key, value in others.items()]
    spelled = draw(st.permutations([*spelled, *((json.dumps(key), text) for key, text in members.items())]))
    parts = ["".join([draw(SPACES), key, draw(SPACES), ":", draw(SPACES), text, draw(SPACES)]) for key, text in spelled]
    return "{" + (",".join(parts) or draw(SPACES)) + "}"


@st.composite
def files(draw, token):
    api = draw(objects({} if token is None else {"api_token": token}))
    text = draw(SPACES) + draw(objects({"api": api})) + draw(SPACES)
    return draw(st.sampled_from(["", "\ufeff"])) + text


@given(st.data(), st.text())
def test_nothing_but_the_value_changes(data, token):
    spelled = json.dumps(token, ensure_ascii=data.draw(st.booleans()))
    marker = json.dumps("the place of the token")
    text = data.draw(files(marker))
    if text.count(marker) != 1:
        return
    found = find_token(text.replace(marker, spelled).encode("utf-8", "surrogatepass"), "config.json")
    assert (found.key, found.value) == ("api.api_token", token)
    assert found.with_value(REFERENCE) == text.replace(marker, json.dumps(REFERENCE)).encode()


@given(files(None))
def test_a_missing_value_gets_a_place_and_all_else_stays(text):
    found = find_token(text.encode(), "config.json")
    assert (found.key, found.value) == ("api.api_token", "")
    new = found.with_value(REFERENCE).decode()
    before, after = json.loads(text.removeprefix("\ufeff")), json.loads(new.removeprefix("\ufeff"))
    assert after["api"].pop("api_token") == REFERENCE
    assert after == before
    head, _, tail = new.partition('"api_token"')
    rest = tail.partition(json.dumps(REFERENCE))[2]
    assert text.startswith(head.rstrip(" \t\r\n"))
    assert text.endswith(rest.removeprefix(","))


@pytest.mark.parametrize("value", ["null", '""'])
def test_an_empty_value_is_no_token(value):
    content = f'{{"api": {{"api_token": {value}, "enabled": true}}}}'.encode()
    assert find_token(content, "f").value == ""
    assert find_token(content, "f").with_value("x") == content.replace(value.encode(), b'"x"')


def test_the_token_of_the_table_of_the_backend_is_found_too():
    content = b'{"backends": {"wats": {"api_token": "env:T"}}, "api": {"api_token": ""}}'
    found = find_token(content, "f")
    assert (found.key, found.value) == ("backends.wats.api_token", "env:T")
    assert found.with_value("x") == content.replace(b"env:T", b"x")


@pytest.mark.parametrize(
    ("content", "tells"),
    [
        (b"{", "no valid JSON.*|line 1"),
        (b'{"api": {"api_token": "t",}}', "no valid JSON"),
        (b'{"api": {"api_token": "t"}} x', "no valid JSON"),
        (b'// c\n{"api": {}}', "line 1, column 1"),
        (b"", "no valid JSON"),
        ('{"api": {"api_token": "é"}}'.encode("latin-1"), "UTF-8"),
        ('{"api": {"api_token": "t"}}'.encode("utf-16"), "UTF-8"),
        (b"[]", "object"),
        (b"{}", "no object `api`"),
        (b'{"api": []}', "no object `api`"),
        (b'{"upload": {}}', "no object `api`"),
        (b'{"api": {"api_token": 5}}', "api.api_token: must be a text"),
        (b'{"api": {"api_token": "a", "api_token": "b"}}', "'api_token' twice"),
        (b'{"api": {"api_token": "a", "api\\u005ftoken": "b"}}', "'api_token' twice"),
        (b'{"api": {"api_token": "a"}, "api": {}}', "'api' twice"),
        (b'{"api": {"api_token": "a"}, "backends": {"wats": {"api_token": "b"}}}', "two tokens"),
        (b'{"api": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply|no object"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(content, tells):
    with pytest.raises(ConfigError, match=tells):
        find_token(content, "config.json")


def test_keys_that_are_double_elsewhere_are_no_concern():
    content = b'{"x": 1, "x": 2, "api": {"api_token": "a"}, "y": {"api": 1, "api": 2}}'
    assert find_token(content, "f").value == "a"


# -- writing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_the_mode_stays_and_nothing_else_is_left(tmp_path, mode):
    path = tmp_path / "config.json"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_config(path, b"old", b"new", Files())
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [left.name for left in tmp_path.iterdir()] == ["config.json"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "config.json").write_bytes(b"old")
    link = tmp_path / "config.json"
    link.symlink_to(tmp_path / "real" / "config.json")
    write_config(link, b"old", b"new", Files())
    assert link.is_symlink()
    assert (tmp_path / "real" / "config.json").read_bytes() == b"new"


def test_what_another_program_wrote_meanwhile_stays(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"newer")
    with pytest.raises(ConfigError, match="changed by another program"):
        write_config(path, b"old", b"new", Files())
    assert path.read_bytes() == b"newer"
    assert [left.name for left in tmp_path.iterdir()] == ["config.json"]


class Broken(Files):
    """Cannot do one thing."""

    def __init__(self, call):
        super().__init__()
        setattr(self, call, self._fail)

    def _fail(self, *arguments):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync_file", "replace"])
def test_a_write_that_fails_leaves_the_file_and_no_draft(tmp_path, call):
    path = tmp_path / "config.json"
    path.write_bytes(b"old")
    with pytest.raises(ConfigError, match="No space left on device; it is as it was"):
        write_config(path, b"old", b"new", Broken(call))
    assert path.read_bytes() == b"old"
    assert [left.name for left in tmp_path.iterdir()] == ["config.json"]
