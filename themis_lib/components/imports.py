"""Imports what a text names: `module:attribute`, also from the working directory.

Modules beside an experiment's file come first; see `import_from`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from themis_lib.components.module_folders import (
    add_module_folder,
    make_importable,
    module_folders,
)
from themis_lib.components.shared_names import (
    imported_beside,
    install_finders,
    module_beside,
)
from themis_lib.errors import ComponentError, describe, nearest
from themis_lib.identity.user_code import OWN_PACKAGES

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
    make_importable()
    install_finders()
    try:
        module = _import(module_name)
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
        if file is None and not (place / top).is_dir():
            continue
        if file is not None:
            _check_only_one(top, file)
        add_module_folder(place)


def _check_only_one(
    top: str,
    file: Path,
) -> None:
    other = _FOUND_IN.setdefault(top, file)
    held = getattr(imported_beside(top), "__file__", None)
    if held is not None and Path(held).resolve() != file:
        other = Path(held)
    if other != file:
        raise ComponentError(
            f"module {top!r} beside the experiment, {str(file)!r}, cannot be "
            f"imported: this process uses {str(other)!r} of the same name; rename one"
        )


def _import(name: str) -> ModuleType:
    """Import a module that a user named: their own before a library's of that name."""
    top = name.partition(".")[0]
    if name in OWN_PACKAGES:
        beside = module_beside(name)
        if beside is not None:
            return beside
    finder = _Beside(top)
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)


class _Beside:
    """Finds one top-level module in the folders of users' modules."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return where the module is, unless it is not in one of the folders."""
        del path, target
        if name != self._name or name in OWN_PACKAGES:
            return None
        spec = PathFinder.find_spec(name, module_folders())
        # A folder without `__init__.py` is a namespace, which is found in the usual way.
        return None if spec is None or spec.origin is None else spec


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
