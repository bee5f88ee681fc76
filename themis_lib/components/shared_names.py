"""Modules of users that have the name of a package of this project: `tasks.py`.

Python holds one module of a name. Such a module is kept under an alias, and is found
through our package: `from tasks import helper` in a user's code gets the user's.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from themis_lib.components.module_folders import module_folders
from themis_lib.identity.user_code import OWN_PACKAGES, alias_of, without_alias

#: Where our packages are: a folder that is searched for users' modules may be it.
_ROOT = Path(__file__).resolve().parents[2]


def module_beside(name: str) -> ModuleType | None:
    """Return the user's module of one of our packages' names; `None` if there is none.

    It is the first beside an experiment or in the working directory.
    """
    held = imported_beside(name)
    if held is not None:
        return held
    install_finders()
    alias = alias_of(name)
    try:
        return importlib.import_module(alias)
    except ModuleNotFoundError as error:
        if error.name != alias:
            raise
        return None


def imported_beside(name: str) -> ModuleType | None:
    """Return a user's top-level module if it is imported, whatever its name."""
    held = sys.modules.get(name)
    if name not in OWN_PACKAGES:
        return held
    # A notebook may have imported its own in place of our package.
    is_ours = held is None or _is_ours(name, held)
    return sys.modules.get(alias_of(name)) if is_ours else held


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


def install_finders() -> None:
    """Have users' modules of our packages' names found in this process."""
    if _Aliases not in sys.meta_path:
        # Before all others: only it knows what an alias stands for.
        sys.meta_path.insert(0, _Aliases)
        # After all others: our own modules come first.
        sys.meta_path.append(_SubmodulesBeside)


class _Aliases:
    """Finds a user's module by its alias, in the folders of users' modules."""

    @classmethod
    def find_spec(
        cls,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the spec of `tasks.py` under its alias, or of a module below it."""
        del path, target
        own_name = without_alias(name)
        if own_name == name:
            return None
        if "." in own_name:
            return ModuleSpec(name, _OneModule(own_name))
        folders = [folder for folder in module_folders() if Path(folder) != _ROOT]
        found = PathFinder.find_spec(own_name, folders)
        # A folder without `__init__.py` has nothing but its modules.
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(
            name,
            found.origin,
            submodule_search_locations=found.submodule_search_locations,
        )


class _OneModule(Loader):
    """Loads a module below a user's package as the one of its own name.

    `from .scores import x` in the user's `tasks/__init__.py` and `import tasks.scores`
    elsewhere then get the same module.
    """

    def __init__(self, own_name: str) -> None:
        self._own_name = own_name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._own_name)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Importing it once more has replaced it.
        module.__spec__ = self._own_spec


class _SubmodulesBeside:
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
        # As Python does: the folder's `__init__.py` comes first, and may import it.
        module_beside(package)
        if name in sys.modules:
            return ModuleSpec(name, _OneModule(name))
        ours = str(_ROOT / package)
        inner = [part[len(ours) :] for part in path if part.startswith(ours)]
        places = []
        for folder in module_folders():
            for part in inner:
                places.append(f"{folder}/{package}{part}")
        return PathFinder.find_spec(name, places)


def _is_ours(
    name: str,
    module: ModuleType,
) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and _ROOT / name in Path(file).resolve().parents


def _is_submodule(
    package: str,
    name: str,
) -> bool:
    places = sys.modules[package].__path__
    return PathFinder.find_spec(f"{package}.{name}", places) is not None
