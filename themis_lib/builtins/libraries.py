"""Built-ins that compute with a library of the extra `metrics`: present when built, its
version in their identity.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from themis_lib.components.builtin import Builtin
from themis_lib.errors import ComponentError


class LibraryBuiltin(Builtin):
    """A built-in whose results can change with the version of a library; another
    version is another identity.
    """

    libraries: ClassVar[tuple[str, ...]]

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type and a library that is
        not installed.
        """
        super().check_settings()
        for name in self.libraries:
            installed_version(name, where=self.component_id)

    def settings(self) -> dict[str, Any]:
        """Every setting, and the version of each library."""
        versions = {
            name: installed_version(name, where=self.component_id)
            for name in self.libraries
        }
        return {**super().settings(), "libraries": versions}


def installed_version(
    name: str,
    *,
    where: str,
) -> str:
    """The version of a package as installed. Raises `ComponentError` with the command
    that installs it.
    """
    found = _find_version(name)
    if found is None:
        raise ComponentError(
            f"{where}: {name} is not installed: pip install 'themis-flows[metrics]'"
        )
    return found


@cache
def _find_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
