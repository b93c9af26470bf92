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
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

from haulier.testing.crash.steps import SIGKILL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

__all__ = ["Zygote", "can_fork", "load"]

PROCESS = "haulier.testing.crash.forking"

NO_KEY_STORE = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


def can_fork() -> bool:
    """Whether this system lets a process fork."""
    return hasattr(os, "fork")


class Zygote:
    """Starts children and waits for them. A context manager; for one thread.

    Args:
        log: Where children's standard error goes.

    Attributes:
        log: The same.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - a module of ours
                [sys.executable, "-m", PROCESS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **NO_KEY_STORE},
            )
        self._ended: dict[int, int] = {}
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._commands, self._answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
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

    def preload(self, names: Iterable[str]) -> None:
        """Import what children would import each for itself: modules, and functions as :meth:`start` takes them.

        They are imported in this order. What cannot be imported is left out; so are modules that a public one brings
        along: ``_asyncio`` imported before ``asyncio`` ends up with two ideas of the current task.
        """
        self._tell({"import": [name for name in names if not name.startswith("_")]})

    def start(self, function: str, argument: Mapping[str, Any]) -> int:
        """Fork a child that calls a function with one argument, and ends with it.

        Args:
            function: As ``module:name`` or ``path/to/file.py:name``.
            argument: Goes through JSON.

        Returns:
            The child's process id.
        """
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

    def kill(self, pid: int, number: int = SIGKILL) -> None:
        """Send a signal to a child, if it runs. Its end is told as ever."""
        self._tell({"kill": pid, "signal": number})

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


def load(function: str) -> Callable[..., Any]:
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
