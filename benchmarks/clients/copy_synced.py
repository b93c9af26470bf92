"""A copy with the guarantees of Haulier's `filesystem` and no queue: FOLDER TARGET.

Each file is written under another name, synced, dropped from the cache, read back and compared, given its name only if
that is free, and the folders with a new entry are synced. One file after the other: nothing is shared between files.
"""

import hashlib
import os
import sys
from pathlib import Path

BLOCK = 1024 * 1024


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def copied(source: Path, draft: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb", buffering=0) as read, draft.open("xb", buffering=0) as written:
        while block := read.read(BLOCK):
            digest.update(block)
            written.write(block)
        os.fsync(written.fileno())
    return digest.hexdigest()


def read_back(draft: Path) -> str:
    with draft.open("rb", buffering=0) as stored:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stored.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(stored, "sha256").hexdigest()


folder, target = map(Path, sys.argv[1:])
for path in sorted(folder.iterdir()):
    place = target / hashlib.sha256(path.name.encode()).hexdigest()[:16]
    draft = place / f".{path.name}"
    place.mkdir(parents=True)
    sync_folder(target)
    if copied(path, draft) != read_back(draft):
        raise SystemExit(f"{path} differs")
    (place / path.name).hardlink_to(draft)  # a rename would replace what has the name
    draft.unlink()
    sync_folder(place)
