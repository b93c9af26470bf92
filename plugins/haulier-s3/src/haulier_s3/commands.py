"""The commands that this plugin adds: ``haulier s3 cleanup`` and ``haulier s3 presign``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from haulier.cli.settings import CommonGroup, Settings
from haulier.errors import UnsupportedError

if TYPE_CHECKING:
    from haulier.cli.session import Session
    from haulier_s3.backend import S3Backend
    from haulier_s3.leftovers import Leftover

__all__ = ["s3"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_LONGEST_ADDRESS = 7 * 86400  # seconds; Amazon S3 User Guide, "Sharing objects with presigned URLs"


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Seconds of a time span such as ``7d``."""
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time span; write 30m, 12h, 7d or 2w")
    return int(match[1]) * _UNITS[match[2]]


@click.group(cls=CommonGroup)
def s3() -> None:
    """Things for S3 buckets."""


@s3.command()
@click.option(
    "--older-than", default="7d", show_default=True, metavar="SPAN", callback=_seconds, help="Only older ones: 12h, 7d."
)
@click.option("--yes", is_flag=True, help="Drop them; without it they are listed and nothing else is done.")
@click.pass_obj
def cleanup(settings: Settings, older_than: float, yes: bool) -> None:
    """List multipart uploads below the prefix that nobody finished, and drop them with --yes.

    Uploads that a task of this journal still needs are left out; those of other installations cannot be told apart.

    Example: haulier s3 cleanup --backend archive --older-than 7d
    """
    import time

    from haulier.cli.session import context_of, open_session
    from haulier_s3.leftovers import leftovers

    with open_session(settings) as session:
        backend = _s3_backend(session)
        context = context_of(session.manager.config)
        wanted = _wanted(session, backend.name)
        before = time.time() - older_than
        found = list(leftovers(backend.place, context, before=before, except_ids=wanted))
        dropped = [each.drop(backend.place, context) for each in found] if yes else []
        uploads = [_document(each) for each in found]
        document = {"backend": backend.name, "uploads": uploads, "dropped": sum(dropped)}
        lines = [f"{each['since']}  {each['key']}  {each['upload_id']}" for each in uploads]
        session.output.result(document, [*lines, _summary(len(found), sum(dropped), yes=yes)])


@s3.command()
@click.argument("key")
@click.option(
    "--expires", default="1h", show_default=True, metavar="SPAN", callback=_seconds, help="How long it works, up to 7d."
)
@click.pass_obj
def presign(settings: Settings, key: str, expires: float) -> None:
    """Print an address under which KEY can be read without credentials. Whoever has it can read the object.

    Example: haulier s3 presign 2026/11/23/0123456789abcdef/session.mp4 --expires 15m
    """
    from haulier.cli.session import open_session

    if not 1 <= expires <= _LONGEST_ADDRESS:
        raise click.BadParameter("an address works for a second at least and seven days at most")
    with open_session(settings) as session:
        backend = _s3_backend(session)
        address = backend.presign(key, int(expires))
        session.output.result({"backend": backend.name, "key": key, "url": address}, [address])


def _s3_backend(session: Session) -> S3Backend:
    from haulier_s3.backend import S3Backend

    backend = session.backend()
    if not isinstance(backend, S3Backend):
        raise UnsupportedError(
            f"the backend {backend.name!r} is of the type {backend.type!r}", advice="Name one of type s3 with --backend"
        )
    return backend


def _wanted(session: Session, backend: str) -> frozenset[str]:
    """Upload ids that tasks of this journal go on with."""
    from haulier.journal.api import TaskFilter

    rows = session.manager.service.journal.read(lambda tx: tx.tasks(TaskFilter()))
    tokens = [row.token.public for row in rows if row.backend == backend and row.token is not None]
    return frozenset(upload_id for token in tokens for upload_id in token.get("uploads", {}).values())


def _document(leftover: Leftover) -> dict[str, str]:
    since = datetime.fromtimestamp(leftover.since, UTC).isoformat(timespec="seconds")
    return {"key": leftover.key, "upload_id": leftover.upload_id, "since": since}


def _summary(found: int, dropped: int, *, yes: bool) -> str:
    if not found:
        return "no unfinished uploads"
    return f"{dropped} of {found} dropped" if yes else f"{found} unfinished; --yes drops them"
