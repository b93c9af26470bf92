"""Help is quick, every command has it, and words come out on any terminal."""

import io
import subprocess
import sys

import pytest
from click.testing import CliRunner

from haulier import events
from haulier.cli.bars import Bars
from haulier.cli.catalog import BUILT_IN, built_in_command
from haulier.cli.exit_codes import ExitCode, first_of
from haulier.cli.output import Output
from haulier.cli.program import program
from haulier.cli.progress import Lines, choose_display
from haulier.cli.settings import Settings
from haulier.cli.standing import Stand, stand_of, wait_until_still
from haulier.cli.text import printable, seconds_text, size_text, table_text
from haulier.errors import JournalUnavailableError
from haulier.models import ErrorRecord, SuspensionReason, Task, TaskState
from haulier.testing.clock import FakeClock

HEAVY = ("pydantic", "fsspec", "requests", "rich", "cryptography", "apsw", "tenacity", "uvicorn", "starlette")
SDKS = ("boto3", "botocore", "azure", "google.cloud", "jsonschema", "keyring", "http.client", "ssl", "asyncio")
PROBE = """
import sys
from haulier.cli import main
try:
    main([sys.argv[1]])
except SystemExit as end:
    assert not end.code, end.code
backends = [name for name in sys.modules if name.startswith("haulier.backends.") and name != "haulier.backends.api"]
print(sorted(({heavy} & set(sys.modules)) | set(backends)), file=sys.stderr)
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_nothing_heavy(tmp_path, option):
    probe = PROBE.format(heavy={*HEAVY, "haulier.backends.api", "haulier.models", "haulier.events"})
    done = subprocess.run(
        [sys.executable, "-c", probe, option], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stderr == "[]\n"
    assert "haulier" in done.stdout


def test_status_imports_the_journal_and_nothing_else_that_is_heavy(tmp_path):
    config = tmp_path / "haulier.toml"
    config.write_text("[upload]\nmax_retries = 4\nstate_dir = 'state'\n[watch]\npaths = ['watched']\n[backends.wats]\n")
    heavy = {*HEAVY, *SDKS} - {"apsw"}

    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(heavy=heavy), "status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == "['haulier.backends.builtin']\n"  # says what comes with the core, and imports none of it
    assert "no tasks" in done.stdout


def test_a_program_without_a_console_works(tmp_path):
    silent = "import sys; sys.stdout = sys.stderr = None; from haulier.cli import main; main(['config', 'path'])"

    assert subprocess.run([sys.executable, "-c", silent], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_command_has_help_and_the_common_options(name):
    shown = CliRunner().invoke(program, [name, "--help"], obj=Settings())

    assert shown.exit_code == 0
    assert "Common options:" in shown.output
    assert "--state-dir" in shown.output
    assert built_in_command(name).name == name


def test_common_options_hold_on_both_sides_of_the_command():
    settings = Settings()

    CliRunner().invoke(
        program, ["-v", "--config", "a", "config", "--json", "path", "-v", "--backend", "b"], obj=settings
    )

    assert settings == Settings(config="a", backend="b", json=True, verbose=2)


def test_of_several_outcomes_the_gravest_holds():
    order = [ExitCode.CREDENTIALS, ExitCode.CONFIGURATION, ExitCode.FAILED, ExitCode.TRY_LATER]

    assert [first_of([ExitCode.OK, *reversed(order[index:])]) for index in range(4)] == order
    assert first_of([]) is ExitCode.OK


def test_numbers_and_names_are_made_for_people():
    assert [size_text(size) for size in (0, 1023, 1024, 8 << 20)] == ["0 B", "1023 B", "1.0 KiB", "8.0 MiB"]
    assert [seconds_text(seconds) for seconds in (4, 300, 7200, 7 * 86_400)] == ["4 s", "5 min", "2 h", "7 days"]
    assert printable("Produção\n\x1b[0m\udcff") == r"Produção\n\x1b[0m\udcff"
    assert table_text(("A", "N"), [("x", 1), ("long", 22)], right=("N",)) == "A      N\nx      1\nlong  22"


# -- waiting ---------------------------------------------------------------------------------------------------------


def task(state=TaskState.QUEUED, not_before=None, code=""):
    error = ErrorRecord(code, "x") if code else None
    return Task(
        "upload_1", state, "b", "i", "g", "/a", None, "k", 1, 0, 0, 0.0, 0.0, not_before=not_before, error=error
    )


@pytest.mark.parametrize(
    ("one", "suspended", "stand"),
    [
        (task(), None, Stand.MOVING),
        (task(), SuspensionReason.UNREACHABLE, Stand.AWAY),
        (task(TaskState.RETRYING, 103.0), SuspensionReason.FAILING, Stand.AWAY),
        (task(), SuspensionReason.CREDENTIALS, Stand.REFUSED),
        (task(TaskState.UPLOADING), SuspensionReason.CREDENTIALS, Stand.MOVING),
        (task(TaskState.RETRYING, 160.0), None, Stand.MOVING),
        (task(TaskState.RETRYING, 3600.0), None, Stand.AWAY),
        (task(TaskState.RETRYING, 132.0, "source_unavailable"), None, Stand.AWAY),
        (task(TaskState.PAUSED), None, Stand.PAUSED),
        (task(TaskState.FAILED, 3600.0), None, Stand.ENDED),
    ],
)
def test_whether_a_task_can_move(one, suspended, stand):
    assert stand_of(one, suspended, now=100.0) is stand


def waited(stands, patience=None):
    """Seconds until the wait gives up, when the stands are these, second by second, and the last one stays."""
    clock = FakeClock()
    began = clock.monotonic()
    answers = iter(stands)
    latest = [None]

    def look():
        latest[0] = next(answers, latest[0])
        if isinstance(latest[0], Exception):
            raise latest[0]
        return {latest[0]} if latest[0] else set()

    wait_until_still(look, pause=lambda _: clock.advance(1.0), clock=clock, patience=patience)
    return clock.monotonic() - began


def test_the_wait_ends_when_nothing_can_move():
    assert waited([None]) == 0
    assert waited([Stand.MOVING] * 100 + [None]) == 100
    assert waited([Stand.AWAY]) == 10
    assert waited([Stand.AWAY], patience=3) == 3
    assert waited([Stand.AWAY] * 9 + [Stand.MOVING] + [Stand.AWAY]) == 20
    assert waited([Stand.REFUSED]) == 0
    assert waited([Stand.PAUSED], patience=30) == 0
    assert waited([JournalUnavailableError("full")]) == 10


# -- progress --------------------------------------------------------------------------------------------------------


def progress(acknowledged, at=0.0, **more):
    return events.UploadProgress(
        task="upload_1", filename="a.mp4", acknowledged=acknowledged, total=1000, at=at, **more
    )


def test_invariant_3_lines_of_progress_are_few_and_never_say_all_before_the_proof(capsys):
    display = Lines(Output(Settings()))
    display.show(events.UploadStarted(task="upload_1", filename="a.mp4"))
    for acknowledged in range(0, 1001, 5):
        display.show(progress(acknowledged, at=acknowledged / 100))
    display.show(progress(0, restarted=True))
    display.show(events.UploadFailed(task="upload_1", filename="a.mp4", error=ErrorRecord("quota", "is full", "s3")))

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 12
    assert said[1] == "a.mp4: 10 % (100 B of 1000 B, 100 B/s)"
    assert said[9].startswith("a.mp4: 90 %")
    assert said[10:] == ["a.mp4: starts over", "a.mp4: failed: is full (s3)"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bars_never_show_all_before_the_proof(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    bars = Bars(Output(Settings()))
    bars.show(progress(1000))
    bars._progress.refresh()
    shown = sys.stderr.getvalue()
    bars.show(events.UploadCompleted(task="upload_1", filename="a\x1b[31m.mp4", size=1000, location="/x"))
    bars.close()

    assert " 99 %" in shown
    assert "100" not in shown.replace("1000", "")
    assert "completed" in sys.stderr.getvalue()
    assert "\x1b[31m.mp4" not in sys.stderr.getvalue()


@pytest.mark.parametrize(
    ("environ", "settings", "kind"),
    [
        ({"TERM": "xterm"}, Settings(), "Bars"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Settings(), "Lines"),
        ({"TERM": "dumb"}, Settings(), "Lines"),
        ({}, Settings(quiet=True), "Silence"),
        ({}, Settings(json=True), "Silence"),
    ],
)
def test_bars_are_for_terminals_that_can_show_them(monkeypatch, environ, settings, kind):
    monkeypatch.setattr(sys, "stderr", Terminal())

    display = choose_display(Output(settings), environ=environ)
    display.close()

    assert type(display).__name__ == kind
