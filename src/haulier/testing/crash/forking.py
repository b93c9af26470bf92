"""The process behind :class:`haulier.testing.crash.zygote.Zygote`: one thread that forks children and reaps them."""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from haulier.testing.crash.zygote import load

if TYPE_CHECKING:
    from collections.abc import Mapping

assert sys.platform != "win32"  # noqa: S101 - it cannot fork, and mypy need not look further


def main() -> None:
    """Serve commands until standard input ends, then end all children."""
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
    if "import" in command:
        for name in command["import"]:
            with suppress(Exception):
                load(name) if ":" in name else importlib.import_module(name)
        gc.collect()
        gc.freeze()  # a collection in a child would copy every page that it looks at
        return
    if "kill" in command:
        if command["kill"] in children:  # not reaped yet, so the number is still this child's
            os.kill(command["kill"], command["signal"])
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
    main()
