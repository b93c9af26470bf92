"""``haulier wats token set`` and ``show``: each place, moves between them, and no word of the token anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NEW = "new-token-9876543210"


def mark(token):
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()[:12]}"


def test_a_token_in_clear_is_encrypted_in_its_place(desk, clear):
    before = desk.config.read_bytes()
    ran = desk.token_set()
    assert ran.code == 0
    assert f"{desk.config}: api.api_token: the token {mark(clear)} is encrypted in this file" in ran.out
    assert desk.config.read_bytes() == before.replace(clear.encode(), desk.token.encode())
    assert desk.token.startswith("haulier:v1:")
    assert desk.holding(clear) == []
    shown = desk.token_show()
    assert (shown.code, shown.err) == (0, "")
    assert f"the token {mark(clear)} is encrypted in this file" in shown.out


def test_spelling_line_ends_mark_and_mode_of_the_file_stay(desk, clear):
    content = f'\ufeff{{\r\n\t"api" : {{ "base_url":"https://h/","api_token"\t:  "{clear}" ,"x":[1, 2.50e1] }},\r\n"é":"\\u00e9"}}\r\n\r\n'
    desk.config.write_bytes(content.encode())
    desk.config.chmod(0o640)
    assert desk.token_set().code == 0
    assert desk.config.read_bytes() == content.encode().replace(clear.encode(), desk.token.encode())
    assert desk.config.stat().st_mode & 0o777 == 0o640


def test_a_second_time_changes_nothing(desk, clear):
    first = desk.token_set("--json").document
    content, at = desk.config.read_bytes(), desk.config.stat().st_mtime_ns
    for options in ((), ("--store", "encrypted")):
        second = desk.token_set("--json", *options).document
        assert second == first | {"changed": False}
    assert (desk.config.read_bytes(), desk.config.stat().st_mtime_ns) == (content, at)
    assert first == {
        "path": str(desk.config),
        "key": "api.api_token",
        "store": "encrypted",
        "reference": None,
        "fingerprint": mark(clear),
        "changed": True,
    }


def test_into_the_key_store(desk, clear, key_store):
    document = desk.token_set("--store", "keyring", "--json").document
    assert document["reference"] == desk.token == "keyring:haulier-wats/storage.example"
    assert key_store == {("haulier-wats", "storage.example"): clear}
    assert desk.token_show("--json").document == {
        "path": str(desk.config),
        "key": "api.api_token",
        "store": "keyring",
        "reference": "keyring:haulier-wats/storage.example",
        "fingerprint": mark(clear),
        "readable": True,
    }
    assert not desk.token_set("--json").document["changed"]
    desk.token_set("--store", "keyring", "--name", "mine/me")
    assert desk.token == "keyring:mine/me"
    assert desk.holding(clear) == []


def test_the_key_of_an_encrypted_token_lies_in_the_key_store_when_there_is_one(desk, key_store):
    desk.token_set()
    ((service, _),) = key_store
    assert service == "haulier"
    assert desk.token_show().code == 0
    assert not list(desk.folder.rglob("secret.key"))


def test_without_a_key_store_it_says_what_to_do_and_changes_nothing(desk, clear):
    ran = desk.token_set("--store", "keyring")
    assert ran.code == 4
    assert "choose --store encrypted" in ran.err
    assert desk.token == clear


def test_into_a_file_of_its_own(desk, clear):
    assert desk.token_set("--store", "file").code == 0
    (path,) = desk.holding(clear)
    assert path == "home/config/haulier/wats-token"
    assert desk.token == f"file:{desk.folder / path}"
    assert (desk.folder / path).stat().st_mode & 0o777 == 0o600
    assert desk.token_show("--json").document["fingerprint"] == mark(clear)


def test_a_file_that_holds_something_else_is_left_alone(desk, clear):
    other = desk.folder / "notes.txt"
    other.write_text("notes")
    for path in (other, desk.config):
        ran = desk.token_set("--store", "file", "--file", path)
        assert (ran.code, "holds something else" in ran.err) == (4, True)
    assert (other.read_text(), desk.token) == ("notes", clear)


def test_into_the_environment_only_when_it_is_there(desk, clear, monkeypatch):
    refused = desk.token_set("--store", "env")
    assert (refused.code, "WATS_API_TOKEN is not set" in refused.err) == (4, True)
    monkeypatch.setenv("MY_TOKEN", "something-else")
    refused = desk.token_set("--store", "env", "--name", "MY_TOKEN")
    assert (refused.code, "MY_TOKEN holds another token" in refused.err) == (4, True)
    assert desk.token == clear
    monkeypatch.setenv("MY_TOKEN", clear)
    assert desk.token_set("--store", "env", "--name", "MY_TOKEN").code == 0
    assert desk.token == "env:MY_TOKEN"
    assert desk.holding(clear) == []


def test_from_place_to_place_it_stays_the_same_token(desk, clear, key_store, monkeypatch):
    monkeypatch.setenv("WATS_API_TOKEN", clear)
    for store in ("keyring", "file", "encrypted", "env", "encrypted", "file", "env", "keyring", "encrypted"):
        ran = desk.token_set("--store", store, "--json")
        assert (ran.document["store"], ran.document["fingerprint"]) == (store, mark(clear))
    assert desk.holding(clear) == ["home/config/haulier/wats-token"]


def test_what_an_old_place_still_holds_is_told(desk, key_store):
    desk.token_set("--store", "keyring")
    assert (
        "the token that keyring:haulier-wats/storage.example names is still there"
        in desk.token_set("--store", "file").err
    )


@pytest.mark.parametrize("store", ["encrypted", "keyring", "file"])
def test_a_new_token_takes_the_place_of_the_old(desk, clear, key_store, store):
    desk.token_set("--store", store)
    ran = desk.token_set("--new", stdin=NEW + "\n")
    assert (ran.code, NEW in ran.out + ran.err) == (0, False)
    shown = desk.token_show("--json").document
    assert (shown["store"], shown["fingerprint"]) == (store, mark(NEW))
    assert desk.holding(clear) == []
    assert desk.holding(NEW) == (["home/config/haulier/wats-token"] if store == "file" else [])
    assert not desk.token_set("--new", "--json", stdin=NEW).document["changed"]


@pytest.mark.parametrize(
    "content", ['{"api": {"base_url": "https://h"}}', '{"api": {"base_url": "https://h", "api_token": ""}}']
)
def test_without_a_token_one_is_asked_for(desk, content):
    desk.config.write_text(content)
    assert "there is no token" in desk.token_show().out
    assert desk.token_set(stdin=f"\ufeff{NEW}\r\n").code == 0
    assert desk.token_show("--json").document["fingerprint"] == mark(NEW)


@pytest.mark.parametrize(
    ("stdin", "tells"),
    [
        ("", "no token was given"),
        ("\n", "no token was given"),
        ("a b\n", "no request can carry"),
        ("é\n", "no request"),
    ],
)
def test_what_is_no_token_is_refused(desk, clear, stdin, tells):
    ran = desk.token_set("--new", stdin=stdin)
    assert (ran.code, tells in ran.err) == (4, True)
    assert desk.token == clear


def test_it_cannot_be_given_on_the_command_line(desk, clear):
    assert desk.token_set(NEW).code == 2
    assert desk.token_set("--token", NEW).code == 2
    assert desk.token == clear


@pytest.mark.parametrize(
    "options", [("--name", "X"), ("--file", "x"), ("--store", "keyring", "--file", "x"), ("--store", "plain")]
)
def test_options_that_do_not_fit_are_refused(desk, clear, options):
    assert desk.token_set(*options).code == 2
    assert desk.token == clear


@pytest.mark.parametrize(
    ("content", "tells"),
    [
        ('{"api": {"api_token": "TOKEN"', "is no valid JSON"),
        ('{"api": {"api_token": "TOKEN", "api_token": "TOKEN"}}', "'api_token' twice"),
        ('{"api": {"api_token": "TOKEN"}}', "base_url is missing"),
        ('{"api": {"api_token": "TOKEN", "base_url": "storage"}}', "base_url is missing or no address"),
        ('{"api": {"api_token": "TO KEN", "base_url": "https://h"}}', "no request can carry"),
        ('{"backends": {}}', "has no object `api`"),
    ],
)
def test_a_file_that_cannot_be_changed_safely_stays_as_it_is(desk, clear, content, tells):
    desk.config.write_text(content.replace("TOKEN", clear))
    ran = desk.token_set("--json")
    assert ran.code == 4
    assert tells in json.loads(ran.err.splitlines()[-1])["error"]["message"]
    assert desk.config.read_text() == content.replace("TOKEN", clear)


def test_another_program_s_file_is_named_as_such(desk):
    toml = desk.folder / "haulier.toml"
    toml.write_text('[backends.wats]\nbase_url = "https://h"\napi_token = "x"\n')
    for arguments in ((), ("--config", toml), ("--config", desk.folder / "none.json")):
        ran = desk.run("wats", "token", "show", *arguments)
        assert ran.code == 4
        assert "config" in ran.err


def test_a_file_that_cannot_be_replaced_stays_as_it_is(desk, clear):
    path = desk.folder / f"{'c' * 246}.json"  # no room for a longer name beside it
    path.write_bytes(desk.config.read_bytes())
    desk.config.unlink()
    ran = desk.run("wats", "token", "set", "--config", path)
    assert (ran.code, "it is as it was" in ran.err) == (4, True)
    assert desk.holding(clear) == [path.name]


def test_copies_beside_the_file_are_pointed_out(desk, clear):
    (desk.folder / "config.json.bak").write_text(f'"{clear}"')
    (desk.folder / "config - Copy.json").write_text(f'"{clear}"')
    ran = desk.token_set()
    assert ran.err.count("still holds the token in clear") == 2
    assert "config.json.bak still holds" in ran.err


def test_a_token_in_clear_is_shown_as_such(desk, clear):
    ran = desk.token_show()
    assert f"the token {mark(clear)} is in clear in this file" in ran.out
    assert "`haulier wats token set` takes it out" in ran.err
    assert desk.token_show("--json").document["store"] == "plain"


def test_copied_to_another_machine_it_says_what_to_do(desk, clear, monkeypatch, tmp_path):
    desk.token_set()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    shown = desk.token_show()
    assert (shown.code, "it cannot be read" in shown.out) == (4, True)
    for text in (
        "another user or on another machine",
        "`haulier wats token set --new`",
        str(desk.config),
        "api.api_token",
    ):
        assert text in shown.err
    document = desk.token_show("--json").document
    assert (document["fingerprint"], document["readable"]) == (None, False)
    assert desk.token_set().code == 4
    assert desk.token_set("--new", stdin=clear).code == 0
    assert desk.token_show("--json").document["fingerprint"] == mark(clear)


def test_for_another_server_it_is_not_opened(desk):
    desk.token_set()
    desk.config.write_text(desk.config.read_text().replace("storage.example", "evil.example"))
    shown = desk.token_show()
    assert (shown.code, "another server" in shown.err) == (4, True)


def test_at_a_terminal_it_is_asked_for_and_not_echoed(desk, clear):
    import pty  # not on Windows

    ours, theirs = pty.openpty()
    haulier = Path(sys.executable).with_name("haulier")
    command = [haulier, "wats", "token", "set", "--new", "--config", desk.config]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as asked:
        os.close(theirs)
        seen = b""
        while b"Token:" not in seen:
            seen += os.read(ours, 1024)
        os.write(ours, f"{NEW}\n".encode())
        while b"encrypted in this file" not in seen:
            seen += os.read(ours, 1024)
        assert asked.wait(20) == 0
    os.close(ours)
    assert NEW.encode() not in seen
    assert desk.holding(clear) == desk.holding(NEW) == []
