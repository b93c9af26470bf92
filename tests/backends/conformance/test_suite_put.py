"""Put-only destinations, as the core adapts them, pass the conformance suite."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from haulier.backends.api import IfAbsent, PutBackend, Stored
from haulier.backends.keys import split_key
from haulier.errors import ConflictError
from haulier.models import Proof
from haulier.testing.backend_suite import BackendSuite, FolderWorld


@dataclass(frozen=True)
class ShelfOptions:
    folder: Path = field(metadata={"help": "folder that takes the files"})


class BlindShelf(PutBackend):
    """The least there is: it can put."""

    type = "blind-shelf"
    options_type = ShelfOptions

    def put(self, upload, artifact, body, context):
        target = self._path(artifact.key)
        draft = self.options.folder / f".drafts-{upload.nonce}-{artifact.index}-{upload.item_id}"
        draft.parent.mkdir(parents=True, exist_ok=True)
        context.check_cancelled()
        try:
            with draft.open("wb") as file:
                while block := body.read(1 << 20):
                    file.write(block)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._publish(draft, target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ConflictError("something else is in the way", where=artifact.key) from error
        finally:
            draft.unlink(missing_ok=True)
        return Stored(artifact.key, f"shelf:{artifact.key}", artifact.size)

    def _publish(self, draft, target):
        draft.replace(target)

    def _path(self, key):
        return self.options.folder.joinpath(*split_key(key, platform="linux"))


class Shelf(BlindShelf):
    """It can be asked as well, and never replaces."""

    type = "shelf"
    if_absent = IfAbsent.ATOMIC
    proof = Proof.CONTENT

    def put(self, upload, artifact, body, context):
        super().put(upload, artifact, body, context)
        return self.stat(artifact.key, context)

    def stat(self, key, context):
        path = self._path(key)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Stored(key, f"shelf:{key}", path.stat().st_size, digests={"sha256": digest})

    def _publish(self, draft, target):
        os.link(draft, target)


class LookingShelf(Shelf):
    """It replaces, so that the core looks before."""

    type = "looking-shelf"
    if_absent = IfAbsent.NONE

    def _publish(self, draft, target):
        draft.replace(target)


class ShelfSuite(BackendSuite):
    shelf = Shelf

    @pytest.fixture
    def world(self, tmp_path):
        (tmp_path / "shelf").mkdir()
        return FolderWorld(self.shelf, {"folder": str(tmp_path / "shelf")}, tmp_path / "shelf")


class TestPutAtomic(ShelfSuite):
    pass


@pytest.mark.full
class TestPutLooking(ShelfSuite):
    shelf = LookingShelf


@pytest.mark.full
class TestPutBlind(ShelfSuite):
    shelf = BlindShelf

    @pytest.fixture
    def world(self, tmp_path):
        (tmp_path / "shelf").mkdir()
        made = FolderWorld(self.shelf, {"folder": str(tmp_path / "shelf")}, tmp_path / "shelf")
        made.settles = False
        return made
