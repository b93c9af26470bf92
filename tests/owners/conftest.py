"""Agents in processes of their own, which share a state folder, a watched folder and a destination."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from haulier.cli.program import run_program
from haulier.journal.api import TaskFilter
from haulier.journal.sqlite import SqliteJournal

# The destination: a folder, each object put in place only if absent, and a line in a log for each that was.
# While the file `hold` lies beside it, the first put that comes waits, and says so in `held`.
PLUGIN = """
import hashlib, os, time
from dataclasses import dataclass
from pathlib import Path

import haulier
from haulier.backends.api import IfAbsent, Stored
from haulier.errors import ConflictError, ValidationError


@dataclass(frozen=True)
class Options:
    folder: str


class Counting(haulier.PutBackend):
    type = "counting"
    options_type = Options
    if_absent = IfAbsent.ATOMIC
    proof = haulier.Proof.CONTENT

    def put(self, upload, artifact, body, context):
        place = Path(self.options.folder)
        if (place / "refuse").exists():
            raise ValidationError("refused")
        self._wait(place, context)
        content = body.read()
        draft = place / f"draft-{os.getpid()}-{upload.nonce}-{artifact.index}"
        draft.write_bytes(content)
        target = place / "objects" / artifact.key
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(draft, target)
        except FileExistsError:
            raise ConflictError("it is there already")
        finally:
            draft.unlink()
        with open(place / "log", "a") as log:
            log.write(f"{os.getpid()} {artifact.key}\\n")
        return self.stat(artifact.key, context)

    def _wait(self, place, context):
        if not (place / "hold").exists():
            return
        try:
            with open(place / "held", "x") as held:
                held.write(str(os.getpid()))
        except FileExistsError:
            return
        while (place / "hold").exists():
            context.check_cancelled()
            time.sleep(0.01)

    def stat(self, key, context):
        path = Path(self.options.folder, "objects", key)
        if not path.exists():
            return None
        content = path.read_bytes()
        return Stored(key, str(path), len(content), digests={"sha256": hashlib.sha256(content).hexdigest()})


@haulier.hookimpl
def register_backends():
    return [Counting]
"""

# The program, all but begun: it waits for a line, so that two of them begin at the same instant.
AGENT = """
import sys
from haulier.cli.program import run_program
from haulier.cli.commands import run
from haulier.service.upkeep import Upkeep
from haulier.service import parts, opening
Upkeep.OWNERS_SECONDS = Upkeep.DISPOSAL_SECONDS = 0.1
print("ready", flush=True)
sys.stdin.readline()
sys.exit(run_program(sys.argv[1:]))
"""

CONFIG = """
[upload]
state_dir = {state}
backend = "main"
max_concurrent_uploads = 2
{upload}

[watch]
paths = [{watched}]
settle_seconds = 0.05
interval_seconds = 0.1

[backends.main]
type = "counting"
folder = {place}

[plugins]
files = [{plugin}]
"""

PATIENCE = 60.0


class Agents:
    """Two agents and what they share. Waits poll, and give up after a minute."""

    def __init__(self, folder):
        self.folder = folder
        self.watched = folder / "watched"
        self.place = folder / "place"
        self.state = folder / "state"
        self.started = []
        for made in (self.watched, self.place):
            made.mkdir()
        (folder / "counting.py").write_text(PLUGIN, "utf-8")
        self.config = self.configure("haulier.toml")

    def configure(self, name, state=None, upload=""):
        config = self.folder / name
        paths = {"watched": self.watched, "place": self.place, "plugin": self.folder / "counting.py"}
        texts = {key: json.dumps(str(path)) for key, path in paths.items()}
        config.write_text(CONFIG.format(state=json.dumps(str(state or self.state)), upload=upload, **texts), "utf-8")
        return config

    def ready(self, *arguments, config=None):
        """A process that is about to run the program."""
        keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        with (self.folder / f"stderr-{len(self.started)}").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", AGENT, *arguments, "--config", str(config or self.config)],
                cwd=self.folder,
                env={**keep, "HOME": str(self.folder / "home"), "PYTHONWARNINGS": "error"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    def begin(self, *processes):
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        return processes

    def run(self, *, config=None):
        """An agent that runs."""
        return self.begin(self.ready("run", config=config))[0]

    def command(self, *arguments):
        """A command of this process, which is another one than the agents'."""
        assert run_program([*arguments, "--config", str(self.config)]) == 0

    def stop(self, *processes):
        """Ask them to end, as a service manager does; they must."""
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, self.said()

    def end(self):
        for process in self.started:
            process.kill()
            process.communicate()

    def said(self):
        """What all of them wrote on stderr."""
        return "".join(path.read_text("utf-8") for path in sorted(self.folder.glob("stderr-*")))

    # -- the folder and the destination

    def record(self, name, content=b"content", folder=None):
        path = (folder or self.watched) / name
        path.write_bytes(content)
        os.utime(path, (time.time() - 100, time.time() - 100))
        return path

    def hold(self):
        (self.place / "hold").touch()

    def held_by(self):
        """The process that waits at the destination."""
        path = self.place / "held"
        self.until(lambda: path.exists() and path.read_text())
        return next(process for process in self.started if process.pid == int(path.read_text()))

    def let_go(self):
        (self.place / "hold").unlink()

    def stored(self):
        """Names of the objects, once for each time that one was put in place."""
        log = self.place / "log"
        return sorted(Path(line.split(" ", 1)[1]).name for line in log.read_text().splitlines()) if log.exists() else []

    # -- the journal, from outside

    def journal(self, state=None):
        return closing(SqliteJournal((state or self.state) / "journal.db"))

    def tasks(self, state=None):
        with self.journal(state) as journal:
            return {Path(row.media.path).name: row for row in journal.read(lambda tx: tx.tasks(TaskFilter()))}

    def receipts(self, state=None):
        with self.journal(state) as journal:
            return journal.read(lambda tx: tx.receipts(0, None))

    def states(self, state=None):
        return {name: str(row.state) for name, row in self.tasks(state).items()}

    def until(self, condition):
        end = time.monotonic() + PATIENCE
        while not (result := condition()):
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)
        return result

    def until_receipts(self, count, state=None):
        self.until(lambda: (state or self.state).joinpath("journal.db").exists())
        self.until(lambda: len(self.receipts(state)) >= count)


@pytest.fixture
def agents(tmp_path):
    made = Agents(tmp_path)
    yield made
    made.end()
