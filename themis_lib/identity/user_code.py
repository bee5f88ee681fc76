"""User code: the modules whose edits count, and the distributions that other code is of.

User code is what is in neither the standard library nor an installed distribution. A
distribution that is installed as editable is user code: people edit it.
"""

from __future__ import annotations

import builtins
import sys
import sysconfig
import types
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType

_PROJECT = Path(__file__).resolve().parents[2]
#: The packages of this project: components of the library have a declared version.
_OWN_PACKAGES = ("themis_lib", "tasks", "flows", "deployments")
#: Those of them that a user may have a module of the same name as.
OWN_PACKAGES = ("tasks", "flows", "deployments")
# No module that can be named in source has a space in its name.
_ALIAS = " (yours)"
#: Modules that classes are named after that are not theirs.
_NAMESPACES: dict[object, ModuleType] = {"builtins": builtins, "types": types}
#: The flag of types that a `class` statement made.
_MADE_BY_PYTHON = 1 << 9
_INSTALLED = {"site-packages", "dist-packages"}


def alias_of(name: str) -> str:
    """Return the name under which a user's module of one of our packages' names is kept.

    >>> alias_of("tasks")
    'tasks (yours)'
    """
    return f"{name}{_ALIAS}"


def without_alias(name: str) -> str:
    """Return a module's name as its user wrote it.

    >>> without_alias("tasks (yours).scores")
    'tasks.scores'
    """
    return name.replace(_ALIAS, "")


def users_own(name: str) -> str:
    """Return the name of the user's module where ours of this name hides one.

    It is imported if it is not yet: code that names it reads it later.
    """
    if name not in OWN_PACKAGES or is_user_module(name):
        return name
    alias = alias_of(name)
    if alias not in sys.modules:
        try:
            __import__(alias)
        except Exception:  # noqa: BLE001 - a user's module may raise anything
            return name
    return alias


def users_module(module: ModuleType) -> ModuleType:
    """Return the user's module where this one is ours and hides one of its name."""
    return sys.modules.get(users_own(module.__name__), module)


def is_user_module(name: str) -> bool:
    """Return whether a module of this name is user code."""
    if name == "__main__":
        return True
    module = sys.modules.get(name)
    if module is None:
        spec = _spec_of(name)
        if spec is None:
            # Text that was executed under a name that nothing can be imported by.
            return not _is_standard(name)
        return _is_user_file(spec.origin, name)
    file = getattr(module, "__file__", None)
    if file is None:
        # A module made by hand has no spec; one written in C or a namespace has.
        return getattr(module, "__spec__", None) is None and not _is_standard(name)
    return _is_user_file(file, name)


def is_user_class(kind: type) -> bool:
    """Return whether a class is user code."""
    module: object = kind.__module__
    if module not in _NAMESPACES:
        # Some types written in C have a descriptor there.
        return isinstance(module, str) and is_user_module(module)
    # A text executed in an empty namespace names its classes after `builtins`, and
    # `make_dataclass` after `types`.
    namespace = _NAMESPACES[module]
    return getattr(namespace, kind.__name__, None) is not kind and bool(
        kind.__flags__ & _MADE_BY_PYTHON
    )


def is_user_code(code: CodeType, module: str) -> bool:
    """Return whether a function with this code, of this module, is user code."""
    file = code.co_filename
    if not file.startswith("<"):
        return _is_user_file(file, module)
    if file.startswith(("<frozen", "<attrs", "<__array_function__", "<boltons")):
        return False
    # `namedtuple` names the namespace in which it evaluates its method.
    if module.startswith("namedtuple_"):
        return False
    # Text that was executed: its names are those of a module, or of nothing imported.
    return module in ("builtins", "") or is_user_module(module)


def user_module(name: str) -> ModuleType | None:
    """Return a module of user code by name, importing it if it is not yet; else `None`.

    A function that imports it will do so anyway. One that cannot be imported is `None`.
    """
    name = users_own(name)
    if not is_user_module(name):
        return None
    if name not in sys.modules:
        try:
            __import__(name)
        except Exception:  # noqa: BLE001 - a user's module may raise anything
            return None
    return sys.modules.get(name)


def is_user_file(path: str) -> bool:
    """Return whether a file is neither of the standard library nor of a distribution."""
    return _is_user_file(path, "")


@cache
def distribution_of(module: str) -> tuple[str, str] | None:
    """Return the name and version of the distribution that a module belongs to.

    `None` for the standard library, this library, and user code.
    """
    top = module.partition(".")[0]
    if _is_standard(top) or top in _OWN_PACKAGES or is_user_module(top):
        return None
    try:
        return top, metadata.version(top)
    except metadata.PackageNotFoundError:
        pass
    names = _distributions().get(top)
    if not names:
        return None
    # Namespace packages belong to several distributions: all of them count.
    versions = [f"{name} {metadata.version(name)}" for name in sorted(set(names))]
    if len(versions) == 1:
        name, _, version = versions[0].rpartition(" ")
        return name, version
    return top, ", ".join(versions)


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def _is_standard(name: str) -> bool:
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


@cache
def _is_user_file(file: str | None, module: str) -> bool:
    if file is None or file in ("built-in", "frozen"):
        return False
    path = Path(file)
    if _INSTALLED & set(path.parts) or _is_below(path, _standard_folder()):
        return False
    top = module.partition(".")[0]
    return not (top in _OWN_PACKAGES and _is_below(path.resolve(), _PROJECT / top))


def _is_below(path: Path, folder: Path) -> bool:
    return folder in path.parents


@cache
def _standard_folder() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def _spec_of(name: str) -> ModuleSpec | None:
    """Return where a module would be imported from."""
    try:
        return find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
