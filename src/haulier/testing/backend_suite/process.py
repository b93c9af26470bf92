"""The other process: a fresh interpreter that is told a backend's table, a token and the journal's rows."""

from __future__ import annotations

import base64
import importlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from haulier.backends.api import (
    Abilities,
    Artifact,
    CommitMode,
    IfAbsent,
    Part,
    PartsMode,
    ResumeMode,
    Stored,
    Token,
    Upload,
)
from haulier.journal.api import PartRow
from haulier.models import Proof, Role
from haulier.testing.backend_suite.drive import Drive
from haulier.testing.backend_suite.world import NotApplicable, build_backend

if TYPE_CHECKING:
    from haulier.testing.backend_suite.world import World

__all__ = ["finish_elsewhere", "main"]

_TIME_LIMIT = 120


def finish_elsewhere(world: World, drive: Drive) -> Drive:
    """Let a new process finish an upload; a copy of the drive with what that process sent and was answered.

    Raises:
        NotApplicable: No other process can make the backend.
    """
    module, name, options = world.table()
    try:
        order = json.dumps({"module": module, "class": name, "options": options, **_told(drive)})
    except TypeError as error:
        raise NotApplicable(f"the world's table is no JSON: {error}") from error
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", "from haulier.testing.backend_suite.process import main; main()"],
        input=order.encode(),
        capture_output=True,
        timeout=_TIME_LIMIT,
        check=False,
        env=environment,
    )
    if ran.returncode:
        raise AssertionError(f"the other process failed:\n{ran.stderr.decode(errors='replace')}")
    answer = json.loads(ran.stdout)
    if "missing" in answer:
        raise NotApplicable(f"another process cannot import the backend: {answer['missing']}")
    later = drive.copy(world.backend())
    later.sent = [Part(**part) for part in answer["sent"]]
    later.stored = tuple(Stored(**stored) for stored in answer["stored"])
    return later


def main() -> None:
    """Read an order from stdin, finish the upload, write what was sent and stored to stdout."""
    order = json.load(sys.stdin)
    try:
        backend_class = attrgetter(order["class"])(importlib.import_module(order["module"]))
    except (ImportError, AttributeError) as error:
        json.dump({"missing": str(error)}, sys.stdout)
        return
    backend = build_backend(backend_class, order["options"])
    drive = _retold(backend, order).ask_held()
    drive.finish()
    backend.close()
    sent = [asdict(part) for part in drive.sent]
    json.dump({"sent": sent, "stored": [asdict(stored) for stored in drive.stored]}, sys.stdout)


def _told(drive: Drive) -> dict[str, Any]:
    token, upload = drive.the_token, drive.upload
    abilities = asdict(drive.abilities)
    return {
        "token": [dict(token.public), dict(token.secret), token.expires_at],
        "abilities": {
            name: sorted(value) if isinstance(value, frozenset) else value for name, value in abilities.items()
        },
        "rows": [asdict(row) for row in drive.rows],
        "part_size": drive.preferred,
        "contents": [base64.b64encode(content).decode() for content in drive.contents],
        "upload": {
            "task": upload.task,
            "item_id": upload.item_id,
            "nonce": upload.nonce,
            "metadata": dict(upload.metadata),
            "recorded_at": upload.recorded_at,
            "artifacts": [
                [entry.index, entry.role, entry.name, entry.key, entry.size, entry.content_type]
                for entry in upload.artifacts
            ],
        },
    }


def _retold(backend: Any, order: dict[str, Any]) -> Drive:
    contents = [base64.b64decode(text) for text in order["contents"]]
    told = order["upload"]
    artifacts = tuple(
        Artifact(index, Role(role), name, key, size, kind, contents[index] if Role(role) is Role.SIDECAR else None)
        for index, role, name, key, size, kind in told.pop("artifacts")
    )
    drive = Drive(backend, Upload(artifacts=artifacts, **told), contents, part_size=order["part_size"])
    drive.token = Token(*order["token"])
    drive.abilities = _abilities(order["abilities"])
    drive.rows = [PartRow(**row) for row in order["rows"]]
    return drive


def _abilities(told: dict[str, Any]) -> Abilities:
    modes = {
        "parts": PartsMode(told["parts"]),
        "resume": ResumeMode(told["resume"]),
        "commit": CommitMode(told["commit"]),
        "if_absent": IfAbsent(told["if_absent"]),
        "proof": Proof(told["proof"]),
    }
    sets = {name: frozenset(told[name]) for name in ("part_digests", "whole_digests", "optional")}
    return Abilities(**{**told, **modes, **sets})
