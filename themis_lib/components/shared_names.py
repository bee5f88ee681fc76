"""Modules of users that have the name of a package of this project: `tasks.py`.

Python holds one module of a name. Such a module is kept under an alias, and is found
through our package: `from tasks import helper` in a user's code gets the user's.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from themis_lib.components.module_folders import module_folders
from themis_lib.identity.user_code import OWN_PACKAGES, alias_of

#: Where our packages are: a folder that is searched for users' modules may be it.
_ROOT = Path(__file__).resolve().parents[2]


def module_beside(name: str) -> ModuleType | None:
    """Return the user's module of one of our packages' names; `None` if there is none.

    It is the first beside an experiment or in the working directory.
    """
    alias = alias_of(name)
    if alias in sys.modules:
        return sys.modules[alias]
    folders = [folder for folder in module_folders() if Path(folder) != _ROOT]
    found = PathFinder.find_spec(name, folders)
    if found is None or found.origin is None:
        return None
    spec = importlib.util.spec_from_file_location(
        alias,
        found.origin,
        submodule_search_locations=found.submodule_search_locations,
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alias]
        raise
    return module


def attribute_beside(
    package: str,
    name: str,
) -> object:
    """Return an attribute that our package lacks from the user's module of its name.

    Raise `AttributeError` if that lacks it, too.
    """
    # Python asks for its own names, and for a submodule before it imports that.
    if not name.startswith("__") and not _is_submodule(package, name):
        module = module_beside(package)
        if module is not None and hasattr(module, name):
            value: object = getattr(module, name)
            return value
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def _is_submodule(
    package: str,
    name: str,
) -> bool:
    places = sys.modules[package].__path__
    return PathFinder.find_spec(f"{package}.{name}", places) is not None


class SubmodulesBeside:
    """Finds the modules of a user's folder that has the name of one of our packages."""

    @classmethod
    def find_spec(
        cls,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the spec of `tasks.scores` in a folder `tasks` beside an experiment."""
        del target
        package, _, submodule = name.partition(".")
        if package not in OWN_PACKAGES or not submodule or path is None:
            return None
        ours = str(_ROOT / package)
        inner = [part[len(ours) :] for part in path if part.startswith(ours)]
        places = []
        for folder in module_folders():
            for part in inner:
                places.append(f"{folder}/{package}{part}")
        return PathFinder.find_spec(name, places)


def find_submodules_beside() -> None:
    """Have them found after everything else, in this process."""
    if SubmodulesBeside not in sys.meta_path:
        sys.meta_path.append(SubmodulesBeside)
