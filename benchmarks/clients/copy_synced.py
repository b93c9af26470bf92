"""A copy with the guarantees of Haulier's `filesystem` and no queue: FOLDER TARGET.

Each file is written under another name, synced, read back and compared, renamed, and its folder synced.
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


folder, target = map(Path, sys.argv[1:])
for path in sorted(folder.iterdir()):
    place = target / hashlib.sha256(path.name.encode()).hexdigest()[:16]
    place.mkdir(parents=True)
    sync_folder(target)
    sent = copied(path, place / f".{path.name}")
    with (place / f".{path.name}").open("rb") as stored:
        if hashlib.file_digest(stored, "sha256").hexdigest() != sent:
            raise SystemExit(f"{path} differs")
    (place / f".{path.name}").rename(place / path.name)
    sync_folder(place)
