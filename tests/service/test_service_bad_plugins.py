"""Bad plugins among good ones in one manager: each is told under its name, and the others' uploads go on.

All bad destinations of this module live in one manager, beside a good one: what one of them did is there when the
next one comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from haulier import TaskState, UploadManager
from haulier.backends.api import Held, HeldPart, PartsMode, ResumeMode, Settled, Token
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import (
    CancelledError,
    HaulierError,
    IntegrityError,
    JournalDamagedError,
    JournalUnavailableError,
    LeaseLostError,
    NetworkError,
    PermissionDeniedError,
)
from haulier.service.parts import Pace, Ports

if TYPE_CHECKING:
    from collections.abc import Mapping

OFFSET = {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET}
MOVING = {TaskState.QUEUED, TaskState.UPLOADING, TaskState.RETRYING}
ENDS = ("upload_failed", "upload_completed", "upload_cancelled")
PATIENCE = 30


class Bad(MemoryBackend):
    """A destination whose methods do what a test wants: an act is given the method as it should be."""

    acts: Mapping[str, Any] = {}


def _playing(method):
    proper = getattr(MemoryBackend, method)

    def play(self, *args, **given):
        bound = proper.__get__(self)
        act = self.acts.get(method)
        return act(bound, *args, **given) if act else bound(*args, **given)

    return play


for _method in ("complete", "probe", "open", "held", "send", "commit", "settle", "abort", "close"):
    setattr(Bad, _method, _playing(_method))


def raising(error):
    def act(*_, **__):
        raise error

    return act


def answering(answer):
    return lambda *_, **__: answer


def changing(change):
    return lambda proper, *args, **given: change(proper(*args, **given))


class Crowd:
    """A manager with a good destination and bad ones, which behave anew with each test."""

    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count()
        self.good = MemoryBackend("good", MemoryOptions())
        self.bad = Bad("bad", MemoryOptions())
        self.in_order = Bad("in order", MemoryOptions(**OFFSET))
        upload = {"state_dir": str(folder / "state"), "backend": "good", "part_size": 1024, "max_retries": 0}
        self.manager = UploadManager.open(
            {"upload": upload, "backends": {"good": {"type": "memory"}}}, ports=Ports(pace=Pace(upkeep=0.02))
        )
        for backend in (self.good, self.bad, self.in_order):
            self.manager.register(backend)
        self.manager.start()

    def plays(self, backend, **acts):
        backend.store.faults.clear()
        backend.acts = acts
        return backend

    def submit(self, backend):
        path = self.folder / f"{next(self.numbers)}.mp4"
        path.write_bytes(bytes(range(250)) * 20)
        return self.manager.submit(path, backend=backend.name)

    def is_well(self):
        """Whether the good destination gets its file, and the manager thinks well of itself."""
        receipt = self.manager.wait(self.submit(self.good), timeout=PATIENCE)
        return receipt.proof == "content" and self.manager.status().journal_error is None

    def outcome(self, task):
        """The task when it moves no more."""
        with suppress(HaulierError):
            self.manager.wait(task, timeout=PATIENCE)
        return self.manager.task(task.id)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    made = Crowd(tmp_path_factory.mktemp("crowd"))
    yield made
    made.bad.acts = made.in_order.acts = {}
    made.manager.close()


class OfItsOwn(BaseException):
    """What a library of the plugin may raise."""


RAISED = [
    RuntimeError("broken"),
    StopIteration(),
    RecursionError(),
    MemoryError(),
    AssertionError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    OfItsOwn(),
    LeaseLostError("not mine to raise"),
    JournalUnavailableError("not mine to raise"),
    JournalDamagedError("not mine to raise"),
    CancelledError("nobody asked for it"),
]


@pytest.mark.parametrize("error", RAISED, ids=repr)
@pytest.mark.parametrize(
    "method", ["open", "send", *(pytest.param(rare, marks=pytest.mark.full) for rare in ("complete", "commit"))]
)
def test_invariant_6_whatever_a_destination_raises_is_its_own_failure(crowd, method, error):
    backend = crowd.plays(crowd.bad, **{method: raising(error)})
    failed = crowd.outcome(crowd.submit(backend))
    assert failed.state is TaskState.FAILED
    assert (failed.error.code, failed.error.where) == ("plugin", "bad")
    assert crowd.manager.receipt(failed.id) is None
    assert crowd.is_well()


known = changing(lambda session: (replace(session[0], known=True), session[1]))
TROUBLE = {  # what makes the engine call a method that it calls in trouble only, and what becomes of the task
    "held": ({"open": known}, "plugin"),
    "settle": ({"commit": raising(NetworkError("reset"))}, "plugin"),
    "abort": ({"commit": raising(IntegrityError("other bytes arrived"))}, "integrity"),
    "probe": ({"open": raising(PermissionDeniedError("403"))}, ("plugin", "permission_denied")),
}


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), LeaseLostError("no")], ids=repr)
@pytest.mark.parametrize("method", TROUBLE)
def test_invariant_6_so_is_what_it_raises_in_trouble(crowd, method, error):
    acts, code = TROUBLE[method]
    backend = crowd.plays(crowd.bad, **acts, **{method: raising(error)})
    failed = crowd.outcome(crowd.submit(backend))
    assert failed.state is TaskState.FAILED
    assert failed.error.code in code
    assert failed.error.where == "bad"
    assert crowd.is_well()


class Odd:
    """Nothing that JSON, SQL or arithmetic knows."""


def token(**members):
    return changing(lambda session: (replace(session[0], **members), session[1]))


def abilities(**members):
    return changing(lambda session: (session[0], replace(session[1], **members)))


def stored(**members):
    return changing(lambda there: tuple(replace(one, **members) for one in there))


def artifacts(**members):
    return changing(lambda given: replace(given, artifacts=tuple(replace(one, **members) for one in given.artifacts)))


ANSWERS = {
    "complete: nothing": ("complete", answering(None)),
    "complete: without files": ("complete", changing(lambda given: replace(given, artifacts=()))),
    "complete: half a file": ("complete", artifacts(size=2_500)),
    "complete: twice the file": ("complete", artifacts(size=10_000)),
    "complete: another key": ("complete", artifacts(key="elsewhere")),
    "complete: another index": ("complete", artifacts(index=7)),
    "complete: another item": ("complete", changing(lambda given: replace(given, item_id="f" * 64))),
    "open: nothing": ("open", answering(None)),
    "open: a token alone": ("open", answering((Token(),))),
    "open: three": ("open", answering((Token(), None, None))),
    "open: a dict for a token": ("open", changing(lambda session: ({}, session[1]))),
    "open: a token that is no JSON": ("open", token(public={"odd": Odd()})),
    "open: a secret that is no JSON": ("open", token(secret={"odd": {1, 2}})),
    "open: a token of 20 MB": ("open", token(public={"large": "x" * 20_000_000})),
    "open: a token that expires soon": ("open", token(expires_at="soon")),
    "open: no abilities": ("open", changing(lambda session: (session[0], None))),
    "open: unknown abilities": ("open", abilities(parts="sideways")),
    "open: unknown digests": ("open", abilities(part_digests=frozenset({"nosuch"}))),
    "open: wider abilities": ("in order", "open", abilities(parts=PartsMode.PARALLEL, resume=ResumeMode.LIST)),
    "held: nothing": ("held", answering(None)),
    "held: less than nothing": ("held", answering(Held(prefixes={0: -5}))),
    "held: text": ("held", answering(Held(prefixes={0: "all"}))),
    "held: parts of another kind": ("held", answering(Held(parts={0: {1: 1024}}))),
    "held: a part of less than nothing": ("held", answering(Held(parts={0: {1: HeldPart(-1)}}))),
    "send: nothing": ("send", answering(None)),
    "send: less than nothing": ("in order", "send", answering(Held(prefixes={0: -5}))),
    "send: text": ("in order", "send", answering(Held(prefixes={0: "all"}))),
    "commit: nothing": ("commit", answering(None)),
    "commit: words": ("commit", answering(("done",))),
    "commit: one instead of several": ("commit", changing(lambda there: there[0])),
    "commit: less than nothing": ("commit", stored(size=-1)),
    "commit: a size in words": ("commit", stored(size="5000")),
    "commit: no key": ("commit", stored(key=None)),
    "commit: no location": ("commit", stored(location=None)),
    "commit: an odd version": ("commit", stored(version=Odd())),
    "commit: digests of nothing": ("commit", stored(digests={"sha256": None})),
    "commit: digests in bytes": ("commit", stored(digests={"sha256": b"x"})),
    "commit: no digests": ("commit", stored(digests=None)),
    "settle: nothing": ("settle", answering(None)),
    "settle: a word of its own": ("settle", answering(Settled("perhaps"))),
}


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS)
def test_invariant_3_an_answer_that_breaks_the_contract_is_told_and_believed_by_nobody(crowd, case):
    *where, method, act = case
    trouble = {"held": {"open": known}, "settle": {"commit": raising(NetworkError("reset"))}}
    backend = crowd.plays(crowd.in_order if where else crowd.bad, **trouble.get(method, {}), **{method: act})
    failed = crowd.outcome(crowd.submit(backend))
    assert failed.state is TaskState.FAILED
    assert (failed.error.code, failed.error.where) == ("plugin", backend.name)
    assert f"answered {method} with" in failed.error.what
    assert crowd.manager.receipt(failed.id) is None
    assert crowd.is_well()


WRONG_CONTENT = {
    "nothing is stored": answering(()),
    "twice as many": changing(lambda there: (*there, *there)),
    "another size": stored(size=4_999),
    "a digest of another length": stored(digests={"sha256": "abc"}),
    "another item": stored(item_id="f" * 64),
}


@pytest.mark.parametrize("act", WRONG_CONTENT.values(), ids=WRONG_CONTENT)
def test_invariant_3_what_is_not_what_was_sent_is_never_called_completed(crowd, act):
    failed = crowd.outcome(crowd.submit(crowd.plays(crowd.bad, commit=act)))
    assert (failed.state, failed.error.code) == (TaskState.FAILED, "integrity")
    assert failed.error.where
    assert crowd.is_well()


def test_invariant_3_a_destination_that_claims_to_hold_more_than_it_was_sent_gets_all_of_it(crowd):
    held = Held(prefixes={0: 10**9}, parts={0: {number: HeldPart(1024) for number in range(1, 99)}})
    for backend in (crowd.bad, crowd.in_order):
        crowd.plays(backend, send=changing(lambda _: held))
        task = crowd.submit(backend)
        receipt = crowd.manager.wait(task, timeout=PATIENCE)
        assert backend.store.content(receipt.key) == bytes(range(250)) * 20


def test_invariant_4_an_unknown_outcome_said_in_plain_words_is_never_taken_for_absence(crowd):
    acts = {"commit": raising(NetworkError("reset")), "settle": answering(Settled("unknown"))}
    failed = crowd.outcome(crowd.submit(crowd.plays(crowd.bad, **acts)))
    assert failed.error.code == "outcome_unknown"


def test_invariant_3_a_receipt_says_what_was_read_whatever_a_destination_makes_of_its_arguments(crowd):
    def spoil(proper, upload, own_token, held, digests, *rest):
        there = proper(upload, own_token, held, {index: dict(found) for index, found in digests.items()}, *rest)
        for found in digests.values():
            found["sha256"] = "0" * 64
        return tuple(replace(one, digests={}) for one in there)

    receipt = crowd.manager.wait(crowd.submit(crowd.plays(crowd.bad, commit=spoil)), timeout=PATIENCE)
    assert receipt.sha256 == hashlib.sha256(bytes(range(250)) * 20).hexdigest()


# -- hanging -------------------------------------------------------------------------------------------------------

HANGING = {
    **{method: {} for method in ("complete", "open", "send", "commit", "close")},
    **{method: acts for method, (acts, _) in TROUBLE.items()},
}


class Hanging:
    """An act that ends when it is let go, whatever anybody asks of it."""

    def __init__(self):
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, proper, *args, **given):
        self.begun.set()
        self.released.wait()
        return proper(*args, **given)


def test_invariant_6_destinations_that_hang_in_every_method_at_once_hold_up_no_other_and_close_comes_back(tmp_path):
    hanging = {method: Hanging() for method in HANGING}
    away = raising(NetworkError("away", reached=False))
    crowd = Crowd(tmp_path)
    tasks = []
    for method, acts in HANGING.items():
        backend = Bad(method, MemoryOptions())
        backend.acts = {**acts, **({"open": away} if method == "probe" else {}), method: hanging[method]}
        crowd.manager.register(backend)
        if method != "close":
            tasks.append(crowd.submit(backend))
    for method, act in hanging.items():
        assert method == "close" or act.begun.wait(PATIENCE), method
    assert all(crowd.is_well() for _ in range(3))
    crowd.manager.cancel(tasks[0].id)  # is asked for, and does not wait
    closing = threading.Thread(target=lambda: crowd.manager.close(0.2), daemon=True)
    closing.start()
    closing.join(PATIENCE)
    came_back = not closing.is_alive()
    for act in hanging.values():
        act.released.set()
    assert came_back
    with UploadManager.open(
        {"upload": {"state_dir": str(tmp_path / "state")}, "backends": {"good": {"type": "memory"}}}
    ) as later:
        assert len(later.tasks()) == len(tasks) + 3
