"""A process that has everything imported and forks a child per case, which costs milliseconds, not a Python start.

It has one thread, so that forking is safe; children start theirs after the fork. Commands come as JSON lines on its
standard input, ends of children go as JSON lines to its standard output.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

__all__ = ["Zygote", "can_fork"]

NO_KEY_STORE = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


def can_fork() -> bool:
    """Whether this system lets a process fork."""
    return hasattr(os, "fork")


class Zygote:
    """Starts children and waits for them. A context manager; for one thread.

    Args:
        log: Where children's standard error goes.
        preload: Functions as ``module:name`` or ``path/to/file.py:name``, whose modules are imported before any fork.
    """

    def __init__(self, log: Path, preload: Iterable[str] = ()) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, *preload],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **NO_KEY_STORE},
            )
        self._ended: dict[int, int] = {}
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._answers = self._process.stdin, self._process.stdout
        self._selector.register(self._answers, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it with all its children."""
        self._commands.close()
        self._process.wait()
        self._answers.close()
        self._selector.close()

    def start(self, function: str, argument: Mapping[str, Any]) -> int:
        """Fork a child that calls a function with one argument, and ends with it; its process id."""
        self._tell({"start": function, "argument": argument})
        answer = self._answer(60.0)
        return int(answer["started"])

    def wait(self, pid: int, timeout: float) -> int | None:
        """How a child ended, as ``subprocess`` says it: minus the signal's number; None while it runs after all."""
        deadline = time.monotonic() + timeout
        while pid not in self._ended:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._next_line(left)
        return self._ended.pop(pid)

    def wait_any(self, pids: Iterable[int], timeout: float) -> int | None:
        """One of these that has ended, or None; :meth:`wait` then tells how."""
        wanted, deadline = set(pids), time.monotonic() + timeout
        while not (ended := wanted & set(self._ended)):
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._next_line(left)
        return ended.pop()

    def kill(self, pid: int) -> None:
        """End a child with SIGKILL, if it runs. Its end is told as ever."""
        self._tell({"kill": pid})

    def _tell(self, command: Mapping[str, Any]) -> None:
        self._commands.write(json.dumps(command).encode() + b"\n")
        self._commands.flush()

    def _answer(self, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            answer = self._next_line(max(0.0, deadline - time.monotonic()))
            if answer is not None and "started" in answer:
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError("the zygote does not answer")

    def _next_line(self, timeout: float) -> dict[str, Any] | None:
        """Read a line; ends of children are noted. None when none came in time."""
        if b"\n" not in self._buffer:
            if not self._selector.select(timeout):
                return None
            data = os.read(self._answers.fileno(), 65536)
            if not data:
                raise EOFError("the zygote ended; its log says why")
            self._buffer += data
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        answer: dict[str, Any] = json.loads(line)
        if "ended" in answer:
            self._ended[answer["ended"]] = answer["status"]
        return answer


# -- the process itself ----------------------------------------------------------------------------------------------


def load(function: str) -> Callable[[Any], None]:
    """Find a function: ``module:name``, or ``path/to/file.py:name``."""
    place, _, name = function.rpartition(":")
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), name)  # type: ignore[no-any-return]
    alias = f"crash_{Path(place).stem}"
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, place)
        if spec is None or spec.loader is None:
            raise ImportError(place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
    return getattr(sys.modules[alias], name)  # type: ignore[no-any-return]


def main(preload: Iterable[str]) -> None:
    """Serve commands until standard input ends, then end all children."""
    for function in preload:
        load(function)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    children: set[int] = set()
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    buffer = b""
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if ended in ready:
            os.read(ended, 4096)
            _reap(children)
        if sys.stdin.fileno() in ready:
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                _obey(json.loads(line), children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _obey(command: Mapping[str, Any], children: set[int]) -> None:
    if "kill" in command:
        if command["kill"] in children:  # not reaped yet, so the number is still this child's
            os.kill(command["kill"], signal.SIGKILL)
        return
    pid = os.fork()
    if not pid:
        _be_child(command)
    children.add(pid)
    _say({"started": pid})


def _be_child(command: Mapping[str, Any]) -> None:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 0)
        os.dup2(silence, 1)
        load(command["start"])(command["argument"])
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the child must not go on as a second zygote
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _reap(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        children.discard(pid)
        _say({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _say(answer: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
