"""The base of built-in components: settings are dataclass fields, checked by type.

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
    """A component of the library.

    Subclasses are frozen dataclasses and set the class variables.
    """

    component_id: ClassVar[str]
    version: ClassVar[str] = "1"
    #: Settings that came after this version was on record. They count only if they are
    #: not at their default, so that rows stored without them are found.
    later_settings: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        self.check_settings()

    def check_settings(self) -> None:
        """Raise `ComponentError` for a setting that cannot be used, with its value.

        Here that is the first one whose value is not of its declared type.
        """
        definition: Any = type(self)
        for name, adapter in _field_types(definition).items():
            value = getattr(self, name)
            try:
                # Strict: else "1" would pass for 1, with another fingerprint.
                adapter.validate_python(value, strict=True)
            except ValidationError as error:
                problem = error.errors()[0]["msg"]
                # Fields without a repr may hold a credential.
                is_shown = definition.__dataclass_fields__[name].repr
                setting = f"{name}={value!r}" if is_shown else name
                raise ComponentError(
                    f"{self.component_id}: {setting}: "
                    f"{problem[:1].lower()}{problem[1:]}"
                ) from None

    def settings(self) -> dict[str, Any]:
        """Return every setting that can change a result, by name."""
        settings = {}
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if item.name in self.later_settings and value == item.default:
                continue
            settings[item.name] = value
        return settings

    def fingerprint(self) -> str:
        """Return the settings as canonical JSON."""
        return canonical_json(self.settings())


# Cached: making an adapter takes far longer than using it.
@cache
def _field_types(definition: Any) -> dict[str, TypeAdapter[Any]]:
    # Annotations are text in modules that postpone them; `Annotated` holds the limits.
    hints = get_type_hints(definition, include_extras=True)
    adapters = {}
    for item in dataclasses.fields(definition):
        adapters[item.name] = TypeAdapter(hints[item.name])
    return adapters
