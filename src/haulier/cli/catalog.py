"""Which commands there are: names and short helps, so that help needs none of their modules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click

__all__ = ["BUILT_IN", "SECTIONS", "Entry", "built_in_command"]


class Entry(NamedTuple):
    """One line of the help: the module below ``haulier.cli.commands`` that holds the command, and what it does."""

    module: str
    short_help: str


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Upload": {
        "init": Entry("init", "Write a configuration and check it."),
        "send": Entry("send", "Upload files and wait for their receipts."),
        "scan": Entry("scan", "Upload what lies in a folder."),
        "run": Entry("run", "Watch folders and upload until stopped."),
    },
    "Look": {
        "status": Entry("status", "Show tasks and backends."),
        "receipts": Entry("receipts", "Show the proof of what arrived."),
        "audit": Entry("audit", "Check that no receipt was changed or removed."),
        "verify": Entry("verify", "Ask the destination whether what was stored is still there."),
        "ls": Entry("ls", "List objects at the destination."),
        "get": Entry("get", "Fetch an object from the destination."),
        "rm": Entry("rm", "Remove an object from the destination."),
    },
    "Steer": {
        "retry": Entry("operate", "Queue failed or waiting tasks again."),
        "cancel": Entry("operate", "Give tasks up; their files are kept."),
        "pause": Entry("operate", "Let tasks wait."),
        "resume": Entry("operate", "Go on with paused tasks and suspended backends."),
    },
    "Look after": {
        "doctor": Entry("doctor", "Check configuration, journal, plugins and destinations."),
        "plugins": Entry("plugins", "List plugins and what became of them."),
        "config": Entry("config", "Show the configuration, its schema or its place."),
        "journal": Entry("journal", "Check, back up, migrate or rebuild the journal."),
    },
}

BUILT_IN: Mapping[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


def built_in_command(name: str) -> click.Command | None:
    """Import a command that comes with the core; None when there is none of this name."""
    if name not in BUILT_IN:
        return None
    module = import_module(f"haulier.cli.commands.{BUILT_IN[name].module}")
    command: click.Command = getattr(module, name)
    return command
