"""How rows are written as columns: JSON for what is never searched, plain columns for what is."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Abilities, CommitMode, IfAbsent, PartsMode, ResumeMode
from haulier.journal.api import AbortRow, BackendRow, SealedToken, TaskRow
from haulier.models import ArtifactRecord, Disposal, ErrorRecord, Identity, Proof, Role, SuspensionReason, TaskState

__all__ = [
    "ABORT_COLUMNS",
    "TASK_COLUMNS",
    "abort_values",
    "artifact_values",
    "bound",
    "decode_abort",
    "decode_artifact",
]
__all__ += ["decode_backend", "decode_error", "decode_task", "dump", "encode_backend", "encode_error", "task_values"]
__all__ += ["error_code", "new_task_values", "text"]

if TYPE_CHECKING:
    from collections.abc import Mapping

TASK_COLUMNS = (
    "id",
    "state",
    "backend",
    "item_id",
    "identity",
    "group_id",
    "metadata",
    "created_at",
    "updated_at",
    "nonce",
    "token",
    "token_secret",
    "abilities",
    "part_size",
    "committing",
    "digests",
    "attempts",
    "suspicion",
    "restarts",
    "not_before",
    "slow_lane",
    "acknowledged",
    "high_water",
    "error",
    "disposal",
    "disposal_path",
    "delete_source",
    "request",
    "owner",
    "epoch",
)

ABORT_COLUMNS = (
    "backend",
    "task",
    "item_id",
    "nonce",
    "upload",
    "token",
    "token_secret",
    "owed_at",
    "not_before",
    "tries",
    "owner",
    "error",
)


def bound(value: Any) -> Any:
    """A value for a column. Text that is no Unicode, as of an undecodable file name, becomes a blob."""
    if not isinstance(value, str) or value.isascii():
        return value
    encoded = value.encode("utf-8", "surrogatepass")
    try:
        encoded.decode("utf-8")
    except UnicodeDecodeError:
        return encoded
    return value


def text(value: str | bytes) -> str:
    """The inverse of :func:`bound` for a column of text; JSON needs none, :func:`json.loads` takes either."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


_STATES = {state.value: state for state in TaskState}
_DISPOSALS = {disposal.value: disposal for disposal in Disposal}
_ROLES = {role.value: role for role in Role}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_quoted = json.encoder.encode_basestring


def dump(value: Any) -> str:
    """A value as JSON."""
    return _ENCODER.encode(value)


def json_part(text: str) -> str:
    """A text as it stands within a longer one in :func:`dump`'s JSON."""
    return dump(text)[1:-1]


def encode_error(error: ErrorRecord | None) -> str | None:
    """An error as JSON, None for none."""
    return None if error is None else dump(error.to_dict())


def decode_error(column: str | bytes | None) -> ErrorRecord | None:
    """The inverse of :func:`encode_error`."""
    return None if column is None else ErrorRecord(**json.loads(column))


def error_code(column: str | bytes | None) -> str:
    """The code alone of what :func:`encode_error` gave; empty for none."""
    return "" if column is None else str(json.loads(column)["code"])


@lru_cache(maxsize=64)  # sessions of one backend have the same
def _encode_abilities(abilities: Abilities | None) -> str | None:
    if abilities is None:
        return None
    plain = {
        name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(abilities).items()
    }
    return dump(plain)


@lru_cache(maxsize=64)
def _decode_abilities(column: str | bytes | None) -> Abilities | None:
    if column is None:
        return None
    data = json.loads(column)
    return Abilities(
        parts=PartsMode(data["parts"]),
        resume=ResumeMode(data["resume"]),
        commit=CommitMode(data["commit"]),
        if_absent=IfAbsent(data["if_absent"]),
        part_digests=frozenset(data["part_digests"]),
        whole_digests=frozenset(data["whole_digests"]),
        proof=Proof(data["proof"]),
        sidecar_first=data["sidecar_first"],
        rewinds=data["rewinds"],
        case_folding=data["case_folding"],
        optional=frozenset(data["optional"]),
    )


def _encode_identity(identity: Identity) -> str:
    """As :func:`dump` would; put together by hand, for every new task has one."""
    return (
        f'{{"source_id":{_quoted(identity.source_id)},"path":{_quoted(identity.path)},"size":{identity.size},'
        f'"mtime_ns":{identity.mtime_ns},"file_id":{_quoted(identity.file_id)}}}'
    )


def _encode_digests(digests: Mapping[int, Mapping[str, str]]) -> str:
    return dump({str(index): dict(found) for index, found in digests.items()})


def _encode_token(token: SealedToken | None) -> str | None:
    return None if token is None else dump({"public": dict(token.public), "expires_at": token.expires_at})


def _decode_token(column: str | bytes | None, secret: bytes) -> SealedToken | None:
    if column is None:
        return None
    data = json.loads(column)
    return SealedToken(data["public"], bytes(secret), data["expires_at"])


_ENCODERS: dict[str, Any] = {
    "identity": lambda value: {"identity": _encode_identity(value), "item_id": value.item_id},
    "group": lambda value: {"group_id": value},
    "metadata": lambda value: {"metadata": dump(dict(value))},
    "token": lambda value: {"token": _encode_token(value), "token_secret": b"" if value is None else value.secret},
    "abilities": lambda value: {"abilities": _encode_abilities(value)},
    "digests": lambda value: {"digests": _encode_digests(value)},
    "error": lambda value: {"error": encode_error(value)},
    "state": lambda value: {"state": str(value)},
    "disposal": lambda value: {"disposal": str(value)},
}


def task_values(changes: dict[str, Any]) -> dict[str, Any]:
    """Column values for members of a :class:`~haulier.journal.api.TaskRow`, without ``artifacts`` and ``sequence``."""
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name in {"artifacts", "sequence"}:
            continue
        encoder = _ENCODERS.get(name)
        values.update(encoder(value) if encoder else {name: value})
    return values


def new_task_values(row: TaskRow) -> tuple[Any, ...]:
    """Values for :data:`TASK_COLUMNS`, ready for a statement: as of :func:`task_values`, for rows by the thousand."""
    identity = row.identity
    token = row.token
    return (
        bound(row.id),
        row.state.value,
        bound(row.backend),
        identity.item_id,
        bound(_encode_identity(identity)),
        bound(row.group),
        bound(dump(dict(row.metadata))) if row.metadata else "{}",
        row.created_at,
        row.updated_at,
        bound(row.nonce),
        None if token is None else bound(_encode_token(token)),
        b"" if token is None else token.secret,
        None if row.abilities is None else _encode_abilities(row.abilities),
        row.part_size,
        row.committing,
        bound(_encode_digests(row.digests)) if row.digests else "{}",
        row.attempts,
        row.suspicion,
        row.restarts,
        row.not_before,
        row.slow_lane,
        row.acknowledged,
        row.high_water,
        bound(encode_error(row.error)),
        row.disposal.value,
        bound(row.disposal_path),
        row.delete_source,
        bound(row.request),
        bound(row.owner),
        row.epoch,
    )


def _members(column: str | bytes) -> Any:
    return {} if column == "{}" else json.loads(column)


def decode_task(row: tuple[Any, ...], artifacts: tuple[ArtifactRecord, ...]) -> TaskRow:
    """A row of ``sequence`` and :data:`TASK_COLUMNS` as a task."""
    column = dict(zip(("sequence", *TASK_COLUMNS), row, strict=True))
    return TaskRow(
        id=text(column["id"]),
        state=_STATES[column["state"]],
        backend=text(column["backend"]),
        identity=Identity(**json.loads(column["identity"])),
        group=text(column["group_id"]),
        artifacts=artifacts,
        metadata=_members(column["metadata"]),
        created_at=column["created_at"],
        updated_at=column["updated_at"],
        sequence=column["sequence"],
        nonce=text(column["nonce"]),
        token=_decode_token(column["token"], column["token_secret"]),
        abilities=_decode_abilities(column["abilities"]),
        part_size=column["part_size"],
        committing=bool(column["committing"]),
        digests={int(index): found for index, found in _members(column["digests"]).items()},
        attempts=column["attempts"],
        suspicion=column["suspicion"],
        restarts=column["restarts"],
        not_before=column["not_before"],
        slow_lane=bool(column["slow_lane"]),
        acknowledged=column["acknowledged"],
        high_water=column["high_water"],
        error=decode_error(column["error"]),
        disposal=_DISPOSALS[column["disposal"]],
        disposal_path=text(column["disposal_path"]),
        delete_source=bool(column["delete_source"]),
        request=text(column["request"]),
        owner=text(column["owner"]),
        epoch=column["epoch"],
    )


def artifact_values(task_id: str, artifact: ArtifactRecord) -> tuple[Any, ...]:
    """Column values of an artifact, in the order of the schema, ready for a statement."""
    return (
        bound(task_id),
        artifact.index,
        artifact.role.value,
        bound(artifact.name),
        bound(artifact.path),
        artifact.size,
        artifact.mtime_ns,
        bound(artifact.file_id),
        bound(artifact.key),
        bound(artifact.content_type),
        artifact.content,
    )


def decode_artifact(row: tuple[Any, ...]) -> ArtifactRecord:
    """The inverse of :func:`artifact_values`, without the task's id."""
    index, role, name, path, size, mtime_ns, file_id, key, content_type, content = row
    return ArtifactRecord(
        index,
        _ROLES[role],
        text(name),
        text(path),
        size,
        mtime_ns,
        text(file_id),
        text(key),
        text(content_type),
        content,
    )


def abort_values(row: AbortRow) -> tuple[Any, ...]:
    """Values for :data:`ABORT_COLUMNS`."""
    artifacts = [
        {**asdict(each), "content": None if each.content is None else b64encode(each.content).decode("ascii")}
        for each in row.artifacts
    ]
    upload = {"artifacts": artifacts, "metadata": dict(row.metadata), "recorded_at": row.recorded_at}
    return (
        row.backend,
        row.task,
        row.item_id,
        row.nonce,
        dump(upload),
        _encode_token(row.token),
        row.token.secret,
        row.owed_at,
        row.not_before,
        row.tries,
        row.owner,
        encode_error(row.error),
    )


def decode_abort(row: tuple[Any, ...]) -> AbortRow:
    """A row of ``sequence`` and :data:`ABORT_COLUMNS` as an owed abort."""
    column = dict(zip(("sequence", *ABORT_COLUMNS), row, strict=True))
    upload = json.loads(column["upload"])
    token = _decode_token(column["token"], column["token_secret"])
    if token is None:
        raise ValueError("an owed abort without a token")
    return AbortRow(
        backend=text(column["backend"]),
        task=text(column["task"]),
        item_id=text(column["item_id"]),
        nonce=text(column["nonce"]),
        artifacts=tuple(map(_decode_kept_artifact, upload["artifacts"])),
        metadata=upload["metadata"],
        recorded_at=upload["recorded_at"],
        token=token,
        owed_at=column["owed_at"],
        not_before=column["not_before"],
        tries=column["tries"],
        owner=text(column["owner"]),
        error=decode_error(column["error"]),
        sequence=column["sequence"],
    )


def _decode_kept_artifact(data: dict[str, Any]) -> ArtifactRecord:
    content = None if data["content"] is None else b64decode(data["content"])
    return ArtifactRecord(**{**data, "role": Role(data["role"]), "content": content})


def encode_backend(row: BackendRow) -> str:
    """A backend's row as JSON."""
    return dump(asdict(row))


def decode_backend(column: str | bytes) -> BackendRow:
    """The inverse of :func:`encode_backend`."""
    data = json.loads(column)
    data["failing"] = tuple(data["failing"])
    data["error"] = None if data["error"] is None else ErrorRecord(**data["error"])
    data["suspended"] = None if data["suspended"] is None else SuspensionReason(data["suspended"])
    return BackendRow(**data)
