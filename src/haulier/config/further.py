"""The further backends of ``upload.also``: each one configured, named once, and another than ``upload.backend``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.config.problems import nearest
from haulier.errors import ConfigError, UnknownBackendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.config.models import BackendConfig, UploadConfig
    from haulier.config.overlay import Given, Layer
    from haulier.config.problems import Problems

__all__ = ["settled_also"]

_ALSO, _BACKEND = ("upload", "also"), ("upload", "backend")


def settled_also(
    upload: UploadConfig, merged: Layer, backends: Mapping[str, BackendConfig], problems: Problems
) -> tuple[str, ...]:
    """Check ``upload.also``, whose ``backend`` is settled.

    A name that equals the backend is refused, unless another layer chose that backend (``--backend archive``): then it
    is left out.

    Returns:
        The names that hold.

    Raises:
        ConfigError: One is unknown, there twice or the backend itself, or there is no backend; and ``problems`` is
            strict.
    """
    given = merged.get(_ALSO)
    if not upload.also or given is None:
        return ()
    if not upload.backend:
        error = ConfigError(
            "names further backends, but there is no first one",
            where=given.where,
            advice="Set upload.backend to the one that comes first",
        )
        problems.refuse(error, "it is ignored")
        return ()
    held: list[str] = []
    for name in upload.also:
        if name == upload.backend and _from_elsewhere(merged.get(_BACKEND), given):
            continue
        refusal = _refusal(name, upload.backend, held, backends, given)
        if refusal is None:
            held.append(name)
        else:
            problems.refuse(refusal, f"{name!r} is left out")
    return tuple(held)


def _from_elsewhere(backend: Given | None, also: Given) -> bool:
    return backend is not None and backend.origin != also.origin


def _refusal(
    name: str, main: str, held: list[str], backends: Mapping[str, BackendConfig], given: Given
) -> ConfigError | None:
    if name == main:
        what, advice = f"{name!r} is upload.backend itself", "Name further backends only: every file goes there anyway"
        return ConfigError(what, where=given.where, advice=advice)
    if name in held:
        return ConfigError(f"{name!r} is named twice", where=given.where, advice="Name each backend once")
    if name in backends:
        return None
    guess = nearest(name, backends)
    hint = f"; did you mean {guess!r}?" if guess else ""
    listing = f"Configured: {', '.join(sorted(backends))}"
    return UnknownBackendError(f"no backend is called {name!r}{hint}", where=given.where, advice=listing)
