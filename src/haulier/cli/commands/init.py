"""``haulier init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from haulier.cli.commands.doctor import diagnose, report_lines
from haulier.cli.exit_codes import ExitCode, first_of
from haulier.cli.output import Output
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.starter import checked_options, missing_options, parse_assignments, write_new
from haulier.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.config.settings import Setting

__all__ = ["init"]


@click.command(cls=CommonCommand)
@click.option("--type", "backend_type", metavar="TYPE", help="Backend type, e.g. filesystem.")
@click.option("--set", "assignments", metavar="KEY=VALUE", multiple=True, help="An option of the backend; repeatable.")
@click.option("--name", metavar="NAME", help="Name of the backend. [default: archive]")
@click.option("--watch", "watched", metavar="DIR", multiple=True, help="A folder to watch; repeatable.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.pass_obj
def init(
    settings: Settings,
    backend_type: str | None,
    assignments: tuple[str, ...],
    name: str | None,
    watched: tuple[str, ...],
    force: bool,
) -> ExitCode:
    r"""Write haulier.toml (or the file of --config), then run doctor.

    On a terminal, what is not given is asked for. Secrets are given by reference: env:NAME, file:PATH,
    keyring:SERVICE/NAME.

    \b
    Examples:
      haulier init --type filesystem --set url=/mnt/archive --watch ./recordings
      haulier init --type filesystem --set url=sftp://nas/archive --set secrets.password=env:NAS_PASSWORD
    """
    output = Output(settings)
    path = Path(settings.config or "haulier.toml").expanduser().absolute()
    if path.exists() and not force:
        raise InputError("the file exists already", where=str(path), advice="--force replaces it")
    text = _text(settings, backend_type, assignments, name or settings.backend or "archive", watched, path.parent)
    write_new(path, text, force=force)
    output.say(f"{path}: written")
    settings.config, settings.backend = str(path), None
    findings = list(diagnose(settings))
    code = first_of(finding.code for finding in findings)
    document = {
        "path": str(path),
        "sound": code is ExitCode.OK,
        "findings": [finding.to_dict() for finding in findings],
    }
    output.result(document, report_lines(findings))
    return code


def _text(
    settings: Settings,
    backend_type: str | None,
    assignments: tuple[str, ...],
    name: str,
    watched: tuple[str, ...],
    base_dir: Path,
) -> str:
    from haulier.config.problems import unknown_key
    from haulier.config.settings import settings_of
    from haulier.config.write import starter_config
    from haulier.service.parts import plugin_host

    try:
        given = parse_assignments(assignments)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    host = plugin_host(None, ())
    chosen = backend_type or _ask("Backend type", "--type", sorted(host.backend_types()))
    backend_class = host.backend_class(chosen)
    known = settings_of(backend_class.options_type)
    for key in given:
        if key[0] not in known:
            wrong = unknown_key("--set", key[0], known, f"option of the backend type {chosen!r}:")
            raise click.UsageError(f"{wrong.what}. {wrong.advice}", click.get_current_context())
    for setting in missing_options(known, given):
        given[setting.name,] = _ask(_question(setting), f"--set {setting.name}=VALUE")
    upload: Mapping[str, Any] = {"state_dir": str(Path(settings.state_dir).absolute())} if settings.state_dir else {}
    return starter_config(
        chosen,
        checked_options(backend_class, name, given, base_dir),
        name=name,
        options_type=backend_class.options_type,
        watch_paths=[str(Path(folder).absolute()) for folder in watched],
        upload=upload,
    )


def _question(setting: Setting) -> str:
    return f"{setting.name} ({setting.help or setting.allowed})"


def _ask(question: str, option: str, choices: list[str] | None = None) -> str:
    """Ask on a terminal; elsewhere the option is missing.

    Raises:
        click.UsageError: Nobody can be asked.
    """
    if not sys.stdin or not sys.stdin.isatty():
        hint = f" ({', '.join(choices)})" if choices else ""
        raise click.UsageError(f"Missing option {option!r}{hint}.", click.get_current_context())
    kind = click.Choice(choices) if choices else None
    answer: str = click.prompt(question, type=kind, err=True)
    return answer
