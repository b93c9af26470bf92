"""What an operator asks first: how many tasks stand how, and which backends wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.models import BackendStatus, ManagerStatus

if TYPE_CHECKING:
    from haulier.service.parts import Service

__all__ = ["manager_status"]


def manager_status(service: Service, *, running: bool) -> ManagerStatus:
    """A summary; costs the same for any number of tasks.

    Args:
        service: The parts of an open manager.
        running: Whether workers run in this process.
    """
    counts, rows, owed = service.journal.read(
        lambda tx: (tx.counts(), {row.name: row for row in tx.backends()}, tx.abort_counts())
    )
    names = dict.fromkeys((*service.destinations.names, *rows, *owed))
    backends = tuple(
        BackendStatus(
            name,
            service.destinations.type_of(name),
            rows[name].suspended if name in rows else None,
            rows[name].since if name in rows else None,
            rows[name].probe_at if name in rows else None,
            rows[name].error if name in rows else None,
            owed.get(name, 0),
        )
        for name in names
    )
    error = service.upkeep.journal_error
    return ManagerStatus(counts, backends, running, str(error) if error else None, service.problems())
