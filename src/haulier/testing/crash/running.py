"""How tests run a matrix: where, which cases, and what is printed."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from haulier.testing.crash.cases import SETTINGS, Case, sample
from haulier.testing.crash.folder import FolderDestination
from haulier.testing.crash.matrix import Matrix
from haulier.testing.crash.memory import memory_destinations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from haulier.testing.crash.matrix import Figures
    from haulier.testing.crash.zygote import Zygote

__all__ = ["core_matrices", "half", "matrix_base", "sampled", "scratch", "verdict"]

BASE = "HAULIER_MATRIX_BASE"
CASE = "HAULIER_MATRIX_CASE"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made below it


@cache
def matrix_base() -> int:
    """Which sample runs: ``HAULIER_MATRIX_BASE``, else another one every minute."""
    return int(os.environ.get(BASE) or time.time() // 60 % 100_000)


def core_matrices(folder: Path, zygote: Zygote) -> list[Matrix]:
    """The matrices of the destinations that Haulier brings itself."""
    return [Matrix(each, folder / each.name, zygote) for each in [*memory_destinations(), FolderDestination()]]


def chosen_case(matrix: Matrix) -> list[Case]:
    """The one case named by ``HAULIER_MATRIX_CASE``, if it is of this matrix."""
    case = Case.parse(os.environ[CASE]) if os.environ.get(CASE) else None
    return [case] if case is not None and case.destination == matrix.destination.name else []


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder in memory where the system has such a place, else ``folder``: SIGKILL loses nothing of either."""
    if not os.access(MEMORY, os.W_OK):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="haulier-", dir=MEMORY) as made:
        yield Path(made)


def sampled(matrix: Matrix, size: int, seeds: int) -> list[Case]:
    """The one case that was asked for, else a sample of one setting's cases at steps, and some at random times."""
    if os.environ.get(CASE):
        return chosen_case(matrix)
    turn, setting = divmod(matrix_base(), len(SETTINGS))
    cases = matrix.cases([SETTINGS[setting]])
    return sample(cases, size, turn) + matrix.at_random(range(matrix_base(), matrix_base() + seeds))


def half(cases: Sequence[Case]) -> list[Case]:
    """Every other case, this time the one half, next time the other."""
    return list(cases[matrix_base() % 2 :: 2])


def verdict(matrix: Matrix, cases: Sequence[Case], tell: Callable[..., None], *, how: str = "") -> Figures:
    """Run the cases, print the figures, and tell them.

    Args:
        matrix: Of one destination.
        cases: Of this matrix.
        tell: Gets a name and the figures as keyword arguments.
        how: Completes the name.

    Raises:
        AssertionError: Something is wrong; each line names the case, the finding, and how to run the case alone.
    """
    figures = matrix.run_all(cases)
    tell(
        f"kills, {matrix.destination.name}{how}",
        cases=figures.cases,
        lost=figures.lost,
        doubled=figures.doubled,
        wrongly_reported=figures.wrongly_reported,
        deleted_without_proof=figures.deleted_without_proof,
        sent_again_at_most=figures.most_bytes_sent_again,
    )
    print(f"\n{matrix.destination.name}: {figures}; {BASE}={matrix_base()}", file=sys.stderr)  # noqa: T201 - the result
    if figures.failures:
        file = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
        lines = [f"{line}\n    alone: {CASE}={line.split(': ', 1)[0]} pytest {file}" for line in figures.failures]
        raise AssertionError("\n".join([f"{len(lines)} findings with {BASE}={matrix_base()}", *lines]))
    return figures
