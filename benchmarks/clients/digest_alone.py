"""SHA-256 of every file in a folder and nothing else: FOLDER SHARE, the share of each that is read."""

import hashlib
import sys
from pathlib import Path

BLOCK = 1024 * 1024

folder, share = sys.argv[1:]
for path in sorted(Path(folder).iterdir()):
    digest, left = hashlib.sha256(), int(path.stat().st_size * float(share))
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as stream:
        while left and (count := stream.readinto(buffer[: min(BLOCK, left)])):
            digest.update(buffer[:count])
            left -= count
