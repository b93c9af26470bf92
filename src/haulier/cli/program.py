"""The program: its group of commands, and what becomes of their errors."""

from __future__ import annotations

import difflib
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from haulier import __version__
from haulier.cli.catalog import BUILT_IN, SECTIONS, built_in_command
from haulier.cli.exit_codes import ExitCode, exit_code_of
from haulier.cli.output import Output, discard, prepare_streams
from haulier.cli.plugin_access import configured_plugins, installed_plugins
from haulier.cli.settings import CommonGroup, Settings
from haulier.errors import HaulierError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haulier.hooks.loading import PluginHost

__all__ = ["program", "run_program"]

HELP = """Bring files that must not be lost to storage, and prove that they arrived.

\b
Examples:
  haulier init --type filesystem --set url=/mnt/archive
  haulier send session.mp4 --sidecar session.json
  haulier run
  haulier status
"""


def run_program(arguments: Sequence[str] | None) -> int:
    """Run a command; the exit code. Errors are told on stderr, as JSON when the command line holds ``--json``."""
    prepare_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    stdout = sys.stdout
    if "--json" in given:  # stdout is for one document: what plugins print goes where talk goes
        sys.stdout = sys.stderr
    try:
        return _run(given, Settings(documents=stdout))
    finally:
        sys.stdout = stdout


def _run(given: Sequence[str], settings: Settings) -> int:
    try:
        result = program.main(list(given), prog_name="haulier", obj=settings, standalone_mode=False)
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        Output(settings).remark("interrupted")
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        settings.json = settings.json or "--json" in given
        Output(settings).usage_error(error)
        return error.exit_code
    except HaulierError as error:
        Output(settings).error(error)
        return exit_code_of(error)
    except BrokenPipeError:
        discard(settings.documents or sys.stdout)
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001  a defect still needs an exit code and a sentence
        return _defect(Output(settings), error)
    return result if isinstance(result, int) else ExitCode.OK


def _defect(output: Output, error: Exception) -> ExitCode:
    output.error(
        HaulierError(
            f"{type(error).__name__}: {error}",
            advice="This is a defect of the program or of a plugin; run again with -v to see where",
        )
    )
    if output.settings.verbose:
        sys.stderr.write("".join(traceback.format_exception(error)))
    return ExitCode.FAILED


class _Program(CommonGroup):
    """Knows its commands by name; imports each when it is called, and plugins when a name is not its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, for completion and help."""
        return [*BUILT_IN, *_installed_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, of ours or of a plugin."""
        return built_in_command(cmd_name) or _configured_commands(ctx).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of the catalog, then what plugins add."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.short_help) for name, entry in entries.items()])
        added = _installed_commands(ctx)
        if added:
            with formatter.section("From plugins"):
                formatter.write_dl([(name, command.get_short_help_str(150)) for name, command in added.items()])


def _installed_commands(ctx: click.Context) -> dict[str, click.Command]:
    """What installed plugins add, for the help: no configuration is read, a broken one must not hide it."""
    return _added(ctx, installed_plugins)


def _configured_commands(ctx: click.Context) -> dict[str, click.Command]:
    """What the plugins add that the configuration allows and names."""
    return _added(ctx, configured_plugins)


def _added(ctx: click.Context, plugins: Callable[[Settings], PluginHost]) -> dict[str, click.Command]:
    commands = plugins(ctx.ensure_object(Settings)).commands()
    return {str(command.name): command for command in commands if command.name not in BUILT_IN}


@click.group(cls=_Program, name="haulier", help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="haulier", message="%(prog)s %(version)s")
def program(**_: Any) -> None:
    """Nothing happens before the command."""
