"""Folders: looked at on request or watched, and what they hold queued once."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier.discovery.rules import ScanRules
from haulier.discovery.scan import ScanResult, scan
from haulier.errors import HaulierError, JournalError
from haulier.service.intake import Intake, Submission, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haulier.clock import Clock
    from haulier.config.models import Config
    from haulier.discovery.scan import Candidate, FolderMemory
    from haulier.discovery.watch import Watcher
    from haulier.files import Files
    from haulier.hooks.loading import Decision

__all__ = ["Folders"]

log = logging.getLogger("haulier.manager")

BATCH = 100  # tasks written in one transaction: what it takes is kept by the C library for each thread that wrote one


class Folders:
    """Scans and queues. ``step`` is for one thread at a time; the rest is thread-safe.

    Args:
        config: The configuration.
        intake: Makes tasks.
        files: Operating system.
        clock: For ages and settling.
        decide: Asks plugins, see :meth:`haulier.hooks.loading.PluginHost.decide`.
    """

    def __init__(
        self, *, config: Config, intake: Intake, files: Files, clock: Clock, decide: Callable[..., Decision]
    ) -> None:
        self.config = config
        self.intake = intake
        self.files = files
        self.clock = clock
        self._decide = decide
        self._started_at = clock.now()
        self._problems: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._watcher: Watcher | None = None

    # -- on request --------------------------------------------------------------------------------------------

    def look(
        self, folder: str | os.PathLike[str], *, max_age_days: float | None = None, settled: bool = False
    ) -> ScanResult:
        """Scan a folder once. ``settled``: take files at once instead of waiting until they stood still."""
        rules = ScanRules(
            self.intake.source_id,
            settle_seconds=0.0 if settled else self.config.watch.settle_seconds,
            max_age_days=max_age_days,
        )
        return self._scan(folder, rules)

    def _scan(self, folder: str | os.PathLike[str], rules: ScanRules, memory: FolderMemory | None = None) -> ScanResult:
        return scan(
            folder,
            files=self.files,
            clock=self.clock,
            rules=rules,
            memory=memory,
            accept_file=self.accept_file,
            find_sidecar=self.find_sidecar,
            knows_sidecar=self.knows_sidecar,
        )

    def take(self, result: ScanResult, backends: Sequence[str]) -> list[tuple[str, bool]]:
        """Queue what a scan found; what is known already gives its own task. One bad file does not stop the others.

        Args:
            result: What was found.
            backends: Where each file goes, the first one first.

        Returns:
            Ids of the tasks, and whether each is new.
        """
        taken: list[tuple[str, bool]] = []
        for start in range(0, len(result.candidates), BATCH):
            batch = self._take_batch(result.folder, result.candidates[start : start + BATCH], backends)
            taken += [(one.row.id, one.created) for one in batch]
        return taken

    def _take_batch(self, folder: str, candidates: tuple[Candidate, ...], backends: Sequence[str]) -> list[Taken]:
        first, *also = backends
        submissions = [
            Submission(candidate.path, first, candidate.sidecar, identity=candidate.identity, also=tuple(also))
            for candidate in candidates
        ]
        try:
            return self.intake.take_new(submissions)
        except JournalError:
            raise
        except HaulierError:
            return self._take_singly(folder, submissions)

    def _take_singly(self, folder: str, submissions: list[Submission]) -> list[Taken]:
        taken: list[Taken] = []
        for submission in submissions:
            try:
                taken += self.intake.take_new([submission])
            except JournalError:
                raise
            except HaulierError as error:
                self._note_problem(folder, os.fspath(submission.path), str(error))
        return taken

    # -- watched -----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Scan those watched folders whose time has come."""
        if not self.config.upload.auto_upload or not self.config.watch.paths or not self.config.upload.backend:
            return
        for result in self._the_watcher().step(self.clock.monotonic()):
            if result.unreachable is not None:
                log.warning("%s %s", result.folder, result.unreachable)
                continue
            self._remember(result)
            self._take_new(result)

    def watch_once(self) -> list[ScanResult]:
        """Scan every watched folder now, once, and queue what is whole."""
        results = [self._scan(folder, self._watch_rules()) for folder in self.config.watch.paths]
        for result in results:
            self._remember(result)
            self._take_new(result)
        return results

    def problems(self) -> Mapping[str, str]:
        """What the latest scans could not take, by path."""
        with self._lock:
            return {path: why for found in self._problems.values() for path, why in found.items()}

    def has_unqueued_media(self, sidecar: str) -> bool:
        """Whether a media file pairs with this sidecar that no task names; True when nobody can tell just now."""
        result = self._scan(Path(sidecar).parent, ScanRules(self.intake.source_id, settle_seconds=0.0))
        if result.unreachable is not None:
            return True
        unclear = {*result.waiting, *result.problems}
        if any(paired == Path(sidecar).name for name, paired in result.belonging.items() if name in unclear):
            return True
        paired_now = [candidate.identity for candidate in result.candidates if candidate.sidecar == sidecar]
        return not all(self.intake.known(paired_now, self._backends))

    def _the_watcher(self) -> Watcher:
        if self._watcher is None:
            from haulier.discovery.watch import Watcher

            self._watcher = Watcher(
                [os.fspath(path) for path in self.config.watch.paths],
                lambda folder, memory: self._scan(folder, self._watch_rules(), memory),
                interval=self.config.watch.interval_seconds,
            )
        return self._watcher

    def _watch_rules(self) -> ScanRules:
        upload = self.config.upload
        return ScanRules(
            self.intake.source_id,
            settle_seconds=self.config.watch.settle_seconds,
            max_age_days=float(upload.max_file_age_days),
            since=None if upload.upload_older_recordings else self._started_at,
        )

    @property
    def _backends(self) -> tuple[str, ...]:
        """Where everything goes that a watched folder holds."""
        return self.config.upload.backend, *self.config.upload.also

    def _take_new(self, result: ScanResult) -> None:
        known = self.intake.known([candidate.identity for candidate in result.candidates], self._backends)
        fresh = tuple(one for one, is_known in zip(result.candidates, known, strict=True) if not is_known)
        for start in range(0, len(fresh), BATCH):
            self._take_batch(result.folder, fresh[start : start + BATCH], self._backends)

    def _remember(self, result: ScanResult) -> None:
        found = {os.path.join(result.folder, name): why for name, why in result.problems.items()}  # noqa: PTH118
        with self._lock:
            before = self._problems.get(result.folder, {})
            self._problems[result.folder] = found
        for path, why in found.items():
            if before.get(path) != why:
                log.warning("%s %s", path, why)

    def _note_problem(self, folder: str, path: str, why: str) -> None:
        with self._lock:
            self._problems.setdefault(folder, {})[path] = why
        log.warning("%s", why)

    # -- decisions ---------------------------------------------------------------------------------------------

    def accept_file(self, path: Path) -> bool | None:
        """Ask plugins whether a file is to be taken. Raises when undecided: asked again at the next scan."""
        return self._ask("accept_file", path=path)  # type: ignore[no-any-return]

    def find_sidecar(self, path: Path, names: frozenset[str]) -> str | None:
        """Ask plugins for a media file's sidecar. Raises when undecided."""
        return self._ask("find_sidecar", path=path, names=names)  # type: ignore[no-any-return]

    def knows_sidecar(self, path: str) -> bool:
        """Whether a task names this sidecar."""
        return bool(self.intake.ledger.journal.read(lambda tx: tx.sidecar_users(path)))

    def _ask(self, hook: str, **question: Any) -> Any:
        decision = self._decide(hook, **question)
        if decision.undecided is not None:
            raise HaulierError(f"a plugin could not decide {hook}: {decision.undecided}")
        return decision.value
