"""Puts `themis_flows.pth` into the wheel, also into that of an editable installation.

`python -m flows.run` puts the working directory first, where a `flows.py` or a
`types.py` would be taken for this package or for the library, before any code of this
project runs. Python reads `.pth` files before that. This one imports the package `flows`
for `python -m flows…` and `python -m deployments…` and for the processes that these
start (`SAFE_PATH`), and does nothing for any other process.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NAME = "themis_flows.pth"


class PathFileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the file at the top of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for name in ("force_include", "force_include_editable"):
            build_data[name][f"{self.root}/{_NAME}"] = _NAME
