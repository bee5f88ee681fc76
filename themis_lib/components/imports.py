"""Imports what a text names: `module:attribute`, also from the working directory."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from themis_lib.errors import ComponentError, describe, nearest


def import_named(
    kind: str,
    name: str,
) -> Any:
    """Return the attribute of a module that `module:attribute` names.

    `kind` says in messages what it is for. Raise `ComponentError` if the text is no
    such name, or if the module cannot be imported or lacks the attribute.
    """
    module_name, _, attribute = name.partition(":")
    if not attribute or not module_name or module_name.startswith("."):
        raise ComponentError(
            f"{kind} {name!r} names no component; write `module:attribute`"
        )
    # An installed command has the folder of its script there, not the working
    # directory.
    if os.getcwd() not in sys.path and "" not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything
        said = reason(error, ImportError, SyntaxError)
        raise ComponentError(f"{kind} {name!r} cannot be imported: {said}") from None
    if not hasattr(module, attribute):
        public = [item for item in vars(module) if not item.startswith("_")]
        hint = nearest(attribute, public)
        raise ComponentError(f"module {module_name!r} has no {attribute!r}; {hint}")
    return getattr(module, attribute)


def reason(
    error: Exception,
    *plain: type[Exception],
) -> str:
    """Return an exception as one line for a message.

    Those of the `plain` types speak for themselves, without their type.
    """
    if isinstance(error, plain):
        return " ".join(str(error).split())
    return describe(error)
