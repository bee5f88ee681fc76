"""Imports what a text names: `module:attribute`, also from the working directory.

Modules beside an experiment's file come first; see `import_from`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from themis_lib.errors import ComponentError, describe, nearest

#: The file of each top-level module that was found beside an experiment.
_FOUND_IN: dict[str, Path] = {}


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
    _look_in_working_directory()
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


def import_from(
    folder: Path,
    modules: Iterable[str],
) -> None:
    """Have the modules that lie in a folder imported from there.

    Raise `ComponentError` if another module of such a name is imported already: Python
    holds one of each name, and it would be taken for this one.
    """
    place = folder.resolve()
    for name in modules:
        top = name.partition(".")[0]
        files = [place / f"{top}.py", place / top / "__init__.py"]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            continue
        other = _FOUND_IN.setdefault(top, file)
        held = getattr(sys.modules.get(top), "__file__", None)
        if held is not None and Path(held).resolve() != file:
            other = Path(held)
        if other != file:
            raise ComponentError(
                f"module {top!r} beside the experiment, {str(file)!r}, cannot be "
                f"imported: this process uses {str(other)!r} of the same name; rename one"
            )
        # First, so that the folder comes before it.
        _look_in_working_directory()
        if sys.path[:1] != [str(place)]:
            sys.path.insert(0, str(place))


def _look_in_working_directory() -> None:
    # An installed command has the folder of its script there instead.
    if os.getcwd() not in sys.path and "" not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109


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
