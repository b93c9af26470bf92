"""``haulier audit``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.output import Output
from haulier.cli.rebuilds import no_journal
from haulier.cli.session import load
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import printable, time_text
from haulier.errors import HaulierError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.service.auditing import Anchor, Audit

__all__ = ["audit"]


@click.command(cls=CommonCommand)
@click.option("--anchor", metavar="FILE", help="Append the present head of the chain to FILE, to be kept elsewhere.")
@click.option(
    "--against", metavar="FILE", help="Check that every head that was anchored in FILE is still in the chain."
)
@click.pass_obj
def audit(settings: Settings, anchor: str | None, against: str | None) -> ExitCode:
    r"""Check that the receipts are whole: none changed, removed or inserted since it was written.

    It reads the journal and the key of this installation, and says what that can and cannot prove. Nothing is anchored
    when something is wrong.

    \b
    Examples:
      haulier audit --anchor /mnt/elsewhere/anchors.jsonl
      haulier audit --against /mnt/elsewhere/anchors.jsonl
    """
    from haulier.files import Files
    from haulier.service.auditing import append_anchor, audit_receipts, read_anchors
    from haulier.service.state import Keys, state_folder, system_keyring

    output = Output(settings)
    folder = load(settings, output).upload.state_dir
    files = Files()
    if not (folder / "journal.db").exists():
        raise no_journal(folder)
    keys = Keys.find(folder, files, system_keyring())
    with closing(state_folder(folder, files).open(mend=False)) as journal:
        anchors = (lambda: read_anchors(Path(against))) if against else None
        found = audit_receipts(journal, keys, anchors)
    anchored = _head(found) if anchor and found.is_whole else None
    if anchor and anchored:
        append_anchor(Path(anchor), anchored, files.fsync_folder)
    document = {**found.to_dict(), "anchored": vars(anchored) if anchored else None}
    output.result(document, _lines(found, anchor if anchored else None))
    if not found.is_whole:
        what = "the receipts are not whole" + ("; nothing was anchored" if anchor else "")
        output.error(
            HaulierError(what, where=str(folder / "journal.db"), advice="Compare with a backup of the journal")
        )
    return ExitCode.OK if found.is_whole else ExitCode.FAILED


def _head(found: Audit) -> Anchor:
    import time

    from haulier.service.auditing import Anchor

    return Anchor(*found.head, time.time(), found.source_id)


def _lines(found: Audit, anchored_in: str | None) -> Iterator[str]:
    from haulier.service.auditing import LIMITS

    for flaw in found.flaws:
        about = [f"receipt {flaw.number}"] if flaw.number is not None else []
        about += [flaw.task] if flaw.task else []
        yield printable(f"broken   {', '.join(about)}{': ' if about else ''}{flaw.what}")
    if found.flaw_count > len(found.flaws):
        yield f"broken   and {found.flaw_count - len(found.flaws)} more"
    for each in found.breaks:
        grade = "known" if each.accepted else "broken"
        what = f"{each.missing} receipts before number {each.number} were lost with {each.aside}"
        yield printable(f"{grade:<8} {what}, rebuilt {time_text(each.at)}")
    yield f"{found.verified} of {found.receipts} receipts continue the chain; {found.tasks} tasks were compared"
    if found.anchors is not None:
        foreign = f"; {found.foreign_anchors} belong to other installations" if found.foreign_anchors else ""
        yield f"{found.anchors} anchors were compared{foreign}"
    if anchored_in:
        yield printable(f"receipt {found.head[0]} was anchored in {anchored_in}; keep the file elsewhere")
    yield "whole" if found.is_whole else "broken"
    yield ""
    yield from LIMITS
