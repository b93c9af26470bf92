"""A folder to work in, and the real program run in it."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from haulier.cli.program import run_program

CONFIG = """
[upload]
state_dir = "state"
{upload}

[backends.archive]
{backend}
"""

PLUGIN = '''
"""A destination whose behaviour is named in its options."""

import time
from dataclasses import dataclass

import haulier
from haulier.errors import AuthenticationError


@dataclass(frozen=True)
class Options:
    behaviour: str


class Stage(haulier.PutBackend):
    type = "stage"
    options_type = Options

    def probe(self, context):
        self._refuse()

    def put(self, upload, artifact, body, context):
        self._refuse()
        while True:
            if self.options.behaviour != "deaf":
                context.check_cancelled()
            time.sleep(0.01)

    def _refuse(self):
        if self.options.behaviour == "refuse":
            raise AuthenticationError("the token is not accepted", where="stage")


@haulier.hookimpl
def register_backends():
    return [Stage]
'''


@dataclass
class Ended:
    """How the program ended."""

    returncode: int
    stdout: str
    stderr: str


class Workplace:
    """The program with a folder, a configuration and an environment of its own.

    Its runs are processes, or with ``quick`` calls within this one.
    """

    def __init__(self, folder, *, quick=False):
        self.folder = folder
        self.quick = quick
        self.started = []
        self.archive = folder / "archive"
        self.config = folder / "haulier.toml"
        keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        self.environ = {**keep, "HOME": str(folder / "home"), "COLUMNS": "200", "PYTHONWARNINGS": "error"}

    def configure(self, backend=None, upload="", rest=""):
        """Write haulier.toml; the backend is a folder that is made when first needed."""
        backend = backend or f'type = "filesystem"\nurl = {json.dumps(str(self.archive))}'
        self.config.write_text(CONFIG.format(upload=upload, backend=backend) + rest, "utf-8")

    def away(self, rest=""):
        """Configure a folder that is not there, and is not made."""
        self.configure(f'type = "filesystem"\nurl = {json.dumps(str(self.archive))}\ncreate = false', rest=rest)

    def stage(self, behaviour):
        """Configure a destination that comes from a plugin file and behaves as named."""
        plugin = self.folder / "stage.py"
        plugin.write_text(PLUGIN, "utf-8")
        files = f"\n[plugins]\nfiles = [{json.dumps(str(plugin))}]\n"
        self.configure(f'type = "stage"\nbehaviour = "{behaviour}"', rest=files)
        self.environ["HAULIER_CONFIG"] = str(self.config)

    def file(self, name, content=b"content", age=0.0):
        """Write a file, perhaps an old one."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if age:
            then = path.stat().st_mtime - age
            os.utime(path, (then, then))
        return path

    def command(self, *arguments):
        return [sys.executable, "-m", "haulier", *map(os.fspath, arguments)]

    def run(self, *arguments, code=0, **environ):
        """Run the program to its end, which must have this exit code."""
        environ = {**self.environ, **environ}
        done = self._call(arguments, environ) if self.quick else self._process(arguments, environ)
        assert done.returncode == code, done
        return done

    def _process(self, arguments, environ):
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        encoding = environ.get("PYTHONIOENCODING", "utf-8")
        return Ended(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))

    def _call(self, arguments, environ):
        out, said = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, environ, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(said),
        ):
            code = run_program([os.fspath(argument) for argument in arguments])
        return Ended(code, out.buffer.getvalue().decode(), said.buffer.getvalue().decode())

    def json(self, *arguments, code=0, **environ):
        """The document that the program writes with --json."""
        return json.loads(self.run(*arguments, "--json", code=code, **environ).stdout)

    def start(self, *arguments):
        """Start the program; its stderr can be read line by line."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self):
        """End what was started and still runs."""
        for process in self.started:
            process.kill()
            with process:
                process.wait()

    def stored(self):
        """Names of the files that lie in the archive, by content."""
        return sorted(path.name for path in Path(self.archive).rglob("*") if path.is_file())


@pytest.fixture
def work(tmp_path):
    """Quick runs."""
    made = Workplace(tmp_path, quick=True)
    made.configure()
    return made


@pytest.fixture
def real(tmp_path):
    """Runs in processes of their own."""
    made = Workplace(tmp_path)
    made.configure()
    yield made
    made.end()


def read_until(process, text):
    """Lines of stderr up to the one that holds a text."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} was not said: {lines}")


@pytest.fixture
def until():
    return read_until
