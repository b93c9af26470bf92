"""The command line: :func:`main` is the program ``haulier``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process.

    Args:
        arguments: Without the program's name; None for those of the process.
    """
    from haulier.cli.program import run_program

    raise SystemExit(run_program(arguments))
