"""Taking a file in: from a path to a row of the journal that needs nothing else to be uploaded."""

from __future__ import annotations

import json
import mimetypes
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from haulier import events
from haulier.errors import InputError, PluginError, SourceUnavailableError
from haulier.journal.api import TaskRow
from haulier.models import ArtifactRecord, Role, TaskState
from haulier.service.keys import key_from_template, safe_key
from haulier.transfer.states import Cause, move

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from haulier.clock import Clock
    from haulier.files import Files
    from haulier.hooks.loading import Decision
    from haulier.journal.api import Transaction
    from haulier.models import Identity
    from haulier.service.rebuilt import Rebuilt
    from haulier.transfer.ledger import Ledger

__all__ = ["Intake", "Submission", "Taken"]

SIDECAR_COPY_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Submission:
    """What is to be uploaded. ``identity`` when a scan knows it already; ``also`` names further backends."""

    path: str | os.PathLike[str]
    backend: str
    sidecar: str | os.PathLike[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    identity: Identity | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taken:
    """A row, and whether it is new."""

    row: TaskRow
    created: bool


class Intake:
    """Makes tasks. Thread-safe.

    Args:
        ledger: Where they go.
        files: Operating system.
        clock: Wall time.
        source_id: This installation.
        key_template: See the option ``upload.key_template``.
        delete_source: Whether sources are to be removed after completion.
        decide: Asks plugins, see :meth:`haulier.hooks.loading.PluginHost.decide`.
        new_nonce: Makes the ids of tasks unique: at least twelve hexadecimal digits.
        rebuilt: The journal's latest rebuild, or None: what lay there before may be stored already.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        files: Files,
        clock: Clock,
        source_id: str,
        key_template: str,
        delete_source: bool,
        decide: Callable[..., Decision],
        new_nonce: Callable[[], str],
        rebuilt: Rebuilt | None = None,
    ) -> None:
        self.ledger = ledger
        self.files = files
        self.clock = clock
        self.source_id = source_id
        self.key_template = key_template
        self.delete_source = delete_source
        self._decide = decide
        self._new_nonce = new_nonce
        self._rebuilt = rebuilt

    def take(self, submissions: Sequence[Submission]) -> list[Taken]:
        """Write tasks, one transaction for all: they are on disk when this returns. Known items give their own task.

        Args:
            submissions: What is to be uploaded.

        Returns:
            For each submission the task of its backend, then those of the further ones: they share one group.

        Raises:
            InputError: A file is missing, a folder, not readable; a sidecar or its metadata is broken.
        """
        groups = [self._rows(submission) for submission in submissions]

        def change(tx: Transaction, told: list[events.Event]) -> list[Taken]:
            return [taken for rows in groups for taken in self._take_group(tx, told, rows)]

        return self.ledger.change(change)

    def _take_group(self, tx: Transaction, told: list[events.Event], rows: Sequence[TaskRow]) -> list[Taken]:
        """One file to its backends. Who is known already is joined by the others."""
        found = [tx.find_item(row.item_id, row.backend) for row in rows]
        group = next((known.group for known in found if known is not None), rows[0].group)
        taken = []
        for row, known in zip(rows, found, strict=True):
            if known is None:
                inserted = tx.insert_task(replace(row, group=group))
                taken.append(Taken(inserted, created=True))
                told.append(
                    events.UploadQueued(backend=row.backend, task=row.id, filename=row.media.name, size=row.size)
                )
                continue
            joined = known
            if known.group != group:
                tx.update_task(known.id, group=group)
                joined = replace(known, group=group)
            if is_lost_source(known):
                joined = self._revive(tx, told, joined)
            taken.append(Taken(joined, created=False))
        return taken

    def known(self, identities: Sequence[Identity], backends: Sequence[str]) -> list[bool]:
        """Which of these items have a task already at each of these backends that needs nothing of a scan."""

        def is_known(tx: Transaction, identity: Identity) -> bool:
            rows = (tx.find_item(identity.item_id, backend) for backend in backends)
            return all(row is not None and not is_lost_source(row) for row in rows)

        return self.ledger.journal.read(lambda tx: [is_known(tx, identity) for identity in identities])

    def _revive(self, tx: Transaction, told: list[events.Event], row: TaskRow) -> TaskRow:
        """A source that was missing is back: its task goes on."""
        now = self.clock.now()
        changed = replace(row, state=move(row.state, Cause.RETRY), updated_at=now, not_before=None)
        tx.update_task(row.id, state=changed.state, updated_at=now, not_before=None)
        told.append(events.UploadQueued(backend=row.backend, task=row.id, filename=row.media.name, size=row.size))
        return changed

    def _rows(self, submission: Submission) -> list[TaskRow]:
        """One row for each backend, all about the same content: the file is looked at once."""
        known = replace(submission, identity=submission.identity or self._identity(submission.path))
        first = self._row(known)
        rest = [self._row(replace(known, backend=name)) for name in submission.also]
        return [first, *(replace(row, group=first.group) for row in rest)]

    def _row(self, submission: Submission) -> TaskRow:
        identity = submission.identity or self._identity(submission.path)
        name = PurePath(identity.path).name
        key = self._key(identity, name, submission.backend)
        media = ArtifactRecord(
            0, Role.MEDIA, name, identity.path, identity.size, identity.mtime_ns, identity.file_id, key, _type_of(name)
        )
        artifacts = [media]
        metadata = dict(submission.metadata)
        if submission.sidecar is not None:
            sidecar, content = self._sidecar(submission.sidecar, key)
            artifacts.append(sidecar)
            self._check_metadata(identity.path, content, submission.backend)
        if metadata:
            self._check_metadata(identity.path, metadata, submission.backend)
        now = self.clock.now()
        task_id = f"upload_{int(now)}_{self._new_nonce()[-12:]}"
        return TaskRow(
            id=task_id,
            state=TaskState.QUEUED,
            backend=submission.backend,
            identity=identity,
            group=task_id,
            artifacts=tuple(artifacts),
            metadata=metadata,
            created_at=now,
            updated_at=now,
            delete_source=self.delete_source,
            committing=self._may_be_stored(identity, now),
        )

    def _may_be_stored(self, identity: Identity, now: float) -> bool:
        """Whether a task that a rebuilt journal lost may have stored this file: then its destination is asked first."""
        return self._rebuilt is not None and not self._rebuilt.at < identity.mtime_ns / 1e9 <= now

    def _identity(self, path: str | os.PathLike[str]) -> Identity:
        canonical = self.files.canonical(path)
        try:
            return self.files.identity(canonical, self.source_id)
        except OSError as error:
            raise _input_error(canonical, error) from error

    def _sidecar(self, path: str | os.PathLike[str], media_key: str) -> tuple[ArtifactRecord, Mapping[str, Any]]:
        identity = self._identity(path)
        name = PurePath(identity.path).name
        content = self._sidecar_content(identity)
        folder = media_key.rpartition("/")[0]
        key = safe_key(f"{folder}/{name}")
        record = ArtifactRecord(
            1,
            Role.SIDECAR,
            name,
            identity.path,
            identity.size if content is None else len(content),
            identity.mtime_ns,
            identity.file_id,
            key,
            _type_of(name),
            content,
        )
        return record, _json_object(identity.path, content)

    def _sidecar_content(self, identity: Identity) -> bytes | None:
        if identity.size > SIDECAR_COPY_LIMIT:
            return None
        try:
            return self.files.read_bytes(identity.path, SIDECAR_COPY_LIMIT)
        except OSError as error:
            raise _input_error(identity.path, error) from error

    def _check_metadata(self, path: str, metadata: Mapping[str, Any], backend: str) -> None:
        if not metadata:
            return
        wrong = self._ask("validate_metadata", path=Path(path), metadata=metadata, backend=backend)
        if wrong is not None:
            raise InputError(f"the metadata was refused: {wrong}", where=path, advice="Correct the metadata")

    def _ask(self, hook: str, **question: Any) -> Any:
        decision = self._decide(hook, **question)
        if decision.undecided is not None:
            raise PluginError(f"a plugin could not decide {hook}: {decision.undecided}")
        return decision.value

    def _key(self, identity: Identity, name: str, backend: str) -> str:
        chosen = self._ask("object_key", identity=identity, name=name, backend=backend)
        if chosen is not None:
            return safe_key(chosen)
        return key_from_template(self.key_template, identity, name, backend)


def is_lost_source(row: TaskRow) -> bool:
    """Whether a task failed because its file was missing or unreadable."""
    return row.state is TaskState.FAILED and row.error is not None and row.error.code == SourceUnavailableError.code


def _type_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _json_object(path: str, content: bytes | None) -> Mapping[str, Any]:
    """The metadata in a sidecar: of a ``.json`` file a JSON object is expected, anything else is opaque."""
    if not path.lower().endswith(".json") or content is None:
        return {}
    try:
        data = json.loads(content)
    except ValueError as error:
        advice = "Correct or leave out the sidecar"
        raise InputError(f"the sidecar is not JSON ({error})", where=path, advice=advice) from error
    if not isinstance(data, dict):
        raise InputError("the sidecar is not a JSON object", where=path, advice="Correct or leave out the sidecar")
    return data


def _input_error(path: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError("there is no such file", where=path, advice="Check the name")
    if isinstance(error, IsADirectoryError) or Path(path).is_dir():
        return InputError("this is a folder", where=path, advice="Name a file, or use `haulier scan` for a folder")
    if isinstance(error, PermissionError):
        return InputError("the file may not be read", where=path, advice="Give this user the right to read it")
    return InputError(f"the file cannot be read ({error.strerror or error})", where=path)
