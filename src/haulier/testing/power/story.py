"""The whole way of some files under one recorder: submitted, uploaded, proven, disposed of, the journal closed."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.backends.local_disk import LocalDisk
from haulier.files import Files
from haulier.files.posix import PosixSystem, exclusive_rename
from haulier.journal.sqlite import SqliteJournal
from haulier.service.state import Keys, open_journal
from haulier.testing.clock import FakeClock
from haulier.testing.power.calls import recorded_calls, recorded_rename
from haulier.testing.power.recorder import PowerRecorder
from haulier.testing.power.sqlite import recorded_sqlite
from haulier.testing.rig import RigSettings, UploadRig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from haulier.files import System
    from haulier.journal.api import Journal
    from haulier.testing.power.recorder import Recording

__all__ = [
    "GRACE",
    "JOURNAL",
    "LATER",
    "Acknowledged",
    "Told",
    "Volume",
    "finish",
    "go_on",
    "record_story",
    "recorded",
    "rig_on",
    "submit_all",
]

JOURNAL = "journal.db"
LATER = 4_956_528_000.0
"""A wall time long after the sidecar's grace."""

GRACE = 60.0
"""Seconds for which a sidecar stays."""

CHECKPOINT_PAGES = 24
"""Pages in SQLite's log after which they are folded into the database: some times in a story."""

SOURCES = {"long.mp4": 7000, "session.mp4": 2500, "short.mp4": 300}
SIDECAR = "session.json"


@dataclass(frozen=True)
class Volume:
    """Where things lie below a root."""

    root: Path

    @property
    def sources(self) -> Path:
        """What is uploaded."""
        return self.root / "recordings"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.root / "app" / "state"

    @property
    def store(self) -> Path:
        """The destination."""
        return self.root / "archive"

    def prepare(self) -> None:
        """Make the sources, as a host would have left them."""
        self.sources.mkdir(parents=True)
        for seed, (name, size) in enumerate(SOURCES.items(), 1):
            (self.sources / name).write_bytes(bytes((seed * 31 + at * 7 + at // 251) % 256 for at in range(size)))
        (self.sources / SIDECAR).write_text('{"title": "a session"}\n', "utf-8")


@dataclass(frozen=True)
class Told:
    """What a submit promised: the task, and where each artifact's bytes will lie."""

    task: str
    source: str
    keys: dict[str, bytes]


@dataclass(frozen=True)
class Acknowledged:
    """A part that the destination took."""

    task: str
    artifact: int
    offset: int
    size: int


class _System(PosixSystem):
    """A volume whose files get new numbers with each image that is built: no identity may hold on to them."""

    def volume_type(self, path: str) -> str:
        del path
        return "exfat"


@contextmanager
def recorded(root: Path, earlier: Recording | None = None) -> Iterator[tuple[PowerRecorder, System]]:
    """Record all that is done to a folder, by this process and by SQLite in it."""
    recorder = PowerRecorder(root, earlier)
    with ExitStack() as stack:
        stack.enter_context(recorded_calls(recorder))
        stack.enter_context(recorded_sqlite(recorder))
        yield recorder, _System(recorded_rename(recorder, exclusive_rename))


def rig_on(
    volume: Volume,
    journal: Journal,
    *,
    system: System | None = None,
    clock: FakeClock | None = None,
    recorder: PowerRecorder | None = None,
    owner: str = "rig",
) -> UploadRig:
    """A manager's inside with a folder as its destination; what its ports answer is marked."""
    files = Files(system or _System())
    backend = FilesystemBackend(
        "archive",
        FilesystemOptions(url=str(volume.store)),
        disk=LocalDisk(files, system or _System()),
        platform=sys.platform,
    )
    settings = RigSettings(delete_source=True, sidecar_grace=GRACE)
    listener = _Listener(recorder)
    rig = UploadRig(journal, backend, clock=clock, files=files, settings=settings, wrap=listener.wrap, owner=owner)
    listener.dispose = rig.disposer.step
    return rig


def record_story(root: Path) -> Recording:
    """Live through the story below an empty folder. What the program is told on the way is marked."""
    volume = Volume(root)
    volume.prepare()
    with recorded(root) as (recorder, system), _early_checkpoints():
        files = Files(system)
        journal = open_journal(volume.state, files)
        recorder.mark("key", Keys.load(volume.state, files).secret)
        clock = FakeClock()
        rig = rig_on(volume, journal, system=system, clock=clock, recorder=recorder)
        for names in (("session.mp4", "long.mp4"), ("short.mp4",)):
            submit_all(volume, rig, names, recorder)
            rig.work()
            rig.disposer.step()
        clock.advance(LATER - clock.now())
        rig.disposer.step()
        journal.close()
        recorder.mark("closed")
        return recorder.recording


def go_on(root: Path, earlier: Recording) -> Recording:
    """Another process on the same folders, after the end of the one that was recorded: it brings all to its end."""
    volume = Volume(root)
    with recorded(root, earlier) as (recorder, system), _early_checkpoints():
        files = Files(system)
        files.make_private_dir(volume.state)
        with closing(SqliteJournal(volume.state / JOURNAL, sync_folder=files.fsync_folder)) as journal:
            recorder.mark("key", Keys.load(volume.state, files).secret)
            finish(volume, rig_on(volume, journal, system=system, clock=FakeClock(LATER), recorder=recorder), recorder)
        return recorder.recording


def finish(volume: Volume, rig: UploadRig, recorder: PowerRecorder | None = None) -> None:
    """What a manager does after the death of the one before it, and a host that submits what is still there."""
    rig.ledger.release_owner("rig")
    submit_all(volume, rig, tuple(SOURCES), recorder)
    rig.work_on()
    rig.disposer.step()


def submit_all(volume: Volume, rig: UploadRig, names: Sequence[str], recorder: PowerRecorder | None = None) -> None:
    """Submit the sources that are there, one with its sidecar."""
    for name in names:
        source, sidecar = volume.sources / name, volume.sources / SIDECAR
        if source.exists():
            task = rig.submit(source, sidecar if name == "session.mp4" and sidecar.exists() else None)
            if recorder is not None:
                recorder.mark("submitted", _told(rig, task))


@contextmanager
def _early_checkpoints() -> Iterator[None]:
    import apsw

    def hook(connection: apsw.Connection) -> None:
        connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)

    apsw.connection_hooks.append(hook)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(hook)


def _told(rig: UploadRig, task: str) -> Told:
    row = rig.row(task)
    keys = {}
    for artifact in row.artifacts:
        with rig.files.open_source(artifact.path) as handle:
            content = bytearray(artifact.size)
            handle.readinto_at(0, content)
        keys[artifact.key] = bytes(content)
    return Told(task, row.media.path, keys)


class _Listener:
    """Marks what ports answered, and lets the disposal have its turn between parts, as its thread would."""

    def __init__(self, recorder: PowerRecorder | None) -> None:
        self._recorder = recorder
        self.dispose: Callable[[], object] = lambda: None

    def wrap(self, name: str, port: Any) -> Any:
        if name == "ledger":
            read = port.journal.read
            return _Port(
                port,
                complete=lambda _, lease, *__: self._mark("receipt", read(lambda tx: tx.receipt(lease.row.id))),
            )
        return _Port(port, send=self._sent) if name == "backend" else port

    def _sent(self, _: Any, upload: Any, token: Any, part: Any, *more: Any) -> None:
        del token, more
        self._mark("part", Acknowledged(upload.task, part.artifact, part.offset, part.size))
        self.dispose()

    def _mark(self, kind: str, fact: Any) -> None:
        if self._recorder is not None:
            self._recorder.mark(kind, fact)


class _Port:
    """Passes every call on and, of some, tells the answer and the arguments."""

    def __init__(self, port: Any, **told: Callable[..., None]) -> None:
        self._port = port
        self._told = told

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if name not in self._told:
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            self._told[name](result, *args)
            return result

        return call
