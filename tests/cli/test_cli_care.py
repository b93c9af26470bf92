"""Setting up and looking after: init, doctor, plugins, config, journal."""

import json
import tomllib

import pytest


def grades(document):
    return {finding["check"]: finding["grade"] for finding in document["findings"]}


def test_a_first_configuration_is_written_checked_and_used(work):
    work.config.unlink()
    work.file("session.mp4")

    made = work.json(
        "init", "--type", "filesystem", "--set", f"url={work.archive}", "--watch", "in", "--state-dir", "state"
    )
    work.run("send", "session.mp4")
    refused = work.run("init", "--type", "filesystem", "--set", f"url={work.archive}", code=1)

    written = tomllib.loads(work.config.read_text("utf-8"))
    assert written["backends"]["archive"] == {"type": "filesystem", "url": str(work.archive)}
    assert written["watch"]["paths"] == [str(work.folder / "in")]
    assert grades(made)["backend archive"] == "ok"
    assert "--force" in refused.stderr
    assert work.stored() == ["session.mp4"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "Missing option '--type' (azure, filesystem, gcs, memory, s3, wats)"),
        (["--type", "filesystem"], 2, "--set url=VALUE"),
        (["--type", "filesystem", "--set", "urk=/x"], 2, "did you mean 'url'"),
        (["--type", "nextcloud"], 4, "haulier-nextcloud"),
        (["--type", "memory", "--set", "max_parts=several"], 4, "must be a whole number"),
        (["--type", "filesystem", "--set", "url=/x", "--set", "secrets.password=hunter2"], 4, "env:NAME"),
    ],
)
def test_a_wrong_start_writes_nothing(work, arguments, code, told):
    work.config.unlink()

    done = work.run("init", *arguments, code=code)

    assert told in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert not work.config.exists()


def test_the_doctor_finds_nothing_wrong(work):
    document = work.json("doctor")

    assert document["sound"]
    assert {"configuration", "state folder", "journal", "clock", "backend archive"} <= set(grades(document))
    assert "0 failed" in work.run("doctor").stdout


def test_the_doctor_tells_what_is_wrong_and_what_to_do(work):
    work.away(rest="\n[watch]\npaths = ['nowhere']\n")

    document = work.json("doctor", code=1)

    found = {finding["check"]: finding for finding in document["findings"]}
    assert found["backend archive"]["grade"] == "failed"
    assert found["backend archive"]["hint"]
    assert found[f"watched {work.folder / 'nowhere'}"]["grade"] == "warning"


def test_the_doctor_warns_of_deleting_on_weak_proof(work):
    work.configure('type = "memory"\nproof = "size"', upload="delete_after_upload = true")
    weak = work.run("doctor").stdout
    work.configure('type = "memory"\nproof = "size"', upload='delete_after_upload = true\ndelete_proof = "content"')
    kept = work.run("doctor").stdout

    assert "sources are deleted on the proof size alone" in weak
    assert "sources are kept" in kept


def test_the_doctor_works_without_a_sound_configuration(work):
    work.config.write_text("[upload]\nbackand = 'x'", "utf-8")
    broken = work.json("doctor", code=4)
    work.config.unlink()
    missing = work.run("doctor", "--state-dir", "state", code=4)

    assert grades(broken)["configuration"] == "failed"
    assert "haulier init" in missing.stdout


def test_plugins_are_listed(work):
    listed = work.json("plugins")["plugins"]

    assert {"filesystem", "memory"} <= {name for record in listed for name in record["backends"]}
    assert all(record["error"] is None for record in listed)


def test_the_configuration_is_shown_with_its_origins_and_without_secrets(work):
    work.configure(f'type = "filesystem"\nurl = "{work.archive}"\nsecrets = {{ password = "hunter2" }}')

    text = work.run("config", "show", "--origin", HAULIER_UPLOAD__MAX_RETRIES="7").stdout
    document = work.json("config", "show", "--origin")

    assert "max_retries = 7  # environment HAULIER_UPLOAD__MAX_RETRIES" in text
    assert "hunter2" not in text
    assert document["config"]["backends"]["archive"]["type"] == "filesystem"
    assert document["origins"]["upload.max_retries"] == "default"
    assert work.json("config", "path")["path"] == str(work.config)
    assert "filesystem" in json.dumps(work.json("config", "schema"))


def test_the_journal_is_checked_and_backed_up(work):
    assert "no journal yet" in work.run("journal", "check", code=1).stderr
    work.file("session.mp4")
    work.run("send", "session.mp4")

    checked = work.json("journal", "check")
    backup = work.json("journal", "backup", "copy.db")
    again = work.run("journal", "backup", "copy.db", code=1)
    migrated = work.json("journal", "migrate")

    assert checked["sound"]
    assert (work.folder / "copy.db").stat().st_size == backup["size"]
    assert "exists already" in again.stderr
    assert migrated["from"] == migrated["to"]
    restored = work.folder / "restored"
    restored.mkdir()
    (work.folder / "copy.db").rename(restored / "journal.db")
    assert work.json("status", "--state-dir", "restored")["counts"]["completed"] == 1
