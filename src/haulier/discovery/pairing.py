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
    described = _described(names, media_suffixes)
    by_stem = {(media_name.stem, media_name.marker): name for name, media_name in described.items()}
    ignored = {name: why for name in names if (why := _why_ignored(name, described.get(name), by_stem, decided))}
    formed = frozenset(filter(_has_sidecar_form, names))
    all_sidecars = formed - ignored.keys()
    # Names that differ in case or composition may mean one session: the first of them is its sidecar.
    sidecars = {_session_id(name): name for name in sorted(all_sidecars, reverse=True)}
    taken = sorted(name for name in names if name not in ignored and name not in formed)
    media = {name: _sidecar_of(_stem(name, described), sidecars) for name in taken}
    belonging = _belonging(names, described, sidecars, media_suffixes)
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
    whole, suffix = _cut(name)
    stem = _cut(whole)[0]
    return tuple(f"{stem}{marker}{suffix}" for marker in ("", *sorted(TEMPORARY_MARKERS)))


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


def _described(names: Iterable[str], media_suffixes: AbstractSet[str]) -> dict[str, _MediaName]:
    return {name: media_name for name in names if (media_name := _media_name(name, media_suffixes))}


def _media_name(name: str, media_suffixes: AbstractSet[str]) -> _MediaName | None:
    whole, suffix = _cut(unicodedata.normalize("NFC", name))
    if suffix.lower() not in media_suffixes:
        return None
    stem, marker = _cut(whole)
    marker = marker.lower()
    if marker == BACKUP_MARKER or marker in TEMPORARY_MARKERS:
        return _MediaName(stem, marker)
    return _MediaName(whole, "")


def _cut(name: str) -> tuple[str, str]:
    """A file name's stem and suffix; a dot at its beginning or end makes none. A folder's names are many: no Path."""
    dot = name.rfind(".")
    return (name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (name, "")


def _stem(name: str, described: Mapping[str, _MediaName]) -> str:
    return described[name].stem if name in described else unicodedata.normalize("NFC", _cut(name)[0])


def _has_sidecar_form(name: str) -> bool:
    return name.lower().endswith(SIDECAR_ENDING) and len(name) > len(SIDECAR_ENDING)


def _session_id(sidecar: str) -> str:
    return unicodedata.normalize("NFC", sidecar[: -len(SIDECAR_ENDING)])


def _sidecar_of(stem: str, sidecars: Mapping[str, str]) -> str | None:
    """The sidecar with the longest session id that the stem begins with, cut at an underscore."""
    while stem and sidecars:
        if stem in sidecars:
            return sidecars[stem]
        stem = stem.rpartition("_")[0]
    return None


def _temporary_beside(stem: str, by_stem: Mapping[tuple[str, str], str]) -> str | None:
    found = (by_stem.get((stem, marker)) for marker in sorted(TEMPORARY_MARKERS))
    return next((name for name in found if name), None)


def _belonging(
    names: Iterable[str],
    described: Mapping[str, _MediaName],
    sidecars: Mapping[str, str],
    media_suffixes: AbstractSet[str],
) -> dict[str, str]:
    belonging: dict[str, str] = {}
    for name in names:
        original = original_name(name)
        media_name = described.get(name) if original == name else _media_name(original, media_suffixes)
        sidecar = _sidecar_of(media_name.stem, sidecars) if media_name else None
        if sidecar is not None:
            belonging[name] = sidecar
    return belonging
