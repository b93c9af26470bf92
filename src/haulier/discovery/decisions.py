"""What names say about a folder, with the decisions of plugins on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.discovery.pairing import pair_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    AcceptFile = Callable[[Path], bool | None]
    FindSidecar = Callable[[Path, frozenset[str]], str | None]

__all__ = ["Decisions"]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Each name of a folder sorted; a name that a failing plugin left undecided is in that member, whatever else.

    Attributes:
        media: Each media file with its sidecar, or None.
        backups: As in :class:`~haulier.discovery.pairing.Pairing`.
        belonging: Every video that has a sidecar, with it, whatever else becomes of the video.
        orphans: Sidecars to which no video belongs.
        ignored: Left alone, with the reason.
        undecided: A plugin failed about them, with what happened.
    """

    media: Mapping[str, str | None]
    backups: Mapping[str, str | None]
    belonging: Mapping[str, str]
    orphans: frozenset[str]
    ignored: Mapping[str, str]
    undecided: Mapping[str, str]

    @classmethod
    def ask(
        cls,
        folder: Path,
        names: Collection[str],
        media_suffixes: AbstractSet[str],
        accept_file: AcceptFile | None,
        find_sidecar: FindSidecar | None,
    ) -> Decisions:
        """Ask the plugins about each file; where they have no opinion the rules of pairing hold.

        Args:
            folder: Canonical path.
            names: The regular files in it.
            media_suffixes: As for :func:`~haulier.discovery.pairing.pair_names`.
            accept_file: The hook, or None.
            find_sidecar: The hook, or None.
        """
        undecided: dict[str, str] = {}
        accepted = {} if accept_file is None else _accepted(folder, names, accept_file, undecided)
        pairing = pair_names(names, media_suffixes=media_suffixes, accepted=accepted)
        media = dict(pairing.media)
        if find_sidecar is not None:
            media.update(_sidecars(folder, media, frozenset(names), find_sidecar, undecided))
        claimed = {sidecar for sidecar in media.values() if sidecar}
        return cls(
            media={name: sidecar for name, sidecar in media.items() if name not in claimed},
            backups=pairing.backups,
            belonging={**pairing.belonging, **{name: sidecar for name, sidecar in media.items() if sidecar}},
            orphans=pairing.orphans - claimed,
            ignored={name: why for name, why in pairing.ignored.items() if name not in claimed},
            undecided=undecided,
        )


def _accepted(
    folder: Path, names: Collection[str], accept_file: AcceptFile, undecided: dict[str, str]
) -> dict[str, bool]:
    accepted: dict[str, bool] = {}
    for name in names:
        try:
            answer = accept_file(folder / name)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            undecided[name] = _failure("accept_file", error)
            continue
        if answer is not None:
            accepted[name] = answer
    return accepted


def _sidecars(
    folder: Path,
    media: Collection[str],
    names: frozenset[str],
    find_sidecar: FindSidecar,
    undecided: dict[str, str],
) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in media:
        try:
            answer = find_sidecar(folder / name, names)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            undecided[name] = _failure("find_sidecar", error)
            continue
        if answer is None:
            continue
        if answer and (answer in media or answer not in names):
            undecided[name] = (
                f"is undecided: a plugin's find_sidecar named {answer!r}, which is no sidecar in this folder"
            )
        else:
            found[name] = answer or None
    return found


def _failure(hook: str, error: Exception) -> str:
    return f"is undecided: a plugin's {hook} failed ({type(error).__name__}: {error}); it is asked again"
