"""Built-ins that compute with a library of the extra `metrics`.

The library must be installed when the component is built, and its version is part of
the component's identity.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import Any, ClassVar

from themis_lib.components.builtin import Builtin
from themis_lib.errors import ComponentError


class LibraryBuiltin(Builtin):
    """A built-in whose results can change with the version of a library.

    `libraries` names packages as they are called on the package index. With another
    version of one of them it is another computation.
    """

    libraries: ClassVar[tuple[str, ...]]

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting or a missing library."""
        super().check_settings()
        for name in self.libraries:
            installed_version(name, where=self.component_id)

    def settings(self) -> dict[str, Any]:
        """Return every setting, and the version of each library."""
        versions = {}
        for name in self.libraries:
            versions[name] = installed_version(
                name,
                where=self.component_id,
            )
        settings = super().settings()
        settings["libraries"] = versions
        return settings


# Metrics are asked by several threads. Of modules that import each other, as those of
# sacrebleu do, a second thread could be handed one that is half imported.
_IMPORTING = Lock()


def imported(name: str) -> Any:
    """Return a module of a library, imported by one thread at a time."""
    with _IMPORTING:
        return import_module(name)


def installed_version(
    name: str,
    *,
    where: str,
) -> str:
    """Return the installed version of a package.

    Raise `ComponentError`, with the command that installs it, if it is missing.
    """
    found = _find_version(name)
    if found is None:
        raise ComponentError(
            f"{where}: {name} is not installed: pip install 'themis-flows[metrics]'"
        )
    return found


# The metadata is a file, and every fingerprint asks for it.
@cache
def _find_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
