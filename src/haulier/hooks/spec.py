"""Every hook, for plugin authors.

A plugin is a module or object with functions named like the ones below and marked ``@haulier.hookimpl``. It is found
through the entry-point group ``haulier``, passed to :class:`haulier.UploadManager`, or named as one file in
``[plugins] files``. An implementation may take fewer arguments than the specification.

Three kinds:

* **Registration** hooks are called once each, when the manager or the command line first needs them, on the calling
  thread; all results are used.
* **Decisions** are asked while files are taken in; the first result that is not None counts. They run under a time
  limit of five seconds; one that fails or is late leaves the item undecided: reported and asked again at the next scan.
* **Notifications** are told after the fact, each listener on its own daemon thread with a bounded queue, in order per
  task. A listener that raises is counted and kept, one that hangs is cut off; the upload never waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

    from haulier import events
    from haulier.backends.api import Backend, PutBackend
    from haulier.models import Identity

__all__ = ["DECISIONS", "EVENT_HOOKS", "PROJECT", "REGISTRATIONS", "HookSpecs", "hookimpl", "hookspec"]

PROJECT = "haulier"
"""Name of the markers and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
"""Marks the specifications below; plugins need it not."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks the functions of a plugin: ``@haulier.hookimpl``."""

REGISTRATIONS = ("register_backends", "register_commands", "register_config_readers")
"""Names of the registration hooks."""

DECISIONS = ("object_key", "find_sidecar", "accept_file", "validate_metadata")
"""Names of the decisions."""

EVENT_HOOKS = (
    "upload_queued",
    "upload_started",
    "upload_progress",
    "upload_retrying",
    "upload_completed",
    "upload_failed",
    "upload_cancelled",
    "backend_suspended",
    "backend_resumed",
)
"""Names of the notifications."""


class HookSpecs:
    """The specifications. ``self`` is not part of an implementation in a module."""

    # -- registration ------------------------------------------------------------------------------------------

    @hookspec
    def register_backends(self) -> list[type[Backend | PutBackend]]:
        """Bring backend types.

        When: once, when a backend is first needed. Thread: the caller's. Results: all; a type that is taken already is
        refused with an error that names both plugins.

        Returns:
            Backend classes. Import their SDK inside their methods: this hook runs at every start.

        Example::

            @haulier.hookimpl
            def register_backends():
                from acme_storage.backend import AcmeBackend

                return [AcmeBackend]
        """
        raise AssertionError

    @hookspec
    def register_commands(self) -> list[click.Command]:
        """Bring commands for the command line.

        When: once, when a command that is not built in is called, or ``--help`` lists them. Thread: the main thread.
        Results: all; a built-in name is refused.

        Returns:
            click commands or groups; heavy imports belong inside their callbacks.

        Example::

            @haulier.hookimpl
            def register_commands():
                return [acme_group]
        """
        raise AssertionError

    @hookspec
    def register_config_readers(self) -> dict[str, Any]:
        """Bring readers for configuration files of another program's shape.

        When: once, when a JSON configuration without an ``upload`` section is read. Thread: the caller's. Results: all,
        asked in order of registration.

        Returns:
            A mapping from the name of the top-level section that marks the file to a callable that takes the whole
            document (a dict) and returns a document of Haulier's own shape and a list of warnings.

        Example::

            @haulier.hookimpl
            def register_config_readers():
                return {"api": read_wats_config}
        """
        raise AssertionError

    # -- decisions ---------------------------------------------------------------------------------------------

    @hookspec(firstresult=True)
    def object_key(self, identity: Identity, name: str, backend: str) -> str | None:
        """Name the object that a media file becomes.

        When: at submit, once in the item's life: the key is journalled and never computed again. Thread: the
        submitter's or the scanner's. Results: first.

        Args:
            identity: What the task is about.
            name: File name.
            backend: Name of the configured backend.

        Returns:
            A relative key with forward slashes, of at most 1000 characters, or None for the configured template.

        Example::

            @haulier.hookimpl
            def object_key(identity, name):
                return f"by-host/{platform.node()}/{identity.item_id[:16]}/{name}"
        """
        raise AssertionError

    @hookspec(firstresult=True)
    def find_sidecar(self, path: Path, names: frozenset[str]) -> str | None:
        """Find the sidecar that belongs to a media file.

        When: for each media file of a scan. Thread: the scanner's. Results: first.

        Args:
            path: The media file.
            names: All file names in its folder.

        Returns:
            A name out of ``names``, ``""`` for "it has none", or None for "I do not know".

        Example::

            @haulier.hookimpl
            def find_sidecar(path, names):
                name = path.stem + ".json"
                return name if name in names else None
        """
        raise AssertionError

    @hookspec(firstresult=True)
    def accept_file(self, path: Path) -> bool | None:
        """Say whether a file of a scanned folder is to be taken at all.

        When: for each file of a scan, before pairing. Thread: the scanner's. Results: first.

        Returns:
            True to take it, False to leave it alone, None for the built-in rules.

        Example::

            @haulier.hookimpl
            def accept_file(path):
                return False if path.name.startswith("draft-") else None
        """
        raise AssertionError

    @hookspec(firstresult=True)
    def validate_metadata(self, path: Path, metadata: Mapping[str, Any], backend: str) -> str | None:
        """Object to a sidecar's or caller's metadata.

        When: at submit, if there is metadata. Thread: the submitter's or the scanner's. Results: first.

        Returns:
            What is wrong with it, or None when nothing is.

        Example::

            @haulier.hookimpl
            def validate_metadata(metadata):
                return None if "case_number" in metadata else "case_number is missing"
        """
        raise AssertionError

    # -- notifications -----------------------------------------------------------------------------------------

    @hookspec
    def upload_queued(self, event: events.UploadQueued) -> None:
        """Tell that a task is on disk.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def upload_queued(event):
                print("queued", event.task, event.filename)
        """

    @hookspec
    def upload_started(self, event: events.UploadStarted) -> None:
        """Tell that a worker took a task; again at each attempt.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def upload_started(event):
                print("attempt", event.attempt, "of", event.task)
        """

    @hookspec
    def upload_progress(self, event: events.UploadProgress) -> None:
        """Tell how far a task is. Coalesced: a slow listener sees fewer of them, never older ones.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def upload_progress(event):
                bar.update(event.task, event.acknowledged, event.total)
        """

    @hookspec
    def upload_retrying(self, event: events.UploadRetrying) -> None:
        """Tell that a try failed and when the next is due.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def upload_retrying(event):
                print(event.error.what, "next try at", event.next_at)
        """

    @hookspec
    def upload_completed(self, event: events.UploadCompleted) -> None:
        """Tell that a task is stored and its receipt on disk.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def upload_completed(event):
                print(event.location, event.sha256, event.proof)
        """

    @hookspec
    def upload_failed(self, event: events.UploadFailed) -> None:
        """Tell that a task failed; its source is kept.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def upload_failed(event):
                pager.alert(event.error.what)
        """

    @hookspec
    def upload_cancelled(self, event: events.UploadCancelled) -> None:
        """Tell that a task was cancelled; its source is kept.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def upload_cancelled(event):
                print("cancelled", event.task)
        """

    @hookspec
    def backend_suspended(self, event: events.BackendSuspended) -> None:
        """Tell that a whole backend waits.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def backend_suspended(event):
                print(event.backend, "waits:", event.reason)
        """

    @hookspec
    def backend_resumed(self, event: events.BackendResumed) -> None:
        """Tell that a backend's suspension ended.

        Thread: the listener's own. Example::

            @haulier.hookimpl
            def backend_resumed(event):
                print(event.backend, "is back")
        """
