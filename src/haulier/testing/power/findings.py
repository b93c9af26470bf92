"""What can be wrong after a power cut, and the figures of many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum

__all__ = ["Figures", "Finding", "Kind"]


class Kind(StrEnum):
    """What is wrong."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONGLY_REPORTED = "wrongly reported"
    DELETED_WITHOUT_PROOF = "deleted without proof"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one image."""

    kind: Kind
    text: str
    case: str = ""

    def __str__(self) -> str:
        return f"{self.case} {self.kind}: {self.text}"


@dataclass
class Figures:
    """The table's row.

    Attributes:
        points: Cuts.
        images: Different disks that were looked at.
        continued: Those on which all uploads were brought to their end.
        seconds: Time it took.
        findings: What was wrong.
        false_alarms: Images whose journal a look before opening calls damaged, by its reason.
    """

    points: int = 0
    images: int = 0
    continued: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    false_alarms: Counter[str] = field(default_factory=Counter)

    def add(self, found: list[Finding]) -> None:
        """One more image."""
        self.images += 1
        self.findings += found

    def merge(self, other: Figures, prefix: str = "") -> None:
        """Add the figures of other cuts; ``prefix`` completes the names of their cases."""
        self.points += other.points
        self.images += other.images
        self.continued += other.continued
        self.seconds += other.seconds
        self.findings += [replace(finding, case=prefix + finding.case) for finding in other.findings]
        self.false_alarms += other.false_alarms

    def count(self, kind: Kind) -> int:
        """Images with a finding of a kind."""
        return len({finding.case for finding in self.findings if finding.kind is kind})

    @property
    def table(self) -> dict[str, int]:
        """Cut points, images, and how many images were wrong in which way."""
        counted = {kind.replace(" ", "_"): self.count(kind) for kind in Kind}
        return {"points": self.points, "images": self.images, "continued": self.continued, **counted}
