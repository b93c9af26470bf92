"""One instance, many threads."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.testing.backend_suite.judging import SIDECAR, assert_stored, begin, many, run_together

if TYPE_CHECKING:
    from haulier.testing.backend_suite.world import World

__all__ = ["ThreadCases"]

_THREADS = 8


class ThreadCases:
    """Several uploads use one backend object at once."""

    def test_eight_threads_upload_through_one_instance(self, world: World) -> None:
        """Each gets its own object, with its own bytes."""
        backend = world.backend()
        drives = [
            begin(
                world,
                many(world, seed=number),
                SIDECAR,
                backend=backend,
                item=f"{number + 1:x}" * 64,
                nonce=f"n{number}",
                keys=(f"2026/{number}.mp4", f"2026/{number}.json"),
            )
            for number in range(_THREADS)
        ]
        raised = run_together(*[drive.run for drive in drives])
        assert raised == [None] * _THREADS
        for drive in drives:
            assert_stored(world, drive)
        assert len(world.visible()) == 2 * _THREADS

    def test_threads_meet_a_fresh_instance_at_once(self, world: World) -> None:
        """What is made at first use is made once, whoever comes first."""
        backend = world.backend()
        context = begin(world, b"").context
        raised = run_together(*[lambda: backend.probe(context)] * _THREADS)
        assert raised == [None] * _THREADS
