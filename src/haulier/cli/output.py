"""Where the program's words go: data to stdout, talk to stderr, and neither ever fails for want of a character."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from haulier.cli.text import printable
from haulier.errors import HaulierError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    import click

    from haulier.cli.settings import Settings

__all__ = ["Output", "discard", "error_document", "prepare_streams"]


def prepare_streams() -> None:
    """Make stdout and stderr take every text.

    A character that a console's encoding does not have is written as an escape; a program without a console
    (``sys.stdout is None``) writes to nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  lives as long as we do
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard(stream: TextIO) -> None:
    """After the reader of a stream went away: let nothing more be written there, also not at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def error_document(error: HaulierError) -> dict[str, Any]:
    """An error as JSON: ``{"error": {"code", "message", "where", "advice"}}``."""
    return {"error": {"code": error.code, "message": error.what, "where": error.where, "advice": error.advice}}


class Output:
    """Writes for one command. Thread-safe as far as the streams are.

    Args:
        settings: The common options.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # -- stdout ------------------------------------------------------------------------------------------------

    def result(self, document: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Write a command's result: the document with ``--json``, else the lines."""
        if self.settings.json:
            self.document(document)
        else:
            self.lines(lines)

    def lines(self, lines: Iterable[str]) -> None:
        """Write text, as it comes."""
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def document(self, document: Mapping[str, Any]) -> None:
        """Write a JSON document. Anything but ASCII is escaped: it arrives whatever the console's encoding is.

        What is an iterator in it is written as an array, element by element.
        """
        stream = self.settings.documents or sys.stdout
        for piece in _pieces(document):
            stream.write(piece)
        stream.write("\n")
        stream.flush()

    # -- stderr ------------------------------------------------------------------------------------------------

    @property
    def talks(self) -> bool:
        """Whether progress and remarks are wanted: not when quiet, and with ``--json`` only when verbose."""
        return not self.settings.quiet and (not self.settings.json or self.settings.verbose > 0)

    def say(self, text: str) -> None:
        """Write a remark, one line."""
        if self.talks:
            _write_line(sys.stderr, printable(text))

    def remark(self, text: str) -> None:
        """Write a line that is wanted even when quiet, as JSON with ``--json``."""
        if self.settings.json:
            _write_line(sys.stderr, json.dumps({"remark": text}))
        else:
            _write_line(sys.stderr, printable(text))

    def warn(self, text: str) -> None:
        """Write a warning, one line."""
        if self.settings.quiet:
            return
        if self.settings.json:
            _write_line(sys.stderr, json.dumps({"warning": text}))
        else:
            _write_line(sys.stderr, f"warning: {printable(text)}")

    def error(self, error: HaulierError) -> None:
        """Write an error, one line."""
        if self.settings.json:
            _write_line(sys.stderr, json.dumps(error_document(error)))
        else:
            _write_line(sys.stderr, f"error: {printable(str(error))}")

    def usage_error(self, error: click.ClickException) -> None:
        """Write what click found wrong with the command line."""
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "haulier"
        message = error.format_message()
        if "\n" in message:  # click's way to say that a group was called without a command: its whole help
            message = "Missing command."
        if self.settings.json:
            wrong = HaulierError(message, where=path, advice=f"`{path} --help` tells more")
            document = error_document(wrong)
            document["error"]["code"] = "usage"
            _write_line(sys.stderr, json.dumps(document))
            return
        if context is not None:
            _write_line(sys.stderr, context.get_usage())
            _write_line(sys.stderr, f"`{path} --help` tells more.")
        _write_line(sys.stderr, f"error: {printable(message)}")


def _pieces(document: Mapping[str, Any]) -> Iterator[str]:
    """The text of ``json.dumps`` with an indent of two."""
    before = "{"
    for name, value in document.items():
        yield f"{before}\n  {json.dumps(name)}: "
        before = ","
        if isinstance(value, Iterator):
            yield from _array(value)
        else:
            yield _indented(value, 2)
    yield "\n}" if document else "{}"


def _array(elements: Iterator[Any]) -> Iterator[str]:
    before = "["
    for element in elements:
        yield f"{before}\n    {_indented(element, 4)}"
        before = ","
    yield "[]" if before == "[" else "\n  ]"


def _indented(value: Any, depth: int) -> str:
    return json.dumps(value, indent=2, default=str).replace("\n", "\n" + " " * depth)


def _write_line(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()
