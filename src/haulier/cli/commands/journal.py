"""``haulier journal``."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.output import Output
from haulier.cli.rebuilds import no_journal, rebuilt_document
from haulier.cli.session import load
from haulier.cli.settings import CommonGroup, Settings
from haulier.cli.text import size_text
from haulier.errors import InputError, JournalDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.journal.sqlite import SqliteJournal
    from haulier.service.rebuilt import Rebuilt

__all__ = ["journal"]

REBUILD = "Stop the agent, then `haulier journal rebuild`"


@click.group(cls=CommonGroup)
def journal() -> None:
    """Check, back up, migrate or rebuild the journal: the durable queue and the receipts."""


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
        output.error(JournalDamagedError("the journal is damaged", where=str(path), advice=REBUILD))
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


@journal.command()
@click.pass_obj
def rebuild(settings: Settings) -> ExitCode:
    """Set a journal aside that `check` calls damaged, its bytes kept, and make a fresh one of what can be read.

    Every command that opens a journal whose damage is plain does so by itself; this one looks at every page first.
    Nothing is deleted after upload until `haulier journal confirm`.
    """
    from haulier.files import Files
    from haulier.service.state import state_folder

    output = Output(settings)
    folder = load(settings, output).upload.state_dir
    if not any(folder.glob("journal.db*")):
        raise no_journal(folder)
    done = state_folder(folder, Files()).rebuild()
    path = folder / "journal.db"
    document = {"path": str(path), "rebuilt": done is not None, **(rebuilt_document(done) or {})}
    output.result(document, [f"{path}: sound, left as it is"] if done is None else _told(folder, done))
    return ExitCode.OK


@journal.command()
@click.pass_obj
def confirm(settings: Settings) -> ExitCode:
    """Let sources be deleted again after the journal was rebuilt, and take what was lost for known.

    Look at `haulier status`, `haulier verify` and `haulier audit` before.
    """
    import time

    from haulier.files import Files
    from haulier.service.rebuilt import confirm as confirm_journal
    from haulier.service.rebuilt import rebuilt, strays
    from haulier.service.state import Keys, system_keyring

    output = Output(settings)
    path = _journal_path(settings, output)
    with _opened(path) as opened:
        before, left = opened.read(rebuilt), opened.read(strays)
        if before is not None and before.confirmed_at is None:
            keys = Keys.find(path.parent, Files(), system_keyring())
            for stray in left:
                output.warn(f"{stray}: its task could not be read whole and it was not queued again; send it anew")
            done = confirm_journal(opened, keys, time.time())
            text = "confirmed; sources may be deleted again where delete_after_upload is set"
        else:
            done, text = before, "there is nothing to confirm"
    output.result({"path": str(path), **(rebuilt_document(done) or {})}, [f"{path}: {text}"])
    return ExitCode.OK


def _told(folder: Path, done: Rebuilt) -> Iterator[str]:
    yield f"{folder / 'journal.db'}: rebuilt with {done.tasks} tasks and {done.receipts} receipts"
    yield f"{folder / done.aside}: the damaged one ({done.why})"
    if done.strays:
        yield f"{done.strays} media files of tasks that could not be read whole are looked for at the next start"
    yield "Every task asks its destination before it sends; nothing is deleted until `haulier journal confirm`"


def _journal_path(settings: Settings, output: Output) -> Path:
    """The journal of the configured state folder, which these commands do not make.

    Raises:
        InputError: There is none yet.
    """
    path = load(settings, output).upload.state_dir / "journal.db"
    if not path.is_file():
        raise no_journal(path.parent)
    return path


@contextmanager
def _opened(path: Path) -> Iterator[SqliteJournal]:
    from haulier.files import Files
    from haulier.service.state import state_folder

    with closing(state_folder(path.parent, Files()).open(mend=False)) as opened:
        yield opened


def _schema(path: Path) -> int | None:
    """The schema as it is now; None when only opening it will tell what is wrong."""
    import apsw

    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            return int(str(connection.pragma("user_version")))
    except apsw.Error:
        return None
