"""``haulier retry``, ``cancel``, ``pause`` and ``resume``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.errors import InputError
from haulier.models import TaskState

if TYPE_CHECKING:
    from haulier.cli.session import Session

__all__ = ["cancel", "pause", "resume", "retry"]

_OPEN = frozenset({TaskState.QUEUED, TaskState.UPLOADING, TaskState.RETRYING})


@dataclass(frozen=True)
class _Action:
    """A wish about tasks.

    Attributes:
        name: The manager's method.
        states: From which ``--all`` takes tasks.
        fulfilled: States in which the wish is fulfilled already.
        done: What is said of a task.
        text: Help.
    """

    name: str
    states: frozenset[TaskState]
    fulfilled: frozenset[TaskState]
    done: str
    text: str


def _command(action: _Action) -> click.Command:
    @click.command(action.name, cls=CommonCommand, help=action.text)
    @click.argument("tasks", metavar="[TASK...]", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="All that it makes sense for (of --backend, if given).")
    @click.pass_obj
    def command(settings: Settings, tasks: tuple[str, ...], everything: bool) -> ExitCode:
        if bool(tasks) == everything:
            raise click.UsageError("Name tasks, or give --all.", click.get_current_context())
        with open_session(settings) as session:
            return _apply(session, action, tasks)

    return command


def _apply(session: Session, action: _Action, task_ids: tuple[str, ...]) -> ExitCode:
    operate = getattr(session.manager, action.name)
    backend = session.settings.backend
    if task_ids:
        done = operate(*task_ids)
    elif backend:
        chosen = [task.id for task in session.manager.tasks(states=action.states, backend=backend)]
        done = operate(*chosen) if chosen else []
        if action.name == "resume":
            session.manager.service.operations.resume_backends([backend])
    else:
        done = operate()
    skipped = [task_id for task_id in task_ids if task_id not in done]
    document = {"action": action.name, "tasks": done, "skipped": skipped}
    session.output.result(document, [f"{task_id} {action.done}" for task_id in done] or ["nothing to do"])
    return _judge(session, action, skipped)


def _judge(session: Session, action: _Action, skipped: list[str]) -> ExitCode:
    code = ExitCode.OK
    for task_id in skipped:
        state = session.manager.task(task_id).state
        if state not in action.fulfilled:
            advice = f"It is {state}; `haulier status {task_id}` tells more"
            session.output.error(InputError(f"there is nothing to {action.name}", where=task_id, advice=advice))
            code = ExitCode.FAILED
    return code


retry = _command(
    _Action(
        "retry",
        frozenset({TaskState.FAILED, TaskState.RETRYING}),
        frozenset({TaskState.QUEUED, TaskState.UPLOADING}),
        "is queued again",
        "Queue failed or waiting tasks again; cancelled ones too when they are named.",
    )
)
cancel = _command(
    _Action(
        "cancel",
        _OPEN | {TaskState.PAUSED},
        frozenset({TaskState.CANCELLED}),
        "is cancelled",
        "Give tasks up, also running ones. Their files are kept.",
    )
)
pause = _command(
    _Action(
        "pause",
        _OPEN,
        frozenset({TaskState.PAUSED}),
        "is paused",
        "Let tasks wait until they are resumed, keeping what was sent.",
    )
)
resume = _command(
    _Action(
        "resume",
        frozenset({TaskState.PAUSED}),
        _OPEN,
        "goes on",
        "Go on with paused tasks; --all also ends the suspensions of backends.",
    )
)
