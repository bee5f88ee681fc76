"""What built-in components share: their settings are dataclass fields.

A built-in's identity is its declared `version`, not its code: a golden test fails when
its behaviour changes without a new one.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, ClassVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from themis_lib.errors import ComponentError
from themis_lib.identity.digests import canonical_json


class Builtin:
    """A component of the library. Subclasses are frozen dataclasses and set the class
    variables.
    """

    component_id: ClassVar[str]
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        self.check_settings()

    def check_settings(self) -> None:
        """Raises `ComponentError`, naming the setting and its value, for one that
        cannot be used.
        """
        _check_types(self)

    def settings(self) -> dict[str, Any]:
        """Every setting that can change a result, by name."""
        return {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)  # type: ignore[arg-type]
        }

    def fingerprint(self) -> str:
        """The settings as canonical JSON."""
        return canonical_json(self.settings())


def _check_types(component: Builtin) -> None:
    """Raises `ComponentError` for the first setting whose value is not of its declared
    type.
    """
    definition: Any = type(component)
    for name, adapter in _field_types(definition).items():
        value = getattr(component, name)
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            setting = (
                f"{name}={value!r}"
                if definition.__dataclass_fields__[name].repr
                else name
            )
            raise ComponentError(
                f"{component.component_id}: {setting}: {problem[:1].lower()}{problem[1:]}"
            ) from None


@cache
def _field_types(definition: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(definition, include_extras=True)
    names = [item.name for item in dataclasses.fields(definition)]
    return {name: TypeAdapter(hints[name]) for name in names}
