"""Taking a file in: from a path to a row of the journal that needs nothing else to be uploaded."""

from __future__ import annotations

import json
import mimetypes
import os
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from haulier import events
from haulier.errors import InputError, PluginError, SourceUnavailableError
from haulier.journal.api import TaskRow, item_of
from haulier.models import ArtifactRecord, Role, TaskState
from haulier.service.keys import key_from_template, safe_key
from haulier.transfer.states import Cause, move

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haulier.clock import Clock
    from haulier.files import Files
    from haulier.hooks.loading import Decision
    from haulier.journal.api import ItemKey, Transaction
    from haulier.models import Identity
    from haulier.service.rebuilt import Rebuilt
    from haulier.transfer.ledger import Ledger

    _Groups = Sequence[tuple[ItemKey, Sequence[TaskRow]]]  # for each file its item and a row for each backend

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
        groups = [(rows[0].item, rows) for rows in map(self._rows, submissions)]

        def change(tx: Transaction, told: list[events.Event]) -> list[Taken]:
            batch = _Batch(tx, told, self.clock.now(), groups)
            taken = [taken for item, rows in groups for taken in batch.take(item.item_id, rows)]
            batch.write()
            return taken

        return self.ledger.change(change)

    def take_new(self, submissions: Sequence[Submission]) -> list[Taken]:
        """As :meth:`take`, for files that a scan looked at: of those that are known well no row is made again.

        Args:
            submissions: With their identities, all for the same backends.
        """
        wanted = [item_of(one.identity or self._identity(one.path)) for one in submissions]
        backends = (submissions[0].backend, *submissions[0].also) if submissions else ()
        found = self.ledger.journal.read(lambda tx: [tx.find_items(wanted, backend) for backend in backends])
        settled = {item: rows for item in wanted if (rows := _settled(item.item_id, found))}
        fresh = [one for one, item in zip(submissions, wanted, strict=True) if item not in settled]
        taken = iter(self.take(fresh) if fresh else ())
        return [one for item in wanted for one in settled.get(item) or islice(taken, len(backends))]

    def known(self, identities: Sequence[Identity], backends: Sequence[str]) -> list[bool]:
        """Which of these items have a task already at each of these backends that needs nothing of a scan."""
        wanted = [item_of(identity) for identity in identities]
        found = self.ledger.journal.read(lambda tx: [tx.item_states(wanted, backend) for backend in backends])
        return [all(item_id in states and not _is_lost(*states[item_id]) for states in found) for _, item_id in wanted]

    def _rows(self, submission: Submission) -> list[TaskRow]:
        """One row for each backend, all about the same content: the file is looked at once."""
        identity = submission.identity or self._identity(submission.path)
        first = self._row(submission, identity, submission.backend)
        return [first, *(self._row(submission, identity, name, group=first.group) for name in submission.also)]

    def _row(self, submission: Submission, identity: Identity, backend: str, *, group: str = "") -> TaskRow:
        name = os.path.basename(identity.path)  # noqa: PTH119  a scan brings many
        key = self._key(identity, name, backend)
        media = ArtifactRecord(
            0, Role.MEDIA, name, identity.path, identity.size, identity.mtime_ns, identity.file_id, key, _type_of(name)
        )
        artifacts = [media]
        metadata = dict(submission.metadata)
        if submission.sidecar is not None:
            sidecar, content = self._sidecar(submission.sidecar, key)
            artifacts.append(sidecar)
            self._check_metadata(identity.path, content, backend)
        if metadata:
            self._check_metadata(identity.path, metadata, backend)
        now = self.clock.now()
        # Ids grow with time, to a fraction of the second: what is queued together lies together in the journal.
        task_id = f"upload_{int(now)}_{int(now % 1 * 4096):03x}{self._new_nonce()[-9:]}"
        return TaskRow(
            id=task_id,
            state=TaskState.QUEUED,
            backend=backend,
            identity=identity,
            group=group or task_id,
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


class _Batch:
    """Takes rows in within one transaction: asked for at once, and written at once."""

    def __init__(self, tx: Transaction, told: list[events.Event], now: float, groups: _Groups) -> None:
        self._tx = tx
        self._told = told
        self._now = now
        self._new: list[TaskRow] = []
        asked: dict[str, list[ItemKey]] = {}
        for item, rows in groups:
            for row in rows:
                asked.setdefault(row.backend, []).append(item)
        self._known = {backend: dict(tx.find_items(items, backend)) for backend, items in asked.items()}

    def take(self, item_id: str, rows: Sequence[TaskRow]) -> list[Taken]:
        """One file to its backends. Who is known already is joined by the others."""
        found = [self._known[row.backend].get(item_id) for row in rows]
        group = next((known.group for known in found if known is not None), rows[0].group)
        return [
            self._add(item_id, row if row.group == group else replace(row, group=group))
            if known is None
            else self._join(item_id, known, group)
            for row, known in zip(rows, found, strict=True)
        ]

    def write(self) -> None:
        """Write what is new so far."""
        self._tx.insert_tasks(self._new)
        self._new = []

    def _add(self, item_id: str, row: TaskRow) -> Taken:
        self._new.append(row)
        self._known[row.backend][item_id] = row
        self._tell(row)
        return Taken(row, created=True)

    def _join(self, item_id: str, known: TaskRow, group: str) -> Taken:
        """Of a task that is there already: the others' group, and a source that was missing and is back."""
        changes: dict[str, Any] = {}
        if known.group != group:
            changes["group"] = group
        if _is_lost(known.state, known.error.code if known.error else ""):
            changes |= {"state": move(known.state, Cause.RETRY), "updated_at": self._now, "not_before": None}
            self._tell(known)
        if not changes:
            return Taken(known, created=False)
        self.write()  # it may be one of these
        self._tx.update_task(known.id, **changes)
        joined = self._known[known.backend][item_id] = replace(known, **changes)
        return Taken(joined, created=False)

    def _tell(self, row: TaskRow) -> None:
        told = events.UploadQueued(backend=row.backend, task=row.id, filename=row.media.name, size=row.size)
        self._told.append(told)


def _settled(item_id: str, found: Sequence[Mapping[str, TaskRow]]) -> list[Taken]:
    """The tasks of an item at every backend, when there is nothing to do about them; else none."""
    rows = [known[item_id] for known in found if item_id in known]
    lost = any(_is_lost(row.state, row.error.code if row.error else "") for row in rows)
    if lost or len(rows) < len(found) or len({row.group for row in rows}) > 1:
        return []
    return [Taken(row, created=False) for row in rows]


def _is_lost(state: TaskState, error: str) -> bool:
    """Whether a task failed because its file was missing or unreadable."""
    return state is TaskState.FAILED and error == SourceUnavailableError.code


def _type_of(name: str) -> str:
    """By the suffix, where nothing else can matter; what is before it may make a name read as a URL."""
    suffix = os.path.splitext(name)[1]  # noqa: PTH122  a scan brings many
    return _type_of_name(f"a{suffix}" if suffix and suffix.lower() not in mimetypes.encodings_map else name)


@lru_cache(maxsize=64)
def _type_of_name(name: str) -> str:
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
