"""What a whole run does: each part a command of its own, in full and in little."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part of the results.

    Attributes:
        name: Of its place in the page.
        commands: Modules of this folder with their arguments.
        quick: The same, with so little work that all parts together take two minutes.
    """

    name: str
    commands: tuple[str, ...]
    quick: tuple[str, ...]


WITHOUT_SLOW = "--only haulier --only boto3 --only s5cmd --only rclone --only obstore"

PARTS = (
    Part(
        "s3-sink",
        (
            "s3 --server sink --workload 1x1GiB --workload 8x128MiB",
            "s3 --server sink --workload 2000x64KiB --rounds 2",
            f"s3 --server sink --workload 20000x4KiB --rounds 1 {WITHOUT_SLOW}",
        ),
        ("s3 --server sink --rounds 1 --workload 1x64MiB --workload 100x64KiB",),
    ),
    Part(
        "s3-rclone",
        ("s3 --server rclone --workload 1x1GiB --rounds 2", "s3 --server rclone --workload 2000x64KiB --rounds 1"),
        ("s3 --server rclone --rounds 1 --workload 50x64KiB",),
    ),
    Part(
        "azure",
        (
            "azure --server sink --workload 1x1GiB --workload 2000x64KiB --rounds 2",
            "azure --server azurite --workload 1x256MiB --workload 500x64KiB --rounds 1",
        ),
        (
            "azure --server sink --workload 1x64MiB --workload 50x64KiB --rounds 1",
            "azure --server azurite --workload 50x64KiB --rounds 1",
        ),
    ),
    Part(
        "rest",
        ("rest --workload 1x1GiB", "rest --workload 2000x64KiB --rounds 2"),
        ("rest --workload 1x64MiB --workload 50x64KiB --rounds 1",),
    ),
    Part(
        "folder",
        ("folder --workload 1x1GiB", "folder --workload 20000x4KiB --rounds 1"),
        ("folder --workload 1x64MiB --workload 100x4KiB --rounds 1",),
    ),
    Part("journal", ("journal",), ("journal --tasks 10000",)),
    Part("scan", ("scanning",), ("scanning --workload 2000x16",)),
    Part("continue", ("continuing --rounds 2",), ("continuing --workload 1x128MiB --rounds 1",)),
    Part("digests", ("hashing",), ("hashing --workload 1x64MiB --rounds 1",)),
    Part("start", ("starting --seconds 30",), ("starting --rounds 3 --seconds 3 --settle 3",)),
)
