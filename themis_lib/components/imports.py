"""Finds what a text names in Python: `module:attribute`, also in the folder the program
was started in.
"""

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
    """The attribute of a module that `module:attribute` names; `kind` is what it stands
    for, in messages.

    Raises `ComponentError` when the text is no such name, or the module cannot be
    imported or lacks the attribute.
    """
    module_name, _, attribute = name.partition(":")
    if not attribute or not module_name or module_name.startswith("."):
        raise ComponentError(
            f"{kind} {name!r} names no component; write `module:attribute`"
        )
    if os.getcwd() not in sys.path and "" not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything
        said = reason(error, ImportError, SyntaxError)
        raise ComponentError(f"{kind} {name!r} cannot be imported: {said}") from None
    if not hasattr(module, attribute):
        hint = nearest(
            attribute, [item for item in vars(module) if not item.startswith("_")]
        )
        raise ComponentError(f"module {module_name!r} has no {attribute!r}; {hint}")
    return getattr(module, attribute)


def reason(
    error: Exception,
    *plain: type[Exception],
) -> str:
    """An exception in a message: those that say it all by themselves without their
    type.
    """
    return " ".join(str(error).split()) if isinstance(error, plain) else describe(error)
