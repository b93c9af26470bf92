"""The options that every command has, before and after its name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from haulier.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

__all__ = ["CommonCommand", "CommonGroup", "Settings", "common_options"]


@dataclass
class Settings:
    """What the common options say.

    Attributes:
        config: The configuration file, or None to look for one.
        state_dir: The state folder, or None for the configured one.
        backend: Name of a backend, or None for the configured one.
        json: Whether one JSON document is to be written instead of text.
        quiet: Whether to say nothing but errors.
        verbose: How much more to say.
        documents: Where JSON documents are written; None for stdout.
    """

    config: str | None = None
    state_dir: str | None = None
    backend: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    documents: TextIO | None = None


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember what was given, whichever side of the command's name it stood on."""
    settings = context.ensure_object(Settings)
    if not value or parameter.name is None:
        return
    if parameter.name == "verbose":
        value += settings.verbose
    setattr(settings, parameter.name, value)


def common_options() -> list[click.Option]:
    """The common options, made anew for each command."""

    def option(*names: str, **attributes: Any) -> click.Option:
        return click.Option([*names], expose_value=False, callback=_store, **attributes)

    return [
        option("--config", metavar="FILE", help="Configuration file."),
        option("--state-dir", "state_dir", metavar="DIR", help="Folder of the journal."),
        option("--backend", metavar="NAME", help="Name of a configured backend."),
        option("--json", is_flag=True, help="Write one JSON document to stdout, errors as JSON to stderr."),
        option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
        option("-v", "--verbose", count=True, help="Say more; -vv for everything."),
    ]


class CommonCommand(click.Command):
    """A command with the common options, which its help lists apart."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._common = common_options()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own options, then the common ones."""
        return [*super().get_params(ctx), *self._common]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write two lists."""
        own = [parameter for parameter in self.get_params(ctx) if parameter not in self._common]
        for title, options in (("Options", own), ("Common options", self._common)):
            records = list(_records(ctx, options))
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class CommonGroup(CommonCommand, click.Group):
    """A group with the common options; so are its commands."""

    command_class = CommonCommand

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without any argument show the help, and call that wrong, unless the group does something by itself."""
        if not args and not self.invoke_without_command:
            sys.stderr.write(ctx.get_help() + "\n")
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _records(ctx: click.Context, options: list[Any]) -> Iterator[tuple[str, str]]:
    for option in options:
        record = option.get_help_record(ctx)
        if record is not None:
            yield record
