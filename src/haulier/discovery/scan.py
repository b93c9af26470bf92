"""One look at one folder: what is to be uploaded, what is not, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from haulier.discovery.decisions import Decisions
from haulier.discovery.pairing import companions_of_backup
from haulier.discovery.sidecars import SidecarVerdicts
from haulier.discovery.stability import Looks

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from haulier.clock import Clock
    from haulier.discovery.decisions import AcceptFile, FindSidecar
    from haulier.discovery.rules import ScanRules
    from haulier.files import FileEntry, Files
    from haulier.models import Identity

__all__ = ["Candidate", "FolderMemory", "ScanResult", "scan"]

BACKUP_SECONDS = 600.0  # a backup, and a temporary file beside it, younger than this may be a compression under way


@dataclass(frozen=True, slots=True)
class Candidate:
    """A whole media file that is to be uploaded.

    Attributes:
        path: Canonical path.
        identity: Who it was when looked at.
        sidecar: Canonical path of its sidecar, whose content is sound, or None.
    """

    path: str
    identity: Identity
    sidecar: str | None


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a folder holds. The mappings are by file name, with a reason that reads on from the name.

    Each file is in one of the four members, but for sidecars that belong to a media file.

    Attributes:
        folder: Canonical path.
        candidates: To be uploaded, oldest first: a rotation would delete those first.
        ignored: Left alone.
        problems: Cannot be taken until somebody does something or a plugin decides; every scan looks again.
        waiting: Not whole yet.
        belonging: The sidecar's name of every video that has one, whatever became of the video: as long as one of them
            is to be uploaded, the sidecar is needed.
        unreachable: Why the folder cannot be listed, or None. Then nothing is known about its files: none is gone.
        queued: Ids of the tasks that were made for the candidates; filled by the manager.
    """

    folder: str
    candidates: tuple[Candidate, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    belonging: Mapping[str, str] = field(default_factory=dict)
    unreachable: str | None = None
    queued: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FolderMemory:
    """What earlier scans of a folder saw, for the next one in this process. For one scan at a time."""

    looks: Looks = field(default_factory=Looks)
    sidecars: SidecarVerdicts = field(default_factory=SidecarVerdicts)


def scan(
    folder: str | os.PathLike[str],
    *,
    files: Files,
    clock: Clock,
    rules: ScanRules,
    memory: FolderMemory | None = None,
    accept_file: AcceptFile | None = None,
    find_sidecar: FindSidecar | None = None,
    knows_sidecar: Callable[[str], bool] | None = None,
) -> ScanResult:
    """Look at a folder, without its sub-folders. Changes nothing.

    Args:
        folder: Need not exist.
        files: The files port.
        clock: For ages and for telling whether a file is whole.
        rules: What to take.
        memory: What earlier scans saw; None when there were none.
        accept_file: The decision hook; one that raises leaves its file undecided, which is a problem until next time.
        find_sidecar: Likewise.
        knows_sidecar: Whether a sidecar (canonical path) belongs to an earlier upload, so that its video may be gone.
    """
    path = files.canonical(folder)
    memory = memory or FolderMemory()
    try:
        entries = files.scan_folder(path)
    except OSError as error:
        return ScanResult(path, unreachable=f"cannot be listed: {error.strerror or error}")
    now = clock.now()
    quiet = memory.looks.look(entries, now=now, monotonic=clock.monotonic())
    regular, odd = _split(entries)
    decisions = Decisions.ask(Path(path), list(regular), rules.media_suffixes, accept_file, find_sidecar)
    judge = _Judge(path, regular, quiet, now, files, rules, memory, decisions)
    judged = {
        **odd,
        **{name: _Verdict(_Stand.IGNORED, why) for name, why in decisions.ignored.items()},
        **{name: judge.media(name, sidecar) for name, sidecar in decisions.media.items()},
        **{name: judge.orphan(name, knows_sidecar) for name in decisions.orphans},
        **{name: _Verdict(_Stand.PROBLEM, why) for name, why in decisions.undecided.items()},
    }
    return _result(path, judged, decisions.belonging)


class _Stand(Enum):
    IGNORED = "ignored"
    PROBLEM = "problem"
    WAITING = "waiting"


class _Verdict(NamedTuple):
    stand: _Stand
    why: str


@dataclass(frozen=True, slots=True)
class _Judge:
    """Decides about the files of one look at a folder."""

    folder: str
    entries: Mapping[str, FileEntry]
    quiet: Mapping[str, float]
    now: float
    files: Files
    rules: ScanRules
    memory: FolderMemory
    decisions: Decisions

    def media(self, name: str, sidecar: str | None) -> Candidate | _Verdict:
        """What becomes of a media file."""
        entry = self.entries[name]
        if entry.problem:
            return _Verdict(_Stand.PROBLEM, entry.problem)
        if old := self.rules.too_old(entry.mtime_ns / 1e9, self.now):
            return _Verdict(_Stand.IGNORED, old)
        if waits := self._why_waiting(name, sidecar):
            return _Verdict(_Stand.WAITING, waits)
        problems = ["is empty"] if entry.size == 0 else []
        if sidecar is not None and (fault := self._sidecar_fault(sidecar)):
            problems.append(f"its sidecar {sidecar} {fault}")
        if problems:
            return _Verdict(_Stand.PROBLEM, "; ".join(problems))
        identity = self.files.identity_of_entry(self.folder, entry, self.rules.source_id)
        return Candidate(identity.path, identity, None if sidecar is None else str(Path(self.folder, sidecar)))

    def orphan(self, name: str, knows_sidecar: Callable[[str], bool] | None) -> _Verdict:
        """What becomes of a sidecar to which no video belongs."""
        entry = self.entries[name]
        if old := self.rules.too_old(entry.mtime_ns / 1e9, self.now):
            return _Verdict(_Stand.IGNORED, old)
        if knows_sidecar is not None and knows_sidecar(str(Path(self.folder, name))):
            return _Verdict(_Stand.IGNORED, "belongs to earlier uploads")
        if self.quiet[name] < self.rules.settle_seconds:
            return _Verdict(_Stand.WAITING, "is a sidecar; its video has not come yet")
        return _Verdict(_Stand.PROBLEM, "is a sidecar whose video never came, or is gone without having been taken")

    def _why_waiting(self, name: str, sidecar: str | None) -> str:
        settle = self.rules.settle_seconds
        if self.quiet[name] < settle:
            return f"changed less than {settle:g} seconds ago"
        if sidecar is not None and self.quiet[sidecar] < settle:
            return f"its sidecar {sidecar} changed less than {settle:g} seconds ago"
        if name in self.decisions.backups and self._may_be_compressing(name, self.decisions.backups[name]):
            return "is a backup, and compression may still be under way"
        return ""

    def _may_be_compressing(self, backup: str, temporary: str | None) -> bool:
        companions = companions_of_backup(backup)
        quiet = [self.quiet[backup], *(self.memory.looks.apart_for(backup, name) for name in companions)]
        if temporary is not None:
            quiet.append(self.quiet[temporary])
        if min(quiet) < BACKUP_SECONDS:
            return True
        try:  # it may have come while the folder was being listed
            return self.files.exists(Path(self.folder, companions[0]))
        except OSError:
            return True

    def _sidecar_fault(self, sidecar: str) -> str | None:
        if sidecar in self.decisions.undecided:
            return self.decisions.undecided[sidecar]
        entry = self.entries[sidecar]
        return entry.problem or self.memory.sidecars.problem(self.files, self.folder, entry)


def _split(entries: Iterable[FileEntry]) -> tuple[dict[str, FileEntry], dict[str, _Verdict]]:
    """Files that names tell about, and what is no file of its own."""
    regular: dict[str, FileEntry] = {}
    odd: dict[str, _Verdict] = {}
    for entry in entries:
        if entry.is_file and entry.is_link:
            odd[entry.name] = _Verdict(_Stand.IGNORED, "is a link to another file of this folder")
        elif entry.is_file or entry.problem:
            regular[entry.name] = entry
        else:
            odd[entry.name] = _Verdict(_Stand.IGNORED, "is no file; sub-folders are not looked into")
    return regular, odd


def _result(folder: str, judged: Mapping[str, Candidate | _Verdict], belonging: Mapping[str, str]) -> ScanResult:
    told: dict[_Stand, dict[str, str]] = {stand: {} for stand in _Stand}
    candidates: list[Candidate] = []
    for name in sorted(judged):
        verdict = judged[name]
        if isinstance(verdict, Candidate):
            candidates.append(verdict)
        else:
            told[verdict.stand][name] = verdict.why
    candidates.sort(key=lambda candidate: candidate.identity.mtime_ns)
    ignored, problems, waiting = (told[stand] for stand in _Stand)
    return ScanResult(folder, tuple(candidates), ignored, problems, waiting, belonging)
