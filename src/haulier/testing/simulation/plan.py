"""What goes wrong in one simulation: a list of incidents made of a seed, that can be written down, cut and replayed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

__all__ = ["Incident", "Plan", "make_plan"]

FILES = 5
SIZES = (0, 1, 99, 100, 101, 250, 600)
METHODS = ("open", "held", "send", "send", "send", "commit", "commit", "settle", "abort", "probe")
ERRORS = ("reset", "refused", "server", "throttled", "expired", "forbidden", "defect")
MOODS = ("unreachable", "failing", "expired", "full", "throttling", "silent")
WEIGHTS = {
    "write": 10,
    "submit": 6,
    "kill": 5,
    "fail": 12,
    "lose_answer": 8,
    "keep_some": 3,
    "forget": 3,
    "wrong_digest": 2,
    "mood": 5,
    "poison": 2,
    "double": 2,
    "replace": 3,
    "truncate": 2,
    "vanish": 2,
    "touch": 2,
    "edit_during": 4,
    "folder_away": 2,
    "unreadable": 2,
    "in_use": 2,
    "journal_full": 2,
    "clock": 4,
    "operate": 5,
    "close": 2,
    "steal": 2,
    "sidecar": 4,
    "occupy": 1,
    "rot": 3,
    "fall_short": 2,
}


@dataclass(frozen=True)
class Incident:
    """Something that happens ``after`` so many further steps."""

    after: int
    kind: str
    detail: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"+{self.after} {self.kind}{self.detail}"


@dataclass(frozen=True)
class Plan:
    """One simulation.

    Attributes:
        seed: Also decides who runs when.
        processes: How many agents share the journal.
        modes: Abilities of each destination: parts, resume, commit.
        settles: Whether each destination can say what became of a lost commit.
        delete: Whether sources are to go.
        durable: Whether the journal is the one in a file.
        incidents: What happens.
    """

    seed: int
    processes: int
    modes: tuple[int, ...]
    settles: tuple[bool, ...]
    delete: bool
    durable: bool
    incidents: tuple[Incident, ...]


def make_plan(seed: int) -> Plan:
    """The simulation of a seed."""
    chance = Random(f"plan {seed}")
    count = chance.choice([8, 15, 30])
    incidents = [Incident(chance.randrange(3), "write", (number, _size(chance))) for number in range(2)]
    incidents.insert(0, Incident(0, "sidecar", (0,)))
    incidents += [_incident(chance) for _ in range(count)]
    return Plan(
        seed,
        processes=chance.choice([1, 2, 2]),
        modes=(chance.randrange(5), chance.randrange(5)),
        settles=(chance.random() < 0.9, chance.random() < 0.9),
        delete=chance.random() < 0.5,
        durable=chance.random() < 0.2,
        incidents=tuple(incidents),
    )


def _size(chance: Random) -> int:
    return chance.choice(SIZES)


def _incident(chance: Random) -> Incident:
    kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    gap = chance.choice([0, 1, 3, 10, 30, 100])
    return Incident(gap, kind, _detail(kind, chance))


def _detail(kind: str, chance: Random) -> tuple[Any, ...]:  # noqa: C901, PLR0912  one case per kind
    number, process, place = chance.randrange(FILES), chance.randrange(2), chance.randrange(2)
    seconds = chance.choice([1, 20, 90])
    match kind:
        case "write" | "replace":
            return (number, _size(chance))
        case "submit":
            return (process, number, place, chance.random() < 0.3)
        case "kill" | "close":
            return (process, chance.choice([0, 5, 40]))
        case "fail":
            return (place, chance.choice(METHODS), chance.choice(ERRORS), chance.choice([1, 1, 2, 5]))
        case "lose_answer":
            return (place, chance.choice(METHODS), chance.choice(ERRORS[:3]), chance.choice([1, 1, 2]))
        case "occupy" | "rot":
            return (place, number)
        case "keep_some" | "fall_short":
            return (place, chance.randrange(100))
        case "forget":
            return (place, chance.choice(METHODS[:7]))
        case "wrong_digest":
            return (place, chance.choice(["commit", "settle", "held"]))
        case "mood":
            return (place, chance.choice(MOODS), seconds)
        case "poison" | "double":
            return (place, number, chance.choice(["send", "commit"]))
        case "truncate" | "vanish" | "touch" | "sidecar":
            return (number,)
        case "edit_during":
            return (place, chance.choice(METHODS[:8]), number, _size(chance))
        case "folder_away" | "journal_full":
            return (seconds,)
        case "unreadable" | "in_use":
            return (number, seconds)
        case "clock":
            return (chance.choice([-86_400.0, -3600.0, -10.0, 10.0, 3600.0, 86_400.0]),)
        case "operate":
            return (process, chance.choice(["retry", "cancel", "pause", "resume"]), chance.random() < 0.5)
        case "steal":
            return (process,)
    raise AssertionError(kind)
