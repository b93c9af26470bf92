"""What a plugin must keep to: pluggy's own checks made per plugin, and those pluggy does not make."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any

from haulier.hooks.records import described
from haulier.hooks.spec import DECISIONS, EVENT_HOOKS, REGISTRATIONS

if TYPE_CHECKING:
    import click
    import pluggy

__all__ = ["RefusedError", "check_backend_class", "commands_from", "readers_from", "register_checked"]

HOOKS = (*REGISTRATIONS, *DECISIONS, *EVENT_HOOKS)


class RefusedError(Exception):
    """Why a plugin cannot be used; never leaves this package."""


def register_checked(manager: pluggy.PluginManager, plugin: object, name: str) -> tuple[str, ...]:
    """Register a plugin under a free name.

    Returns:
        The hooks that it implements, sorted.

    Raises:
        RefusedError: It broke a rule; nothing of it stays registered.
    """
    if plugin is None:
        raise RefusedError("it is None, not a module or object with hook implementations")
    if any(plugin is known for _, known in manager.list_name_plugin()):
        raise RefusedError(f"it is loaded already, under the name {manager.get_name(plugin)!r}")
    try:
        manager.register(plugin, name)
        return _checked_hooks(manager, plugin)
    except BaseException as error:
        if manager.get_plugin(name) is plugin:
            manager.unregister(name=name)
        if isinstance(error, RefusedError) or not isinstance(error, Exception):
            raise
        raise RefusedError(_misfit(error)) from error


def _misfit(error: Exception) -> str:
    if type(error).__name__ == "PluginValidationError":
        text = " ".join(str(error).split())
        return f"{text}; an implementation may take fewer arguments than the hook offers, but no others"
    return f"its hooks cannot be read: {described(error)}"


def _checked_hooks(manager: pluggy.PluginManager, plugin: object) -> tuple[str, ...]:
    names = []
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                _check_implementation(implementation, caller.name)
                names.append(caller.name)
    return tuple(sorted(names))


def _check_implementation(implementation: pluggy.HookImpl, hook: str) -> None:
    if hook not in HOOKS:
        if implementation.optionalhook:
            return
        near = difflib.get_close_matches(hook, HOOKS, 1)
        raise RefusedError(f"there is no hook {hook!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    if implementation.wrapper or implementation.hookwrapper:
        raise RefusedError(f"its {hook} is a hook wrapper: every implementation is called by itself, none is wrapped")
    try:
        inspect.signature(implementation.function).bind(*implementation.argnames)
    except TypeError as error:
        raise RefusedError(
            f"its {hook} cannot be called with the hook's arguments by position: {error}; "
            "arguments may be neither keyword-only nor unknown to the hook, and a class must be made an object first"
        ) from error


def check_backend_class(found: Any) -> str:
    """Look at what ``register_backends`` returned.

    Returns:
        The backend type.

    Raises:
        RefusedError: It is no complete backend class of a supported contract level.
    """
    from haulier.backends.api import API_LEVEL, Backend, PutBackend

    if not isinstance(found, type) or not issubclass(found, (Backend, PutBackend)):
        raise RefusedError(f"register_backends returned {found!r}, which is no subclass of Backend or PutBackend")
    name = getattr(found, "type", None)
    if not isinstance(name, str) or not name:
        raise RefusedError(f"the backend class {found.__name__} names no type: set its class attribute 'type'")
    _check_level(name, found.api_level, API_LEVEL)
    if not hasattr(found, "options_type"):
        raise RefusedError(f"the backend type {name!r} has no options: set its class attribute 'options_type'")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise RefusedError(f"the backend type {name!r} is not complete: it lacks {missing}")
    return name


def _check_level(name: str, level: Any, ours: int) -> None:
    """Levels differ in what a method means: a class of another one might do harm while it seems to work."""
    if not isinstance(level, int):
        raise RefusedError(f"the backend type {name!r} has the api_level {level!r}: set it to a number such as 1")
    if level != ours:
        raise RefusedError(
            f"the backend type {name!r} was written for level {level} of the backend contract, and this version of "
            f"Haulier has level {ours}: upgrade {'Haulier' if level > ours else 'the plugin'}"
        )


def commands_from(answer: Any) -> tuple[click.Command, ...]:
    """The commands that ``register_commands`` returned.

    Raises:
        RefusedError: Something among them is no named command.
    """
    import click

    commands = tuple(answer)
    for command in commands:
        if not isinstance(command, click.Command) or not command.name:
            raise RefusedError(f"{command!r} is no click command with a name")
    return commands


def readers_from(answer: Any) -> dict[str, Any]:
    """The readers that ``register_config_readers`` returned, by section.

    Raises:
        RefusedError: One of them cannot be called.
    """
    readers = dict(answer)
    for section, reader in readers.items():
        if not callable(reader):
            raise RefusedError(f"the reader of the section {section!r} cannot be called: {reader!r}")
    return readers
