"""What a server's refusals, resets and silences become; only destinations that speak HTTP are asked."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from haulier.backends.api import CommitMode, Outcome, ResumeMode, Settled
from haulier.errors import (
    AuthenticationError,
    ConflictError,
    HaulierError,
    ItemError,
    NetworkError,
    OffsetError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    SessionLostError,
    ThrottledError,
    TransferError,
    TransientError,
)
from haulier.testing.backend_suite.judging import assert_stored, begin, keep_off, many, need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.testing.backend_suite.drive import Drive
    from haulier.testing.backend_suite.world import World

__all__ = ["ErrorCases"]

PATIENCE = "7"
OPERATIONS = ("probe", "open", "held", "send", "commit", "settle", "stat")


@dataclass(frozen=True)
class _Expected:
    """What an answer means: the errors that may be raised, and for some operations others."""

    status: int
    kinds: tuple[type[HaulierError], ...]
    headers: tuple[tuple[str, str], ...] = ()
    by_operation: Mapping[str, tuple[type[HaulierError], ...]] | None = None

    def of(self, operation: str) -> tuple[type[HaulierError], ...]:
        return (self.by_operation or {}).get(operation, self.kinds)


_TAKEN = (ConflictError, OffsetError, SessionLostError, TransientError, ItemError)
_CASES = {
    "401": _Expected(401, (AuthenticationError,)),
    "403": _Expected(403, (PermissionDeniedError,)),
    "404": _Expected(
        404,
        (TransferError,),
        by_operation=dict.fromkeys(("held", "send", "commit"), (SessionLostError, ItemError)),
    ),
    "408": _Expected(408, (ServerError, NetworkError)),
    "409": _Expected(409, _TAKEN),
    "412": _Expected(412, _TAKEN),
    "413": _Expected(413, (QuotaError,)),
    "429 with Retry-After": _Expected(429, (ThrottledError,), (("Retry-After", PATIENCE),)),
    "429": _Expected(429, (ThrottledError,)),
    "500": _Expected(500, (ServerError,)),
    "503": _Expected(503, (ServerError, ThrottledError)),
    "503 with Retry-After": _Expected(503, (ThrottledError,), (("Retry-After", PATIENCE),)),
}


class ErrorCases:
    """Each becomes the error whose consequence fits, at once, and the upload goes on when it is over."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("status", list(_CASES))
    def test_a_status_becomes_the_error_whose_consequence_fits(self, world: World, status: str, operation: str) -> None:
        """In every operation that asks the server."""
        expected, faults = _CASES[status], world.faults
        drive = _ready(world, operation)
        faults.answer_with(expected.status, dict(expected.headers))
        error = _error_of(drive, operation, is_lost=expected.status == 404)
        taken = faults.taken
        faults.clear()
        if error is not None:
            assert isinstance(error, expected.of(operation)), f"{status} in {operation} became {error!r}"
            if isinstance(error, ThrottledError) and expected.headers:
                assert error.retry_after == float(PATIENCE)
            _show(world, drive, error)
        if expected.status not in {404, 409, 412}:
            assert taken <= 1 or error is None, f"{taken} requests: what failed was tried again"
        _goes_on(world, drive)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_a_connection_that_is_reset(self, world: World, operation: str) -> None:
        """In the middle of a body, where there is one: the network's fault, and somebody had been reached."""
        faults = world.faults
        drive = _ready(world, operation)
        faults.reset()
        error = _error_of(drive, operation)
        taken = faults.taken
        faults.clear()
        assert isinstance(error, NetworkError), error
        assert error.reached, "a connection stood: this costs an attempt"
        assert taken == 1, f"{taken} requests: what failed was tried again"
        _show(world, drive, error)
        _goes_on(world, drive)

    @pytest.mark.parametrize("operation", ["open", "send", "commit", "stat"])
    def test_silence(self, world: World, operation: str) -> None:
        """Given up after the context's limit, and not asked again."""
        faults = world.faults
        drive = _ready(world, operation)
        drive.context.silence = drive.context.commit_timeout = 0.4
        faults.fall_silent()
        error = _error_of(drive, operation)
        taken = faults.taken
        faults.clear()
        assert isinstance(error, NetworkError), error
        assert error.reached, "a connection stood: this costs an attempt"
        assert taken == 1, f"{taken} requests: what failed was tried again"
        drive.context.silence = drive.context.commit_timeout = 30.0
        _goes_on(world, drive)

    def test_an_abort_of_what_the_server_does_not_know_is_fine(self, world: World) -> None:
        """Not found is what an abort wants."""
        faults = world.faults
        drive = _ready(world, "send")
        faults.answer_with(404)
        drive.abort()
        faults.clear()
        _goes_on(world, drive)

    def test_absence_needs_an_answer(self, world: World) -> None:
        """An outage is no absence: nothing is sent again because a server failed."""
        faults = world.faults
        drive = _ready(world, "stat")
        for status in (401, 403, 429, 500, 502, 503):
            faults.answer_with(status)
            with pytest.raises(HaulierError):
                drive.backend.stat("2026/11/clip.mp4", drive.context)
        faults.clear()


def _ready(world: World, operation: str) -> Drive:
    """An upload that stands right before an operation."""
    drive = begin(world, many(world))
    if operation in {"probe", "open", "stat"}:
        return drive
    drive.open()
    if operation == "held":
        need(drive.abilities.resume is not ResumeMode.NONE, "it is not asked what it holds")
        return drive.send_some(1)
    if operation == "send":
        need(any(not part.last for part in drive.missing), "the only part commits")
        return drive
    return drive.send_some()


def _error_of(drive: Drive, operation: str, *, is_lost: bool = False) -> HaulierError | None:
    """What an operation raises; None where an answer without an error is one as well."""
    calls: dict[str, Any] = {
        "probe": lambda: drive.backend.probe(drive.context),
        "open": lambda: drive.checked.open(drive.upload),
        "held": lambda: drive.checked.held(drive.upload, drive.the_token),
        "send": lambda: drive.checked.send(
            drive.upload, drive.the_token, drive.missing[0], drive.body(drive.missing[0])
        ),
        "commit": drive.commit,
        "settle": lambda: drive.checked.settle(drive.upload, drive.token),
        "stat": lambda: drive.backend.stat("2026/11/clip.mp4", drive.context),
    }
    try:
        answer = calls[operation]()
    except HaulierError as error:
        return error
    if isinstance(answer, Settled):
        assert answer.outcome is Outcome.UNKNOWN or (is_lost and answer.outcome is Outcome.ABSENT), answer
        return None
    assert is_lost, f"{operation} did as if nothing had happened"
    assert operation != "commit", "not found is no commit"
    return None


def _show(world: World, drive: Drive, error: HaulierError) -> None:
    """An error's texts hold no secret."""
    shown = f"{error} {error!r} {error.what} {error.where} {error.advice}"
    keep_off(world, shown)
    secrets = [str(value) for value in (drive.token.secret.values() if drive.token else ())]
    assert not [secret for secret in secrets if len(secret) > 3 and secret in shown], "a secret is shown"


def _goes_on(world: World, drive: Drive) -> None:
    """When the server is well again the same upload ends with one object."""
    if drive.token is None:
        drive.open()
    elif drive.resumable:
        later = drive.copy(world.backend())
        drive = later.ask_held()
    if drive.abilities.commit is CommitMode.EXPLICIT or not drive.stored:
        drive.finish()
    assert_stored(world, drive)
