"""What is wrong is told where, and with the exit code for it."""

import json
import sqlite3

import pytest


def error_of(work, *arguments, code):
    return json.loads(work.run(*arguments, "--json", code=code).stderr)["error"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[upload]\nbackend = 'archiv'\n[backends.archive]\ntype = 'memory'", "did you mean 'archive'"),
        ("[upload]\nmax_retrys = 5", "did you mean 'max_retries'"),
        ("[upload]\nmax_retries = 'many'", "must be a whole number"),
        ("[backends.archive]\ntype = 'nextcloud'", "haulier-nextcloud"),
        ("[backends.archive]\ntype = 'filesystem'\nurl = '/x'\nurll = '/y'", "did you mean 'url'"),
        ("[backends.archive]\ntype = 'filesystem'\nurl = 5", "backends.archive.url"),
        ("[upload\n", "is no valid TOML"),
    ],
)
def test_a_wrong_configuration_is_told(work, text, told):
    work.config.write_text(text, "utf-8")
    work.file("session.mp4")

    error = error_of(work, "--state-dir", "state", "send", "session.mp4", code=4)

    assert told in f"{error['where']}: {error['message']}. {error['advice']}"
    assert error["code"] in {"config", "unknown_backend"}


def test_a_backend_that_is_not_configured_is_told(work):
    work.file("session.mp4")

    done = work.run("send", "session.mp4", "--backend", "elsewhere", code=4)

    assert "'elsewhere'" in done.stderr
    assert "archive" in done.stderr


def test_a_configuration_file_that_is_missing_is_told(work):
    assert "does not exist" in work.run("--config", "none.toml", "status", code=4).stderr


def test_a_state_folder_that_is_a_file_is_told(work):
    work.file("taken")

    error = error_of(work, "status", "--state-dir", "taken", code=4)

    assert error["code"] == "state_folder"
    assert "--state-dir" in error["advice"]


def test_a_journal_of_a_newer_program_is_left_alone(work):
    work.run("status")
    with sqlite3.connect(work.folder / "state" / "journal.db") as connection:
        connection.execute("PRAGMA user_version=999")
    connection.close()

    assert error_of(work, "status", code=4)["code"] == "journal_version"
    assert error_of(work, "journal", "migrate", code=4)["code"] == "journal_version"


def test_a_damaged_journal_is_told(work):
    work.run("status")
    (work.folder / "state" / "journal.db").write_bytes(b"no database at all" * 100)

    assert error_of(work, "journal", "check", code=4)["code"] == "journal_damaged"
    assert error_of(work, "audit", code=4)["code"] == "journal_damaged"


def test_a_plugin_that_cannot_be_loaded_stops_a_strict_program_alone(work):
    work.file("broken.py", b"import nothing_of_this_name")
    work.configure(rest=f"\n[plugins]\nfiles = ['{work.folder}/broken.py']\n")
    lenient = work.run("status", HAULIER_CONFIG=str(work.config))

    work.configure(rest=f"\n[plugins]\nfiles = ['{work.folder}/broken.py']\nstrict = true\n")
    strict = work.run("status", code=4, HAULIER_CONFIG=str(work.config))

    assert "warning: plugin broken is not used" in lenient.stderr
    assert "error: broken: the plugin was refused" in strict.stderr


def test_a_task_that_nobody_knows_is_told(work):
    for arguments in (["status", "upload_0"], ["retry", "upload_0"], ["receipts", "upload_0"]):
        assert error_of(work, *arguments, code=1)["code"] == "task_not_found"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send"], "Missing argument"),
        (["statsu"], "Did you mean 'status'?"),
        (["retry"], "Name tasks, or give --all."),
        (["send", "x", "--wait", "soon"], "not a valid float"),
    ],
)
def test_a_wrong_command_line_is_usage(work, arguments, told):
    assert told in error_of(work, *arguments, code=2)["message"]
    assert told in work.run(*arguments, code=2).stderr


def test_without_a_command_the_help_is_shown(work):
    assert "Examples:" in work.run(code=2).stderr
    assert "schema" in work.run("config", code=2).stderr
