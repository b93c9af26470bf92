"""``haulier doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haulier.cli.diagnosis import (
    Finding,
    Grade,
    check_backend,
    check_config,
    check_plugins,
    check_state,
    check_watched,
    failed,
)
from haulier.cli.exit_codes import ExitCode, first_of
from haulier.cli.logs import show_logs
from haulier.cli.output import Output
from haulier.cli.plugin_access import installed_plugins, plugins_of
from haulier.cli.session import read_config
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import printable
from haulier.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.config.models import Config

__all__ = ["diagnose", "doctor", "report_lines"]


@click.command(cls=CommonCommand)
@click.pass_obj
def doctor(settings: Settings) -> ExitCode:
    """Check configuration, plugins, state folder, journal, clock and destinations, with a hint for each trouble.

    Nothing is uploaded; a destination's rights are tried with something small that is removed again.
    """
    output = Output(settings)
    show_logs(output)
    findings = list(diagnose(settings))
    code = first_of(finding.code for finding in findings)
    document = {"sound": code is ExitCode.OK, "findings": [finding.to_dict() for finding in findings]}
    output.result(document, report_lines(findings))
    return code


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Look at everything; only at the backend of ``--backend`` when it is given."""
    try:
        config = read_config(settings)
    except ConfigError as error:
        yield failed("configuration", error)
        yield from check_plugins(installed_plugins(settings))
        return
    yield from check_config(config)
    try:
        yield from check_plugins(plugins_of(config))
    except PluginError as error:  # strict
        yield failed("plugins", error)
        return
    yield from _manager_findings(settings, config)


def _manager_findings(settings: Settings, config: Config) -> Iterator[Finding]:
    from haulier.manager import UploadManager

    manager = UploadManager(config)
    try:
        state = list(check_state(manager))
        yield from state
        yield from check_watched(config)
        if state[0].grade is not Grade.FAILED:
            for name in [settings.backend] if settings.backend else config.backends:
                yield from check_backend(manager, name)
    finally:
        manager.close()


def report_lines(findings: list[Finding]) -> Iterator[str]:
    """The findings for people, then a summary."""
    for finding in findings:
        yield printable(f"{finding.grade:<8} {finding.check}: {finding.what}")
        if finding.hint and finding.grade is not Grade.OK:
            yield printable(f"         {finding.hint}")
    counts = {grade: sum(1 for finding in findings if finding.grade is grade) for grade in Grade}
    yield f"{counts[Grade.FAILED]} failed, {counts[Grade.WARNING]} warnings, {counts[Grade.OK]} ok"
