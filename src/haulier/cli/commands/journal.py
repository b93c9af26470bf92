"""``haulier journal``."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.output import Output
from haulier.cli.session import load
from haulier.cli.settings import CommonGroup, Settings
from haulier.cli.text import size_text
from haulier.errors import InputError, JournalDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.journal.sqlite import SqliteJournal

__all__ = ["journal"]


@click.group(cls=CommonGroup)
def journal() -> None:
    """Check, back up or migrate the journal: the durable queue and the receipts."""


@journal.command()
@click.pass_obj
def check(settings: Settings) -> ExitCode:
    """Look at every page of the journal."""
    output = Output(settings)
    path = _journal_path(settings, output)
    with _opened(path) as opened:
        findings = list(opened.check())
    document = {"path": str(path), "sound": not findings, "findings": findings}
    output.result(document, findings or [f"{path}: sound"])
    if findings:
        output.error(JournalDamagedError("the journal is damaged", where=str(path)))
    return ExitCode.CONFIGURATION if findings else ExitCode.OK


@journal.command()
@click.argument("target", metavar="FILE")
@click.pass_obj
def backup(settings: Settings, target: str) -> ExitCode:
    """Write a consistent copy of the journal to FILE while work goes on, never over another file."""
    output = Output(settings)
    path = _journal_path(settings, output)
    copy = Path(target)
    if copy.exists():
        raise InputError("the file exists already", where=target, advice="Name another")
    if not copy.absolute().parent.is_dir():
        raise InputError("its folder does not exist", where=target, advice="Make the folder first")
    with _opened(path) as opened:
        opened.backup(copy)
    size = copy.stat().st_size
    output.result({"path": str(path), "backup": str(copy), "size": size}, [f"{copy}: {size_text(size)}"])
    return ExitCode.OK


@journal.command()
@click.pass_obj
def migrate(settings: Settings) -> ExitCode:
    """Bring the journal to this version's schema; every other command does so too when it opens it."""
    from haulier.journal.sqlite import migrations

    output = Output(settings)
    path = _journal_path(settings, output)
    before = _schema(path)
    with _opened(path):
        after = migrations()[-1][0]
    text = f"has schema {after} already" if before == after else f"schema {before} became {after}"
    output.result({"path": str(path), "from": before, "to": after}, [f"{path}: {text}"])
    return ExitCode.OK


def _journal_path(settings: Settings, output: Output) -> Path:
    """The journal of the configured state folder, which these commands do not make.

    Raises:
        InputError: There is none yet.
    """
    path = load(settings, output).upload.state_dir / "journal.db"
    if not path.is_file():
        raise InputError("there is no journal yet", where=str(path), advice="It is made when the first file is sent")
    return path


@contextmanager
def _opened(path: Path) -> Iterator[SqliteJournal]:
    from haulier.journal.sqlite import SqliteJournal

    with closing(SqliteJournal(path)) as opened:
        yield opened


def _schema(path: Path) -> int | None:
    """The schema as it is now; None when only opening it will tell what is wrong."""
    import apsw

    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            return int(str(connection.pragma("user_version")))
    except apsw.Error:
        return None
