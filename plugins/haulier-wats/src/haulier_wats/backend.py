"""The backend type ``wats``: a WATS storage server, old or resumable."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from haulier.backends.api import (
    Abilities,
    Answer,
    Artifact,
    Backend,
    CheckReport,
    CommitMode,
    Held,
    PartsMode,
    ResumeMode,
    Settled,
)
from haulier.errors import (
    AuthenticationError,
    CancelledError,
    ConfigError,
    ConflictError,
    IntegrityError,
    ServerError,
    SessionLostError,
    TransferError,
    UnsupportedError,
)
from haulier.models import Proof, Role
from haulier_wats.metadata import generated_sidecar, parse_name, session_request
from haulier_wats.options import WatsOptions
from haulier_wats.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haulier.backends.api import Body, Context, LastPart, Part, Stored, Token, Upload
    from haulier_wats.answers import Recording, SessionAnswer
    from haulier_wats.client import WatsClient

__all__ = ["WatsBackend"]

_OPTIONAL = frozenset({"list", "delete", "read"})
_FILE_NAMES = {Role.MEDIA: "video", Role.SIDECAR: "metadata"}


class WatsBackend(Backend):
    """A WATS storage server.

    Where it offers resumable uploads, parts go out in order, each with its digest, and the server's own digests prove
    the content. An old server takes whole files and acknowledges; no more is claimed of it then.
    """

    type = "wats"
    options_type: ClassVar[Any] = WatsOptions
    options: WatsOptions
    abilities = Abilities(
        parts=PartsMode.SEQUENTIAL,
        resume=ResumeMode.OFFSET,
        commit=CommitMode.EXPLICIT,
        part_digests=frozenset({"sha256"}),
        proof=Proof.CONTENT,
        sidecar_first=True,
        optional=_OPTIONAL,
    )

    def __init__(self, name: str, options: WatsOptions) -> None:
        super().__init__(name, options)
        _check_options(name, options)
        self._lock = threading.Lock()
        self._opened: WatsClient | None = None
        self._knows_single = False

    @property
    def _client(self) -> WatsClient:
        with self._lock:
            if self._opened is None:
                from haulier_wats.client import WatsClient

                self._opened = WatsClient(self.options)
            return self._opened

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def complete(self, upload: Upload) -> Upload:
        """Add a sidecar made of the recording's name when there is none: the protocol takes no video without."""
        if upload.sidecar is not None:
            return upload
        content = generated_sidecar(upload)
        sidecar = Artifact(
            index=len(upload.artifacts),
            role=Role.SIDECAR,
            name=f"{parse_name(upload.media.name).session_id}_metadata.json",
            key=f"{upload.media.key}.metadata.json",
            size=len(content),
            content_type="application/json",
            content=content,
        )
        return replace(upload, artifacts=(*upload.artifacts, sidecar))

    def probe(self, context: Context) -> None:
        """Ask for the server's health, then whether it takes the token; what else the second call says is ignored."""
        self._client.health(context)
        try:
            self._client.recordings(context, limit=1)
        except (AuthenticationError, CancelledError):
            raise
        except TransferError:
            return

    def check(self, context: Context) -> CheckReport:
        """Test what can be tested without leaving a trace: reach and list."""
        rights = dict.fromkeys(("reach", "list", "read", "write", "delete"), Answer.UNTESTED)
        remarks: list[str] = []
        calls: dict[str, Callable[[], object]] = {
            "reach": lambda: self._client.health(context),
            "list": lambda: self._client.recordings(context, limit=1),
        }
        for right, call in calls.items():
            try:
                call()
                rights[right] = Answer.YES
            except CancelledError:
                raise
            except TransferError as error:
                rights[right] = Answer.NO
                remarks.append(str(error))
        return CheckReport(rights, tuple(remarks))

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Create a session; the same item and nonce give the same one.

        Raises:
            ValidationError: The sidecar cannot be sent; nothing was asked of the server.
            ConflictError: Another size is stored under this item's id.
        """
        client = self._client
        answer = client.create_session(session_request(upload), _key(upload), context)
        session = Session.from_answer(
            answer, client.http, resume=self.options.resumable != "never", file_id=_stored_before(upload, answer)
        )
        self._knows_single = self._knows_single or session.resumable
        abilities = self.abilities if session.resumable else _whole_files(self.abilities)
        if not session.digests:
            abilities = replace(abilities, part_digests=frozenset())
        token = session.to_token(client.http, answer.expires_at)
        return replace(token, known=bool(session.file_id)), abilities

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Ask the session's status, then each upload resource for its offset."""
        from haulier_wats.settling import COMPLETED, LOST

        client, session = self._client, Session.from_token(token)
        status = client.session_status(session.session_id, context)
        expires_at = status.expires_at if status and status.expires_at is not None else token.expires_at
        if session.file_id or (status is not None and status.status == COMPLETED):
            return Held(stored=self._stored(upload, session, status.file_id if status else "", context))
        if status is None or status.status in LOST:
            raise SessionLostError("the server no longer knows the upload session", where=client.http.base_url)
        self._require_time(session, expires_at)
        if not session.resumable:
            return Held()
        return Held(prefixes={item.index: self._offset(item, session, context) for item in upload.artifacts})

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Append one part, or send a whole file."""
        from haulier_wats.sending import append_part, whole_file

        session, artifact = Session.from_token(token), upload.artifacts[part.artifact]
        if session.file_id:
            sizes = {each.index: each.size for each in upload.artifacts}
            return Held(prefixes=sizes, stored=self._stored(upload, session, "", context))
        if session.resumable:
            return append_part(self._client, session, artifact, part, body, context)
        self._require_time(session, token.expires_at)  # appends extend a session, and the server tells when it is over
        return whole_file(self._client, session, artifact, part, body, context)

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Finalize the session with sizes and digests; repeated, it gives the same answer.

        Raises:
            IntegrityError: The server holds other bytes.
        """
        del last
        from haulier_wats.settling import finalize_key
        from haulier_wats.stored import acknowledged, stored_upload

        client, session = self._client, Session.from_token(token)
        files = {
            _FILE_NAMES[artifact.role]: {"size": artifact.size, "sha256": digests[artifact.index]["sha256"]}
            for artifact in upload.artifacts
        }
        recording = client.finalize(session.session_id, files, finalize_key(_key(upload)), context)
        if recording is not None:
            stored = stored_upload(upload, recording, client)
            _compare(upload, stored, digests)
            return stored
        if session.resumable:
            raise ServerError("the answer to finalize names no recording", where=client.http.base_url)
        return acknowledged(upload, held, session.session_id, client)

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Ask the session, then the recordings, then an old server's finalize once more."""
        from haulier_wats.settling import settle

        session = Session.from_token(token) if token is not None else None
        return settle(self._client, upload, session, _key(upload), context)

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Drop the session, unless it stands for a recording that was stored before."""
        del upload
        session = Session.from_token(token)
        if not session.file_id:
            self._client.drop_session(session.session_id, context)

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at a recording's video or sidecar."""
        from haulier_wats.stored import split_key, stored_files

        recording = self._recording(split_key(key)[0], context)
        files = stored_files(recording, self._client) if recording else ()
        return next((stored for stored in files if stored.key == key), None)

    def delete(self, key: str, context: Context) -> bool:
        """Remove a recording with its sidecar. A sidecar alone cannot be removed.

        Raises:
            UnsupportedError: The key is that of a sidecar whose recording is there.
        """
        from haulier_wats.stored import split_key

        file_id, is_sidecar = split_key(key)
        if not is_sidecar:
            return self._client.delete_recording(file_id, context)
        if self.stat(key, context) is None:
            return False
        raise UnsupportedError(
            "a sidecar goes with its recording", where=key, advice=f"Remove {file_id}, which removes both"
        )

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """All recordings whose ``file_id`` begins with ``prefix``, with their sidecars, sorted by key."""
        from haulier_wats.stored import stored_files

        client = self._client
        found = [stored for each in client.all_recordings(context) for stored in stored_files(each, client)]
        yield from sorted((stored for stored in found if stored.key.startswith(prefix)), key=lambda one: one.key)

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """A recording's video in blocks."""
        from haulier_wats.stored import split_key

        file_id, is_sidecar = split_key(key)
        if is_sidecar:
            raise UnsupportedError("the protocol has no call that reads a sidecar", where=key)
        return self._client.content(file_id, context)

    def _require_time(self, session: Session, expires_at: float | None) -> None:
        http = self._client.http
        if session.is_over(expires_at, http.now()):
            raise SessionLostError("the upload session's time is up, or nearly so", where=http.base_url)

    def _offset(self, artifact: Artifact, session: Session, context: Context) -> int:
        from haulier_wats.sending import settled_offset

        return settled_offset(self._client, session, artifact, context)

    def _stored(self, upload: Upload, session: Session, file_id: str, context: Context) -> tuple[Stored, ...]:
        from haulier_wats.settling import completed_recording
        from haulier_wats.stored import acknowledged, stored_upload

        recording = completed_recording(self._client, upload, session, file_id, context)
        if recording is None and session.resumable:
            raise SessionLostError("the session's recording was deleted", where=self._client.http.base_url)
        if recording is None:
            return acknowledged(upload, Held(), session.session_id, self._client)
        return stored_upload(upload, recording, self._client)

    def _recording(self, file_id: str, context: Context) -> Recording | None:
        """One recording; an old server without that call is asked for all of them."""
        recording = self._client.recording(file_id, context)
        self._knows_single = self._knows_single or recording is not None
        if recording is not None or self._knows_single:
            return recording
        return next((each for each in self._client.all_recordings(context) if each.file_id == file_id), None)


def _key(upload: Upload) -> str:
    return f"{upload.item_id}:{upload.nonce}"


def _whole_files(abilities: Abilities) -> Abilities:
    return replace(abilities, parts=PartsMode.WHOLE, resume=ResumeMode.NONE, proof=Proof.ACKNOWLEDGED)


def _stored_before(upload: Upload, answer: SessionAnswer) -> str:
    """The ``file_id`` under which the item is stored already; empty when it is not."""
    recording = answer.recording
    if recording is None or recording.item_id != upload.item_id:
        return ""
    if recording.video.size != upload.media.size:
        raise ConflictError(
            f"the server has this item with {recording.video.size} bytes, not {upload.media.size}",
            where=recording.file_id,
        )
    return recording.file_id


def _compare(upload: Upload, stored: tuple[Stored, ...], digests: Mapping[int, Mapping[str, str]]) -> None:
    for artifact, entry in zip(upload.artifacts, stored, strict=True):
        sha256 = entry.digests.get("sha256")
        if entry.size not in {None, artifact.size} or sha256 not in {None, digests[artifact.index]["sha256"]}:
            raise IntegrityError(f"the server stored other bytes than {artifact.name} has", where=entry.location)


def _check_options(name: str, options: WatsOptions) -> None:
    where = f"backends.{name}"
    try:
        parts = urlsplit(options.base_url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("base_url is no http or https address", where=where)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("base_url holds credentials, a query or a fragment", where=where)
    token = options.api_token.reveal()
    if not (token.isascii() and token.isprintable()) or token != token.strip():
        raise ConfigError("api_token holds characters that a header cannot carry", where=where)
    if options.resumable not in {"auto", "never"}:
        raise ConfigError(f'resumable is {options.resumable!r}; "auto" and "never" are allowed', where=where)
