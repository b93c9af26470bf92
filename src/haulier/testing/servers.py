"""Server programs that tests start: found beside the interpreter, on a port of the loopback, stopped by their id."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["ServerProcess", "beside_python", "free_port"]

_PAUSE = 0.02  # seconds between two looks


def beside_python(name: str) -> str:
    """Path of a program that was installed into the environment of this interpreter.

    Raises:
        FileNotFoundError: It was not.
    """
    found = Path(sys.executable).with_name(name + (".exe" if sys.platform == "win32" else ""))
    if not found.exists():
        raise FileNotFoundError(f"{name} is not installed beside {sys.executable}")
    return str(found)


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


class ServerProcess:
    """A server that runs for as long as the block.

    Args:
        command: Its command line, which tells it the port.
        port: Where it will listen.
        environ: Added to the environment of this process.
        patience: Seconds until it must listen, and until it must have ended.

    Raises:
        RuntimeError: It ended, or does not listen in time.
    """

    def __init__(
        self, command: Sequence[str], port: int, *, environ: Mapping[str, str] | None = None, patience: float = 60.0
    ) -> None:
        self.port = port
        self._command = list(command)
        self._environ = {**os.environ, **(environ or {})}
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603  the test names the program
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._environ
        )
        try:
            self._wait_until_it_listens(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it. May be called again."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + self._patience
        while time.monotonic() < end:
            if process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} ended with {process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(_PAUSE)
            else:
                return
        raise RuntimeError(f"{self._command[0]} does not listen on port {self.port}")
