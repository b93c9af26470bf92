"""A small driver that takes an upload through a backend, part by part, the way an engine would."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field

import pytest

from haulier.backends.api import Artifact, CommitMode, Held, LastPart, Part, PartsMode, ResumeMode, Upload
from haulier.errors import CancelledError
from haulier.models import Role

ITEM = "a" * 64


class BytesBody:
    """A part's bytes. ``on_read`` is called before each block."""

    def __init__(self, data, whole=None, on_read=None):
        self._data = data
        self._whole = whole
        self._at = 0
        self._on_read = on_read
        self.size = len(data)

    def readinto(self, buffer, /):
        if self._on_read is not None:
            self._on_read(self._at)
        block = self._data[self._at : self._at + len(buffer)]
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)

    def read(self, size=-1, /):
        end = len(self._data) if size < 0 else self._at + size
        block = self._data[self._at : end]
        self._at += len(block)
        return block

    def rewind(self):
        self._at = 0

    def digest(self, name):
        return hashlib.new(name, self._data).hexdigest()

    def whole(self, name):
        return hashlib.new(name, self._whole).hexdigest()


class PlainContext:
    """Patient, and cancelled by ``cancel``."""

    silence = 60.0
    commit_timeout = 600.0

    def __init__(self):
        self._cancelled = threading.Event()
        self._callbacks = []

    def cancel(self):
        self._cancelled.set()
        for callback in list(self._callbacks):
            callback()

    def cancelled(self):
        return self._cancelled.is_set()

    def check_cancelled(self):
        if self.cancelled():
            raise CancelledError("cancelled")

    def on_cancel(self, callback):
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)


@dataclass
class Drive:
    """One upload on its way. ``contents`` holds each artifact's bytes, media first."""

    backend: object
    upload: Upload
    contents: list
    part_size: int = 10
    context: PlainContext = field(default_factory=PlainContext)
    token: object = None
    abilities: object = None
    held: Held = field(default_factory=Held)
    sent: list = field(default_factory=list)

    def open(self):
        self.token, self.abilities = self.backend.open(self.upload, self.context)
        self.held = Held()
        return self

    def resume(self, backend):
        """The same upload in a new process, which has the token and nothing else."""
        abilities = self.abilities or backend.abilities
        later = Drive(backend, self.upload, self.contents, self.part_size, PlainContext(), self.token, abilities)
        later.held = backend.held(self.upload, self.token, later.context)
        return later

    def parts(self):
        """What is not held, in order."""
        first = sorted(self.upload.artifacts, key=lambda a: (a.role is Role.SIDECAR) != self.abilities.sidecar_first)
        missing = [part for artifact in first for part in self._cut(artifact) if not self._has(part)]
        if missing and self.abilities.commit is CommitMode.LAST_PART:
            tail = missing.pop()
            missing.append(Part(tail.artifact, tail.number, tail.offset, tail.size, last=True))
        return missing

    def _cut(self, artifact):
        size = max(artifact.size, 1) if self.abilities.parts is PartsMode.WHOLE else self.part_size
        prefix = self.held.prefixes.get(artifact.index, 0)
        for number, offset in enumerate(range(0, max(artifact.size, 1), size), start=1):
            end = min(offset + size, artifact.size)
            start = min(max(offset, prefix), end)
            yield Part(artifact.index, number, start, end - start)

    def _has(self, part):
        if part.number in self.held.parts.get(part.artifact, {}):
            return True
        artifact = self.upload.artifacts[part.artifact]
        return part.size == 0 and artifact.size > 0

    def body(self, part, on_read=None):
        content = self.contents[part.artifact]
        return BytesBody(content[part.offset : part.offset + part.size], content, on_read)

    def send(self, part):
        answer = self.backend.send(self.upload, self.token, part, self.body(part), self.context)
        self.sent.append(part)
        self.take(answer)
        return answer

    def take(self, answer):
        prefixes = {**self.held.prefixes, **answer.prefixes}
        parts = {**self.held.parts}
        for index, more in answer.parts.items():
            parts[index] = {**parts.get(index, {}), **more}
        self.held = Held(prefixes, parts, answer.stored)

    def send_some(self, count=None):
        """Send the next parts, but never the one that commits; returns self."""
        for part in self.parts()[:count]:
            if not part.last:
                self.send(part)
        return self

    def commit(self):
        last = next((part for part in self.parts() if part.last), None)
        digests = dict(enumerate({"sha256": sha256(content)} for content in self.contents))
        if last is not None and self.abilities.parts is PartsMode.WHOLE:
            del digests[last.artifact]  # streamed: not known before it is read
        with_bytes = LastPart(last, self.body(last)) if last else None
        return self.backend.commit(self.upload, self.token, self.held, digests, self.context, with_bytes)

    def run(self):
        return self.open().send_some().commit()

    def finish(self):
        """Go on after :meth:`resume`."""
        return self.held.stored or self.send_some().commit()

    @property
    def resumable(self):
        return self.abilities.resume is not ResumeMode.NONE


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def make_drive(backend, *contents, item=ITEM, nonce="n1", keys=("2026/a.mp4", "2026/a.json"), part_size=10):
    roles = (Role.MEDIA, Role.SIDECAR)
    artifacts = tuple(
        Artifact(
            index, roles[index], keys[index].rpartition("/")[2], keys[index], len(content), "application/octet-stream"
        )
        for index, content in enumerate(contents)
    )
    return Drive(backend, Upload("upload_1", item, nonce, artifacts), list(contents), part_size)


@pytest.fixture(scope="session")
def drive_for():
    """``drive_for(backend, media, sidecar, item=, nonce=, keys=, part_size=)`` makes a :class:`Drive`."""
    return make_drive


@pytest.fixture
def context():
    return PlainContext()


@pytest.fixture(name="sha256")
def sha256_fixture():
    return sha256
