"""Puts a manager together: one place that knows all parts and gives each its ports."""

from __future__ import annotations

import logging
import os
import random
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier.clock import Clock, SystemClock
from haulier.errors import ConfigError, JournalError
from haulier.files import Files
from haulier.models import Proof, SuspensionReason
from haulier.service.destinations import Destinations
from haulier.service.disposal import Disposer
from haulier.service.folders import Folders
from haulier.service.holding import enough_proof
from haulier.service.intake import Intake
from haulier.service.operations import Operations
from haulier.service.rebuilt import go_on, rebuilt
from haulier.service.state import Keys, Owner, open_journal, source_id, system_keyring
from haulier.service.upkeep import Upkeep
from haulier.service.workers import Workers
from haulier.threads import SystemThreads, Threads
from haulier.transfer.buffers import BufferPool
from haulier.transfer.engine import UploadEngine
from haulier.transfer.ledger import Ledger
from haulier.transfer.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from haulier.config.models import Config
    from haulier.discovery.scan import ScanResult
    from haulier.events import Event
    from haulier.hooks.loading import PluginHost
    from haulier.hooks.notification import Notifier
    from haulier.journal.api import Journal

__all__ = ["Pace", "Ports", "Service", "open_service", "plugin_host"]

log = logging.getLogger("haulier.manager")

WINDOW = 4  # parts in flight per upload, where a backend takes them in parallel


@dataclass(frozen=True)
class Pace:
    """How often idle threads look again, seconds.

    Attributes:
        upkeep: Between two steps of the upkeep while something is in flight.
        rest: The same while nothing is.
        idle: Longest sleep of the one idle worker of a backend that looks for other processes' submits, which are not
            signalled.
        asleep: Longest sleep of its other idle workers: what happens in this process wakes them.
    """

    upkeep: float = 0.25
    idle: float = 1.0

    @property
    def rest(self) -> float:
        """See the class."""
        return 4 * self.upkeep

    @property
    def asleep(self) -> float:
        """See the class."""
        return 30 * self.idle


@dataclass(frozen=True)
class Ports:
    """Everything a manager needs of the outside world. Tests replace what they want to move.

    Attributes:
        clock: Wall and monotonic time.
        files: The operating system's files.
        random: Uniform in [0, 1); spreads waits.
        nonce: Makes nonces, 32 hexadecimal digits.
        environ: For secrets given by reference.
        threads: Starts threads, and how they wait.
        pace: How often idle threads look again.
        journal: Opens the journal of a state folder.
        wrap: Wraps each named port before it is used, e.g. to count, fail or kill at its calls.
    """

    clock: Clock = field(default_factory=SystemClock)
    files: Files = field(default_factory=Files)
    random: Callable[[], float] = random.random
    nonce: Callable[[], str] = lambda: secrets.token_hex(16)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    threads: Threads = field(default_factory=SystemThreads)
    pace: Pace = field(default_factory=Pace)
    journal: Callable[[Path, Files], Journal] = open_journal
    wrap: Callable[[str, Any], Any] = lambda name, port: port  # noqa: ARG005


def plugin_host(config: Config | None, plugins: Sequence[object]) -> PluginHost:
    """The plugins of a configuration; without one, those that are installed."""
    from haulier.backends import builtin
    from haulier.hooks.loading import PluginHost

    if config is None:
        return PluginHost(plugins=plugins, builtin=(builtin,))
    table = config.plugins
    return PluginHost(
        plugins=plugins,
        files=table.files,
        allow=table.allow,
        deny=table.deny,
        strict=table.strict,
        builtin=(builtin,),
    )


@dataclass
class Service:
    """The parts of an open manager. Thread-safe as its parts are."""

    config: Config
    ports: Ports
    journal: Journal
    host: PluginHost
    notifier: Notifier
    ledger: Ledger
    destinations: Destinations
    intake: Intake
    workers: Workers
    operations: Operations
    folders: Folders
    upkeep: Upkeep
    disposer: Disposer
    owner: Owner

    def look(self, folder: str | os.PathLike[str], *, max_age_days: float | None, settled: bool) -> ScanResult:
        """Scan a folder once."""
        return self.folders.look(folder, max_age_days=max_age_days, settled=settled)

    def chosen_backend(self, name: str | None) -> str:
        """The backend of this name, or the configured default.

        Raises:
            ConfigError: None was named and none is configured.
        """
        chosen = name or self.config.upload.backend
        if chosen:
            return chosen
        if not self.config.backends:
            raise ConfigError(
                "no backend is configured",
                where=str(self.config.path or "no configuration file was found"),
                advice="`haulier init` writes a configuration; --config names another one",
            )
        raise ConfigError(
            f"no backend was chosen (configured: {', '.join(self.config.backends)})",
            where="upload.backend",
            advice="Set upload.backend, or name one with --backend",
        )

    def chosen_backends(self, name: str | None, also: Iterable[str] | None) -> tuple[str, ...]:
        """Where a file goes: to this backend or the configured one, then to the further ones, each once.

        Raises:
            ConfigError: None was named and none is configured, one is unknown, or its options are wrong.
            PluginError: One cannot be made.
        """
        further = [also] if isinstance(also, str) else self.config.upload.also if also is None else also
        names = tuple(dict.fromkeys((self.chosen_backend(name), *further)))
        for each in names:
            self.destinations.get(each)
        return names

    def take_candidates(self, result: ScanResult, backends: Sequence[str]) -> list[tuple[str, bool]]:
        """Queue what a scan found: ids of the tasks, and whether each is new."""
        return self.folders.take(result, backends)

    def problems(self) -> Mapping[str, str]:
        """What the latest scans of watched folders could not take."""
        return self.folders.problems()

    def suspended(self) -> dict[str, SuspensionReason | None]:
        """Why each backend waits."""
        return {row.name: row.suspended for row in self.journal.read(lambda tx: tx.backends())}

    def close(self, timeout: float, *, idle: bool) -> None:
        """Release everything; with workers that did not come back in time the journal is left to them."""
        self.notifier.close(timeout)
        try:
            if idle:
                self.destinations.close(timeout)
                self._give_everything_back()
        finally:
            self.owner.close()

    def _give_everything_back(self) -> None:
        try:
            self.ledger.release_owner(self.owner.id)
        except JournalError as error:  # the next manager sees that this owner is dead
            log.warning("%s", error)
        finally:
            self.journal.close()


def open_service(
    config: Config, plugins: Sequence[object], ports: Ports, tell: Callable[[Sequence[Event]], None]
) -> Service:
    """Open the journal and make everything that works on it.

    Args:
        config: The configuration.
        plugins: Besides the installed ones.
        ports: The outside world.
        tell: Gets the events of each change once it stands. Must not block.

    Raises:
        StateFolderError: The state folder cannot be used.
        JournalError: The journal cannot be used.
    """
    from haulier.hooks.notification import Notifier

    upload = config.upload
    folder = Path(upload.state_dir)
    files, clock, wrap = ports.files, ports.clock, ports.wrap
    journal = ports.journal(folder, files)
    keys = Keys.load(folder, files, system_keyring())
    host = plugin_host(config, plugins)
    notifier = Notifier(host, clock=clock)
    owner = Owner(journal, folder, files, clock, f"{os.getpid()}-{ports.nonce()[-12:]}")

    def publish(told: Sequence[Event]) -> None:
        notifier.publish(told)
        tell(told)

    ledger = wrap(
        "ledger",
        Ledger(
            journal,
            policy=Policy(max_retries=upload.max_retries, random=ports.random),
            clock=clock,
            owner=owner.id,
            chain_key=keys.derive("receipts"),
            new_nonce=ports.nonce,
            publish=publish,
        ),
    )
    destinations = Destinations(
        config.backends,
        find_class=host.backend_class,
        environ=ports.environ,
        base_dir=config.base_dir or Path.cwd(),
        fingerprint_key=keys.derive("options"),
        warn=log.warning,
        wrap=wrap,
        threads=ports.threads,
    )
    engine = UploadEngine(
        ledger=ledger,
        files=wrap("files", files),
        pool=BufferPool(upload.memory_budget, ports.threads),
        part_size=upload.part_size,
        window=WINDOW,
        new_nonce=ports.nonce,
        seal=keys.seal,
        unseal=keys.unseal,
        threads=ports.threads,
    )
    workers = Workers(
        ledger=ledger,
        engine=engine,
        destinations=destinations,
        clock=clock,
        silence=upload.upload_timeout,
        commit_timeout=upload.commit_timeout,
        delete_proof=Proof(upload.delete_proof) if upload.delete_proof else None,
        tell=notifier.publish,
    )
    intake = Intake(
        ledger=ledger,
        files=files,
        clock=clock,
        source_id=source_id(journal, keys),
        key_template=upload.key_template,
        delete_source=upload.delete_after_upload,
        decide=host.decide,
        new_nonce=ports.nonce,
        rebuilt=journal.read(rebuilt),
    )
    folders = Folders(config=config, intake=intake, files=files, clock=clock, decide=host.decide)
    disposer = Disposer(
        ledger=ledger,
        files=wrap("files", files),
        clock=clock,
        sidecar_grace=upload.sidecar_grace,
        has_unqueued_media=folders.has_unqueued_media,
        turn=lambda: files.lock_file(folder / "disposal.lock"),
        is_enough=enough_proof(workers.delete_proof, destinations),
    )
    upkeep = Upkeep(
        ledger=ledger,
        destinations=destinations,
        workers=workers,
        owner=owner,
        disposer=disposer,
        scan=folders.step,
        clock=clock,
        silence=upload.upload_timeout,
        threads=ports.threads,
        recover=lambda: go_on(folders, (upload.backend, *upload.also) if upload.backend else ()),
    )
    operations = Operations(ledger)
    return Service(
        config,
        ports,
        journal,
        host,
        notifier,
        ledger,
        destinations,
        intake,
        workers,
        operations,
        folders,
        upkeep,
        disposer,
        owner,
    )
