"""Lets autodoc read our docstrings and annotations as they are meant.

* Names that a module imports for type checkers only are given to it, so that annotations can be resolved and linked.
  Executing those imports once all modules are loaded cannot run into import cycles, as setting ``TYPE_CHECKING`` would.
* What is returned, and what a property is, may be said with a colon; napoleon would take what stands before it for a
  type. Types stand in annotations only.
* Members of an enumeration are shown even if their names say it all; private base classes are not shown.
* The default of a dataclass's mutable member is shown as an ellipsis, so that the signature is Python and gets links.
* A member may be referred to by the place where its class is defined, not only by that where it is public.
"""

from __future__ import annotations

import ast
import enum
import inspect
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

BEFORE_NAPOLEON = 400
NO_TYPE = ("..", "")  # an empty comment, the first line of a description that holds no colon


def lines_for_checkers(module: ModuleType) -> Iterator[ast.stmt]:
    """What stands below ``if TYPE_CHECKING:`` of a module: imports, and names for long types."""
    with suppress(OSError, TypeError):  # a module without a source has none
        for statement in ast.parse(inspect.getsource(module)).body:
            if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
                yield from statement.body


def complete(module: ModuleType) -> None:
    """Do them, as far as they succeed: some names exist for type checkers only."""
    for statement in lines_for_checkers(module):
        with suppress(ImportError, NameError):
            exec(compile(ast.Module([statement], []), module.__name__, "exec"), vars(module))  # noqa: S102


def _complete_all(_app: Sphinx, config: Config) -> None:
    for name in config.typed_modules:
        module = import_module(name)
        for public in getattr(module, "__all__", ()):
            getattr(module, public)  # resolved when first used, in some
    packages = {name.split(".")[0] for name in config.typed_modules}
    ours = [module for name, module in list(sys.modules.items()) if name.split(".")[0] in packages]
    for module in [*ours, *ours]:  # twice: one takes from another what that has only then
        complete(module)


def _keep_colons(_app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    if what in {"property", "attribute", "data"}:
        lines[0:0] = NO_TYPE
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].strip() in {"Returns:", "Yields:"}:
            indent = " " * (len(lines[index + 1]) - len(lines[index + 1].lstrip()))
            lines[index + 1 : index + 1] = [f"{indent}{line}".rstrip() for line in NO_TYPE]


def _keep_enum_members(_app: Sphinx, _what: str, name: str, obj: object, _skip: bool, _options: object) -> bool | None:
    return False if isinstance(obj, enum.Enum) and obj.name == name else None


def _name_factories(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    return signature and signature.replace("<factory>", "..."), returned


def _hide_private_bases(_app: Sphinx, _name: str, _obj: object, _options: object, bases: list[type]) -> None:
    shown = [each for base in bases for each in (base.__bases__ if base.__name__.startswith("_") else (base,))]
    bases[:] = shown


def _resolve_member(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    python = env.domains.python_domain
    owner, _, member = node["reftarget"].rpartition(".")
    if node["refdomain"] != "py" or owner not in python.objects:
        return None
    public = f"{python.objects[owner].node_id}.{member}"
    if public not in python.objects:
        return None
    return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], public, node, content)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_config_value("typed_modules", [], "env", [list])
    app.connect("config-inited", _complete_all)
    app.connect("autodoc-process-docstring", _keep_colons, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-skip-member", _keep_enum_members)
    app.connect("autodoc-process-signature", _name_factories)
    app.connect("autodoc-process-bases", _hide_private_bases)
    app.connect("missing-reference", _resolve_member)
    return {"version": "1", "parallel_read_safe": True}
