"""Python functions that a model may call: how it is told of them, and how they answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    create_model,
)

from themis_lib.errors import ComponentError, RowError, describe
from themis_lib.identity.digests import canonical_json, digest

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Tool:
    """A function as a tool: its name, its docstring and its annotated parameters.

    Raise `ComponentError` for a function whose parameters have no JSON Schema. The
    function is the identity: an edit of its code, and of what it reaches, is another
    tool.
    """

    definition: Callable[..., Any]

    def __post_init__(self) -> None:
        _ = self.parameters

    @property
    def component_id(self) -> str:
        """The name that the model calls it by."""
        return str(self.definition.__name__)

    @property
    def version(self) -> str:
        """Its code counts, so that it needs no version."""
        return "1"

    @property
    def runtime(self) -> tuple[str, ...]:
        """The names that the function reads and that cannot change a result."""
        return tuple(getattr(self.definition, "runtime", ()))

    def fingerprint(self) -> str:
        """Return what the model is told of it, as JSON."""
        return canonical_json(self.schema)

    @property
    def schema(self) -> dict[str, Any]:
        """The function as Chat Completions write it."""
        function = {
            "name": self.component_id,
            "description": inspect.getdoc(self.definition) or "",
            "parameters": self.parameters,
        }
        return {"type": "function", "function": function}

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        try:
            schema = self._arguments.model_json_schema()
        except Exception as error:  # noqa: BLE001 - pydantic has an error for each type
            raise ComponentError(
                f"tool {self.component_id!r}: its parameters have no JSON Schema: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
        plain: dict[str, Any] = _without_titles(schema)
        return plain

    def bind(self, arguments: JsonValue) -> dict[str, Any]:
        """Return the arguments of a call by name, of the annotated types.

        Raise `RowError` if they do not fit, in words for the model.
        """
        if not isinstance(arguments, dict):
            raise RowError("the arguments are no JSON object")
        try:
            bound = self._arguments.model_validate(arguments)
        except ValidationError as error:
            problems = []
            for item in error.errors(include_url=False):
                place = ".".join(map(str, item["loc"]))
                problems.append(f"{place}: {item['msg']}")
            raise RowError("; ".join(problems)) from None
        given = {}
        for name, told in type(bound).model_fields.items():
            if name in bound.model_fields_set:
                given[str(told.alias)] = getattr(bound, name)
        return given

    @cached_property
    def _arguments(self) -> type[BaseModel]:
        name = self.component_id
        try:
            hints = get_type_hints(self.definition, include_extras=True)
            signature = inspect.signature(self.definition)
        except (NameError, TypeError, ValueError) as error:
            raise ComponentError(f"tool {name!r}: {describe(error)}") from None
        fields: dict[str, Any] = {}
        for parameter in signature.parameters.values():
            if parameter.kind in _VARIADIC or parameter.name not in hints:
                raise ComponentError(
                    f"tool {name!r}: parameter {parameter.name!r}: annotate it with a "
                    "type, and write no * parameters; the model is told the types"
                )
            is_needed = parameter.default is inspect.Parameter.empty
            default = ... if is_needed else parameter.default
            # By an alias: a parameter may have the name of a method of pydantic's.
            told = Field(default=default, alias=parameter.name)
            fields[f"p{len(fields)}"] = (hints[parameter.name], told)
        try:
            return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        except Exception as error:  # noqa: BLE001 - pydantic has an error for each type
            raise ComponentError(
                f"tool {name!r}: {' '.join(str(error).split())[:200]}"
            ) from None


def call_id(after: JsonValue) -> str:
    """Return the id of a call by what was said before it: nine letters and digits.

    A provider's own ids differ at every call, and would be in the keys of later turns.
    """
    # Mistral takes ids of this form alone.
    return digest("tool call", after)[:9]


def _without_titles(schema: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names.

    They say nothing new, and another release may make others.
    """
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    plain = {}
    for name, item in schema.items():
        if name == "title" and isinstance(item, str):
            continue
        # A parameter may itself be called `title`: names of properties stay.
        if name in ("properties", "$defs") and isinstance(item, Mapping):
            plain[name] = {key: _without_titles(value) for key, value in item.items()}
        else:
            plain[name] = _without_titles(item)
    return plain
