"""Where the contestants lie."""

from __future__ import annotations

import sys
from pathlib import Path

CLIENTS = Path(__file__).resolve().parent / "clients"


def beside_python(name: str) -> str:
    """A program of the group `bench`.

    Raises:
        SystemExit: It is not installed.
    """
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        raise SystemExit(f"{name} is not installed: run with `uv run --group bench`")
    return str(found)
