"""The error tree: each class says what its caller should do.

::

    HaulierError
    ├── ConfigError                  correct the configuration            (exit 4)
    │   └── UnknownBackendError      name a configured backend, or install its plugin
    ├── PluginError                  mend or remove the plugin
    ├── InputError                   correct what was asked for           (exit 2 or 1)
    │   └── TaskNotFoundError
    ├── UnsupportedError             the destination has no such ability
    ├── WaitTimeoutError             ask again later; the task goes on
    ├── JournalError                 the durable record
    │   ├── StateFolderError         choose another state folder          (exit 4)
    │   ├── JournalVersionError      upgrade Haulier                      (exit 4)
    │   ├── JournalDamagedError      restore or rebuild the journal       (exit 4)
    │   ├── JournalUnavailableError  free the disk; nothing new is taken meanwhile
    │   └── LeaseLostError           stop at once: another worker owns the task now
    └── TransferError                what a backend or a source says about one upload
        ├── TransientError           try again later
        │   ├── NetworkError         no answer; ``reached`` tells whether a connection stood
        │   ├── ServerError          the destination failed (5xx, 408)
        │   └── ThrottledError       the destination asks for patience (429, 503 with Retry-After)
        ├── AuthenticationError      suspend the backend until credentials change
        ├── ItemError                this item's own fault; permanent until something changes
        │   ├── PermissionDeniedError, ValidationError, ConflictError, IntegrityError, QuotaError
        ├── SourceChangedError       start over with the new content
        ├── SourceUnavailableError   the source cannot be read now
        ├── SourceUnstableError      the source changed too often
        ├── SessionLostError         open a new upload session
        ├── OffsetError              continue where the destination says it stands
        ├── OutcomeUnknownError      a person must look; the source is kept
        └── CancelledError           somebody cancelled the task
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haulier.backends.api import Held

__all__ = [
    "AuthenticationError",
    "CancelledError",
    "ConfigError",
    "ConflictError",
    "HaulierError",
    "InputError",
    "IntegrityError",
    "ItemError",
    "JournalDamagedError",
    "JournalError",
    "JournalUnavailableError",
    "JournalVersionError",
    "LeaseLostError",
    "NetworkError",
    "OffsetError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PluginError",
    "QuotaError",
    "ServerError",
    "SessionLostError",
    "SourceChangedError",
    "SourceUnavailableError",
    "SourceUnstableError",
    "StateFolderError",
    "TaskNotFoundError",
    "ThrottledError",
    "TransferError",
    "TransientError",
    "UnknownBackendError",
    "UnsupportedError",
    "ValidationError",
    "WaitTimeoutError",
    "error_classes",
    "error_from_code",
]


class HaulierError(Exception):
    """Base of everything Haulier raises on purpose.

    Attributes:
        code: Stable identifier, used in JSON, in the journal and on the error page of the documentation.
        what: What happened, in one sentence without a full stop. Never holds a secret.
        where: The file, setting, URL (without query or credentials) or task concerned; may be empty.
        advice: What the reader can do about it.
    """

    code: ClassVar[str] = "error"
    default_advice: ClassVar[str] = ""

    def __init__(self, what: str, *, where: str = "", advice: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.advice = self.default_advice if advice is None else advice

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        stop = "" if text.endswith(("?", "!", ".")) else "."
        return f"{text}{stop} {self.advice}" if self.advice else text


class ConfigError(HaulierError):
    """A setting is missing, misspelt or of the wrong kind."""

    code = "config"
    default_advice = "Correct the configuration; `haulier config show --origin` tells where each value comes from"


class UnknownBackendError(ConfigError):
    """A backend name or backend type that nobody configured or registered."""

    code = "unknown_backend"
    default_advice = "Name one of the configured backends, or install the plugin that brings it"


class PluginError(HaulierError):
    """A plugin cannot be loaded or broke its contract."""

    code = "plugin"
    default_advice = "`haulier plugins` lists what was loaded and why something was not"


class InputError(HaulierError):
    """What the caller asked for cannot be done: a missing file, a folder instead of a file."""

    code = "input"


class TaskNotFoundError(InputError):
    """No task has this id."""

    code = "task_not_found"
    default_advice = "`haulier status` lists the tasks"


class UnsupportedError(HaulierError):
    """The destination has no such ability."""

    code = "unsupported"


class WaitTimeoutError(HaulierError, TimeoutError):
    """The task did not end within the time given to ``wait``. It goes on."""

    code = "wait_timeout"
    default_advice = "The task is in the journal and goes on; ask again later"


class JournalError(HaulierError):
    """The durable record cannot be used."""

    code = "journal"


class StateFolderError(JournalError):
    """The state folder cannot hold a journal: not writable, a network share, a synchronised folder."""

    code = "state_folder"
    default_advice = "Name a writable local folder with --state-dir or upload.state_dir"


class JournalVersionError(JournalError):
    """The journal was written by a newer Haulier."""

    code = "journal_version"
    default_advice = "Upgrade Haulier; the journal was left as it is"


class JournalDamagedError(JournalError):
    """The journal's bytes are not a sound database."""

    code = "journal_damaged"
    default_advice = "Keep a copy of the state folder, then restore a backup; `haulier journal check` tells more"


class JournalUnavailableError(JournalError):
    """The journal cannot be written just now, for example because the disk is full."""

    code = "journal_unavailable"
    default_advice = "Free space on the disk that holds the state folder; nothing new is started meanwhile"


class LeaseLostError(JournalError):
    """Another worker owns the task now; this one must write and abort nothing."""

    code = "lease_lost"


class TransferError(HaulierError):
    """What a backend or a source has to say about one upload."""

    code = "transfer"


class TransientError(TransferError):
    """May go away by itself: try again later."""

    code = "transient"
    default_advice = "It is tried again by itself"


class NetworkError(TransientError):
    """No usable answer came over the network.

    Args:
        what: What happened.
        where: Which origin.
        advice: What to do.
        reached: Whether a connection had been made. False (cannot connect, DNS, TLS) suspends the whole backend and
            charges nobody; True (reset, silence) costs the task an attempt.
    """

    code = "network"

    def __init__(self, what: str, *, where: str = "", advice: str | None = None, reached: bool = True) -> None:
        super().__init__(what, where=where, advice=advice)
        self.reached = reached


class ServerError(TransientError):
    """The destination failed on its own side (HTTP 408, 425, 5xx)."""

    code = "server"


class ThrottledError(TransientError):
    """The destination asks to come back later.

    Args:
        what: What happened.
        where: Which origin.
        advice: What to do.
        retry_after: Seconds to wait as the destination said; None when it did not.
    """

    code = "throttled"

    def __init__(
        self, what: str, *, where: str = "", advice: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(what, where=where, advice=advice)
        self.retry_after = retry_after


class AuthenticationError(TransferError):
    """The destination does not accept the credentials (HTTP 401). Suspends the whole backend."""

    code = "authentication"
    default_advice = "Correct the credentials in the configuration, then `haulier resume --all`"


class ItemError(TransferError):
    """The item's own fault: retrying changes nothing until something else changes."""

    code = "item"
    default_advice = "Mend the cause, then `haulier retry`"


class PermissionDeniedError(ItemError):
    """The credentials are known but may not do this (HTTP 403)."""

    code = "permission_denied"


class ValidationError(ItemError):
    """The destination, or a check of ours, refuses this item as malformed (most HTTP 4xx)."""

    code = "validation"


class ConflictError(ItemError):
    """Something else already lies under the same key; it was not overwritten."""

    code = "conflict"
    default_advice = "Compare the stored object with the source; nothing was overwritten"


class IntegrityError(ItemError):
    """What the destination holds is not what was read here."""

    code = "integrity"


class QuotaError(ItemError):
    """The destination is full or the item is too large for it (HTTP 413, 507)."""

    code = "quota"


class SourceChangedError(TransferError):
    """The source is no longer the file that was submitted: the upload starts over with its new content."""

    code = "source_changed"


class SourceUnavailableError(TransferError):
    """The source is missing or cannot be read.

    Args:
        what: What happened.
        where: The file.
        advice: What to do.
        passing: Whether it may come back by itself: its whole folder is away, or another program holds it open.
    """

    code = "source_unavailable"
    default_advice = "Bring the file back or make it readable, then `haulier retry`; or `haulier cancel`"

    def __init__(self, what: str, *, where: str = "", advice: str | None = None, passing: bool = False) -> None:
        super().__init__(what, where=where, advice=advice)
        self.passing = passing


class SourceUnstableError(TransferError):
    """The source changed during every one of many tries."""

    code = "source_unstable"
    default_advice = "Let the program that writes the file finish, then `haulier retry`"


class SessionLostError(TransferError):
    """The destination no longer knows the upload session: open a new one."""

    code = "session_lost"


class OffsetError(TransferError):
    """The part does not fit where the destination stands.

    Args:
        what: What happened.
        where: Which origin.
        advice: What to do.
        held: What the destination says it holds; None when it did not say.
    """

    code = "offset"

    def __init__(self, what: str, *, where: str = "", advice: str | None = None, held: Held | None = None) -> None:
        super().__init__(what, where=where, advice=advice)
        self.held = held


class OutcomeUnknownError(TransferError):
    """Whether the object arrived can be neither shown nor ruled out: the source is kept, nothing repeated blindly."""

    code = "outcome_unknown"
    default_advice = (
        "Look at the destination (`haulier ls`), then `haulier retry TASK` if it is not there, or cancel it"
    )


class CancelledError(TransferError):
    """The task was cancelled."""

    code = "cancelled"
    default_advice = ""


def _walk(cls: type[HaulierError]) -> Iterator[type[HaulierError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _walk(child)


def error_classes() -> Mapping[str, type[HaulierError]]:
    """Every error class of the tree by its code."""
    return {cls.code: cls for cls in _walk(HaulierError)}


def error_from_code(code: str, what: str, *, where: str = "", advice: str | None = None) -> HaulierError:
    """Make the error that a journalled record stands for; an unknown code gives the base class."""
    return error_classes().get(code, HaulierError)(what, where=where, advice=advice)
