"""Answers: JSON, and problems as RFC 9457 has them."""

from __future__ import annotations

import errno
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from haulier_wats.server.open_files import TOO_MANY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ExceptionHandler

__all__ = ["Problem", "fault", "json_answer", "no_room", "problem_handlers", "stopping"]

_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - the RFC calls it a problem, and most are no error of the server
    """A request that is answered with a problem.

    Args:
        status: HTTP status.
        detail: What is wrong here and what to do, for a human.
        type: URI of the problem's type.
        headers: Fields that the answer needs.
        members: Extension members.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        type: str = "about:blank",  # noqa: A002 - the member's name in the RFC
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = type
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": self.type,
            "title": HTTPStatus(self.status).phrase,
            "status": int(self.status),
            "detail": self.detail,
        }
        answer = json_answer(body | self.members, self.status, self.headers)
        answer.headers["Content-Type"] = "application/problem+json"
        return answer


def json_answer(value: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON in ASCII, so that no text from a client can break it."""
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    return Response(body, status, dict(headers or {}) | {"Cache-Control": "no-store"}, "application/json")


def no_room() -> Problem:
    """The answer when the disk is full or nearly so."""
    return Problem(
        HTTPStatus.INSUFFICIENT_STORAGE,
        "the server's disk is nearly full; try again when its operator has made room",
        headers={"Retry-After": "60"},
    )


def too_many_files() -> Problem:
    """The answer when the system lets the server open no more files."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the server has too many open files: ask again; its operator can raise the limit",
        headers={"Retry-After": "5"},
    )


def stopping() -> Problem:
    """The answer when the server stops before it can give another."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "the server stops; ask again when it is back", headers={"Retry-After": "5"}
    )


def fault() -> Problem:
    """The answer when the server is to blame."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log says why")


def problem_handlers() -> dict[Any, ExceptionHandler]:
    """Handlers that turn what a route foresees into a problem."""
    from apsw import FullError

    return {
        Problem: _own_problem,
        HTTPException: _http_problem,
        FullError: _disk_full,
        OSError: _system_problem,
    }


def _own_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - Starlette looks handlers up by class
    return error.response()


def _http_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    return Problem(HTTPStatus(error.status_code), f"{error.detail}: see openapi.json", headers=error.headers).response()


def _disk_full(_request: Request, _error: Exception) -> Response:
    return no_room().response()


def _system_problem(request: Request, error: Exception) -> Response:
    if isinstance(error, OSError) and error.errno in _FULL:
        return _disk_full(request, error)
    if isinstance(error, OSError) and error.errno in TOO_MANY:
        return too_many_files().response()
    _log.error("%s failed", request.method, exc_info=error)
    return fault().response()
