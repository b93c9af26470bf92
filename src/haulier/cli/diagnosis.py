"""What ``haulier doctor`` looks at: each check gives findings, none stops the others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from haulier.cli.exit_codes import ExitCode, exit_code_of
from haulier.cli.rebuilds import CONFIRM, disposal_line
from haulier.cli.text import age_text, size_text
from haulier.errors import HaulierError, PluginError
from haulier.models import Proof

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.backends.api import Backend
    from haulier.config.models import Config
    from haulier.hooks.loading import PluginHost
    from haulier.manager import UploadManager

__all__ = [
    "Finding",
    "Grade",
    "check_backend",
    "check_config",
    "check_plugins",
    "check_state",
    "check_watched",
    "failed",
]

SCARCE_BYTES = 100 * 1024 * 1024
BUILD_TIME = 1_735_689_600.0  # 2025-01-01: this program was not there before
CLOCK_SLACK = 300.0  # seconds
PROBE_SECONDS = 10.0
_GRAVE_RIGHTS = frozenset({"reach", "write"})


class Grade(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at.
        grade: How good it is.
        what: What was found.
        hint: What to do about it.
        code: The exit code it stands for.
    """

    check: str
    grade: Grade
    what: str
    hint: str = ""
    code: ExitCode = ExitCode.OK

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {"check": self.check, "grade": str(self.grade), "what": self.what, "hint": self.hint}


def failed(check: str, error: HaulierError) -> Finding:
    """The finding that an error stands for."""
    code = exit_code_of(error)
    code = ExitCode.FAILED if code is ExitCode.TRY_LATER else code
    what = f"{error.where}: {error.what}" if error.where else error.what
    return Finding(check, Grade.FAILED, what, error.advice, code)


def check_config(config: Config) -> Iterator[Finding]:
    """What the configuration says, and what it does not."""
    for warning in config.warnings:
        yield Finding("configuration", Grade.WARNING, warning, "`haulier config show --origin` tells more")
    if not config.backends:
        place = str(config.path) if config.path else "there is no configuration file"
        what = f"no backend is configured ({place})"
        yield Finding("configuration", Grade.FAILED, what, "Begin with `haulier init`", ExitCode.CONFIGURATION)
        return
    if not config.upload.backend:
        hint = "Set upload.backend, or name one with --backend each time"
        yield Finding("configuration", Grade.WARNING, "several backends, and none chosen", hint)
    if not config.upload.enabled:
        yield Finding("configuration", Grade.WARNING, "uploading is switched off", "Set upload.enabled to true")
    yield Finding("configuration", Grade.OK, str(config.path) if config.path else "defaults and environment")


def check_plugins(host: PluginHost) -> Iterator[Finding]:
    """Which plugins were loaded and which were not."""
    for record in host.records():
        name = f"plugin {record.name}"
        if record.error:
            yield Finding(name, Grade.FAILED, record.error, "Mend, upgrade or uninstall it", ExitCode.FAILED)
        else:
            brings = f"brings {', '.join(record.backends)}" if record.backends else "loaded"
            origin = f"{record.distribution} {record.version}".strip()
            yield Finding(name, Grade.OK, f"{brings} ({origin})" if origin else brings)


def check_state(manager: UploadManager) -> Iterator[Finding]:
    """State folder, journal and clock."""
    from haulier.service.rebuilt import rebuilt

    try:
        service = manager.service
        folder = manager.config.upload.state_dir
        free = service.ports.files.free_bytes(folder)
        findings = service.journal.check()
        newest = manager.tasks(limit=1, newest_first=True)
        disposal = disposal_line(service.journal.read(rebuilt))
    except HaulierError as error:
        yield failed("state folder", error)
        return
    except OSError as error:
        yield Finding("state folder", Grade.FAILED, str(error), "Name another with --state-dir", ExitCode.CONFIGURATION)
        return
    grade = Grade.WARNING if free < SCARCE_BYTES else Grade.OK
    hint = "Free space: the journal must grow" if grade is Grade.WARNING else ""
    yield Finding("state folder", grade, f"{folder}: writable, local, {size_text(free)} free", hint)
    for found in findings:
        hint = "Stop the agent, then `haulier journal rebuild`"
        yield Finding("journal", Grade.FAILED, found, hint, ExitCode.CONFIGURATION)
    if not findings:
        yield Finding("journal", Grade.OK, "sound")
    if disposal:
        yield Finding("disposal", Grade.WARNING, disposal, CONFIRM)
    yield _clock(service.ports.clock.now(), newest[0].created_at if newest else 0.0)


def _clock(now: float, newest: float) -> Finding:
    hint = "Set the clock: signatures, retries and file ages depend on it"
    if now < BUILD_TIME:
        return Finding("clock", Grade.FAILED, "it is before 2025 on this machine", hint, ExitCode.FAILED)
    if newest > now + CLOCK_SLACK:
        ahead = age_text(now, newest).removesuffix(" ago")
        return Finding("clock", Grade.WARNING, f"the newest task is {ahead} ahead: the clock was set back", hint)
    return Finding("clock", Grade.OK, "plausible")


def check_watched(config: Config) -> Iterator[Finding]:
    """Whether watched folders can be listed, and written where sources are to be deleted."""
    for path in config.watch.paths:
        name = f"watched {path}"
        if not os.access(path, os.R_OK | os.X_OK) or not path.is_dir():
            hint = "Make the folder or correct watch.paths; until then it is looked for again and again"
            yield Finding(name, Grade.WARNING, "cannot be listed", hint)
        elif config.upload.delete_after_upload and not os.access(path, os.W_OK):
            hint = "Give this user the right to write there, or set upload.delete_after_upload to false"
            yield Finding(name, Grade.WARNING, "sources cannot be deleted there", hint)
        else:
            yield Finding(name, Grade.OK, "can be listed")


def check_backend(manager: UploadManager, name: str) -> Iterator[Finding]:
    """Whether a backend can be made, answers, and allows what is needed; how well it proves arrival."""
    check = f"backend {name}"
    try:
        backend = manager.service.destinations.get(name)
        yield from _rights(check, backend)
        yield from _proof(check, backend, manager.config)
    except HaulierError as error:
        yield failed(check, error)
    except Exception as error:  # noqa: BLE001  a plugin may raise anything
        yield failed(check, PluginError(f"the backend raised {error!r}"))


def _rights(check: str, backend: Backend) -> Iterator[Finding]:
    from haulier.backends.api import Answer
    from haulier.transfer.context import RunContext

    context = RunContext(silence=PROBE_SECONDS)
    backend.probe(context)
    yield Finding(check, Grade.OK, f"answers ({backend.type})")
    report = backend.check(context)
    said = ", ".join(f"{right} {answer}" for right, answer in report.rights.items())
    refused = [right for right, answer in report.rights.items() if answer is Answer.NO]
    if not refused:
        yield Finding(check, Grade.OK, f"rights: {said}")
    elif _GRAVE_RIGHTS & set(refused):
        hint = f"Give this user the right to {', '.join(refused)}"
        yield Finding(check, Grade.FAILED, f"rights: {said}", hint, ExitCode.FAILED)
    else:
        yield Finding(check, Grade.WARNING, f"rights: {said}", "Uploads need none of those that were refused")
    for remark in report.remarks:
        yield Finding(check, Grade.WARNING if refused else Grade.OK, remark)


def _proof(check: str, backend: Backend, config: Config) -> Iterator[Finding]:
    offered = backend.abilities.proof
    if not config.upload.delete_after_upload:
        return
    wanted = Proof(config.upload.delete_proof) if config.upload.delete_proof else offered
    if wanted.strength > offered.strength:
        hint = "Set upload.delete_proof to what it offers, or upload.delete_after_upload to false"
        what = f"proves only {offered}, delete_proof asks for {wanted}: sources are kept"
        yield Finding(check, Grade.WARNING, what, hint)
    elif wanted is not Proof.CONTENT:
        hint = "Set upload.delete_proof to content to keep sources whose content was not proven"
        yield Finding(check, Grade.WARNING, f"sources are deleted on the proof {wanted} alone", hint)
