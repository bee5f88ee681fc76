"""What the built-in components share: settings are dataclass fields, and the fingerprint is those settings.

A built-in's identity is its declared `version`, not its code: a golden test fails when its behaviour changes
without a new one.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from themis_lib.core.identity import canonical_json


class Builtin:
    """A component of the library. Subclasses are frozen dataclasses and set the class variables."""

    component_id: ClassVar[str]
    version: ClassVar[str] = "1"

    def settings(self) -> dict[str, Any]:
        """Every setting that can change a result, by name."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}  # type: ignore[arg-type]

    def fingerprint(self) -> str:
        """The settings as canonical JSON."""
        return canonical_json(self.settings())
