"""Operations by path and method: who may call each, and whether the audit log hears of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from haulier_wats.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope as AsgiScope

    from haulier_wats.server.tokens import Caller, Scope

    Handler = Callable[[Request], Awaitable[Response]]

__all__ = ["Operation", "Visit", "begin_visit", "forbidden", "one_endpoint", "visit_of"]

_VISIT = "haulier_wats.visit"


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of one path does.

    Attributes:
        id: Its ``operationId`` in ``openapi.json``, and its name in the audit log.
        handler: What answers.
        scopes: Any of these is needed; none for what is public.
        audited: Whether each call is in the audit log; refused ones always are.
    """

    id: str
    handler: Handler
    scopes: frozenset[Scope] = frozenset()
    audited: bool = True


@dataclass(slots=True)
class Visit:
    """One request, as metrics and audit log see it.

    Attributes:
        caller: Whose token it carries.
        address: Where it came from.
        route: The path's pattern; empty until one was found.
        action: The operation's id; empty until one was found.
        audited: Whether the audit log hears of it.
        about: Ids of what it is about, by name.
    """

    caller: Caller | None
    address: str | None
    route: str = ""
    action: str = ""
    audited: bool = False
    about: dict[str, str] = field(default_factory=dict)


def visit_of(request: Request) -> Visit:
    """The request's visit."""
    visit: Visit = request.scope[_VISIT]
    return visit


def begin_visit(scope: AsgiScope, caller: Caller | None) -> Visit:
    """Give a request its visit."""
    client = scope.get("client")
    visit = Visit(caller, client[0] if client else None)
    scope[_VISIT] = visit
    return visit


def one_endpoint(path: str, operations: Mapping[str, Operation]) -> Handler:
    """One endpoint per path, so that the answer to any other method names all that are allowed."""

    async def endpoint(request: Request) -> Response:
        operation = operations["GET" if request.method not in operations else request.method]
        visit = visit_of(request)
        visit.route, visit.action, visit.audited = path, operation.id, operation.audited
        visit.about = {name: value for name, value in request.path_params.items() if name.endswith("_id")}
        if operation.scopes and not (visit.caller and visit.caller.scopes & operation.scopes):
            raise forbidden(operation.scopes)
        return await operation.handler(request)

    return endpoint


def forbidden(scopes: frozenset[Scope]) -> Problem:
    """The answer to a token that may not do this (RFC 6750 section 3.1)."""
    names = sorted(scopes)
    return Problem(
        HTTPStatus.FORBIDDEN,
        f"the token may not do this: it needs the scope {' or '.join(names)}; ask the server's operator",
        headers={
            "WWW-Authenticate": f'Bearer realm="WATS storage", error="insufficient_scope", scope="{" ".join(names)}"'
        },
        members={"scopes": names},
    )
