"""Which names of a folder are media files, which are sidecars, and which belong together. No I/O.

Three ways of naming are understood:

* ``rdp_123_1729950022_Production_Server_20241026_150022.mp4`` with ``rdp_123_1729950022_metadata.json``: the session id
  comes first, and all segments of a session share its sidecar;
* ``session_123_ServerName_20241026_150000.mp4`` with ``session_123_metadata.json``;
* ``SRV-APP01_seg001_20251105_091500.avi``: no session id, no sidecar.

A sidecar belongs to the media files whose name begins with its session id, up to an underscore or the end of the stem;
of several the longest wins.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from haulier.discovery.rules import MEDIA_SUFFIXES
from haulier.files.names import is_private_name, original_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["Pairing", "companions_of_backup", "pair_names"]

SIDECAR_ENDING = "_metadata.json"
FOREIGN_NAMES = {
    "cleanup_stats.json": "holds statistics of the recorder's rotation",
    "test_h264.mp4": "is the recorder's codec probe",
}
TEMPORARY_MARKERS = frozenset({".tmp", ".temp", ".part", ".partial"})
BACKUP_MARKER = ".bak"


@dataclass(frozen=True, slots=True)
class Pairing:
    """What the names of a folder say.

    Attributes:
        media: Each media file with its sidecar, or None.
        backups: Those media files that are backups without their original, each with the temporary file of the same
            stem, or None: a backup is the recording only when no compression is under way.
        sidecars: Names that have a sidecar's form.
        belonging: Every video that has a sidecar with that sidecar, also temporary, private and ignored ones.
        orphans: Sidecars to which none of those belongs.
        ignored: All other names, with the reason.
    """

    media: Mapping[str, str | None]
    backups: Mapping[str, str | None]
    sidecars: frozenset[str]
    belonging: Mapping[str, str]
    orphans: frozenset[str]
    ignored: Mapping[str, str]


class _MediaName(NamedTuple):
    stem: str  # NFC, without marker and suffix
    marker: str  # ".tmp", ".bak" and the like, or ""


def pair_names(
    names: Collection[str],
    *,
    media_suffixes: AbstractSet[str] = MEDIA_SUFFIXES,
    accepted: Mapping[str, bool] | None = None,
) -> Pairing:
    """Sort the names of a folder and pair media files with sidecars.

    Args:
        names: All file names, without the folder.
        media_suffixes: Lower-case suffixes of media files, each with its dot.
        accepted: Decisions that go before the rules: False leaves a file alone, True takes it as a media file (a name
            in a sidecar's form stays a sidecar). A private name is never taken.
    """
    decided = accepted or {}
    described = {name: media_name for name in names if (media_name := _media_name(name, media_suffixes))}
    by_stem = {(media_name.stem, media_name.marker): name for name, media_name in described.items()}
    ignored = {name: why for name in names if (why := _why_ignored(name, described.get(name), by_stem, decided))}
    all_sidecars = frozenset(name for name in names if _has_sidecar_form(name) and name not in ignored)
    # Names that differ in case or composition may mean one session: the first of them is its sidecar.
    sidecars = {_session_id(name): name for name in sorted(all_sidecars, reverse=True)}
    taken = sorted(name for name in names if name not in ignored and not _has_sidecar_form(name))
    media = {name: _sidecar_of(_stem(name, described), sidecars) for name in taken}
    belonging = _belonging(names, sidecars, media_suffixes)
    return Pairing(
        media=media,
        backups={
            name: _temporary_beside(described[name].stem, by_stem)
            for name in taken
            if name in described and described[name].marker == BACKUP_MARKER and not decided.get(name)
        },
        sidecars=all_sidecars,
        belonging=belonging,
        orphans=all_sidecars - set(belonging.values()) - set(media.values()),
        ignored=ignored,
    )


def companions_of_backup(name: str) -> tuple[str, ...]:
    """The names that compression gives beside a backup: ``a.bak.mp4`` comes from ``a.mp4`` and ``a.tmp.mp4``."""
    path = PurePath(name)
    stem = PurePath(path.stem).stem
    return tuple(f"{stem}{marker}{path.suffix}" for marker in ("", *sorted(TEMPORARY_MARKERS)))


def _why_ignored(
    name: str, media_name: _MediaName | None, by_stem: Mapping[tuple[str, str], str], decided: Mapping[str, bool]
) -> str:
    if is_private_name(name):
        return "is an uploaded source whose deletion is not finished"
    if name in decided:
        return "" if decided[name] else "is left alone by a plugin"
    if name.startswith((".", "~")):
        return "is hidden or temporary"
    if name.casefold() in FOREIGN_NAMES:
        return FOREIGN_NAMES[name.casefold()]
    if _has_sidecar_form(name):
        return ""
    if media_name is None:
        return "is neither a media file nor a sidecar"
    if media_name.marker in TEMPORARY_MARKERS:
        return "is still in the making"
    if media_name.marker == BACKUP_MARKER and (media_name.stem, "") in by_stem:
        return "is a backup whose original is here"
    return ""


def _media_name(name: str, media_suffixes: AbstractSet[str]) -> _MediaName | None:
    path = PurePath(unicodedata.normalize("NFC", name))
    if path.suffix.lower() not in media_suffixes:
        return None
    inner = PurePath(path.stem)
    marker = inner.suffix.lower()
    if marker == BACKUP_MARKER or marker in TEMPORARY_MARKERS:
        return _MediaName(inner.stem, marker)
    return _MediaName(path.stem, "")


def _stem(name: str, described: Mapping[str, _MediaName]) -> str:
    return described[name].stem if name in described else unicodedata.normalize("NFC", PurePath(name).stem)


def _has_sidecar_form(name: str) -> bool:
    return name.lower().endswith(SIDECAR_ENDING) and len(name) > len(SIDECAR_ENDING)


def _session_id(sidecar: str) -> str:
    return unicodedata.normalize("NFC", sidecar[: -len(SIDECAR_ENDING)])


def _sidecar_of(stem: str, sidecars: Mapping[str, str]) -> str | None:
    """The sidecar with the longest session id that the stem begins with, cut at an underscore."""
    while stem:
        if stem in sidecars:
            return sidecars[stem]
        stem = stem.rpartition("_")[0]
    return None


def _temporary_beside(stem: str, by_stem: Mapping[tuple[str, str], str]) -> str | None:
    found = (by_stem.get((stem, marker)) for marker in sorted(TEMPORARY_MARKERS))
    return next((name for name in found if name), None)


def _belonging(names: Iterable[str], sidecars: Mapping[str, str], media_suffixes: AbstractSet[str]) -> dict[str, str]:
    described = {name: _media_name(original_name(name), media_suffixes) for name in names}
    owners = {name: _sidecar_of(media_name.stem, sidecars) for name, media_name in described.items() if media_name}
    return {name: sidecar for name, sidecar in owners.items() if sidecar}
