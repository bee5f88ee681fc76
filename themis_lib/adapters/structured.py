"""The form of an output: the response format to ask for, and the check of the reply."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import TypeAdapter

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.bounded.schemas import find_invalid, has_patterns
from themis_lib.errors import ComponentError
from themis_lib.identity.code import code_digest

#: The response formats whose outputs are JSON.
_JSON_TYPES = ("json_object", "json_schema")
#: Keywords of JSON Schema whose keys are the user's names, not keywords.
_NAMED_SCHEMAS = (
    "properties",
    "$defs",
    "definitions",
)
#: The longest name of a schema that the API accepts, and what it may not contain.
_NAME_CHARS = 64
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True)
class Structure:
    """A response format as Chat Completions writes it, and the check of an output.

    Without a response format the output is plain text.
    """

    response_format: JsonObject | None = None
    #: The digest of the classes whose validators decide as well.
    code: str | None = None
    #: Raises `ValueError` if a JSON text, given with its value, does not fit.
    check: Callable[[str, Any], Any] | None = None

    @property
    def is_json(self) -> bool:
        """Whether JSON is asked for."""
        asked = self.response_format
        return asked is not None and asked["type"] in _JSON_TYPES

    def read(self, text: str) -> Any:
        """Return the JSON value of an output, or its text if no JSON was asked for.

        Raises `ValueError` if the output does not fit.
        """
        if not self.is_json:
            return text
        value = json.loads(text)
        # The plain value is kept: what pydantic makes of it could not be stored.
        if self.check:
            self.check(text, value)
        return value


def structure(
    schema: Any,
    response_format: JsonObject | str | None,
) -> Structure:
    """Return the structure of a schema or of a response format.

    A schema is a JSON Schema, a pydantic model or a Python type. Raises
    `ComponentError` if both are given, or if either cannot be used.
    """
    if schema is not None and response_format is not None:
        raise ComponentError(
            "schema and response_format both say what the output looks like; give one"
        )
    if isinstance(schema, dict):
        title = str(schema.get("title", "output"))
        return Structure(
            json_schema_format(schema, name=title),
            check=_schema_check(schema),
        )
    if isinstance(schema, str):
        raise ComponentError(
            f"schema={schema!r:.80}: give a JSON Schema, a pydantic model or a Python "
            "type, not a text"
        )
    if schema is not None:
        return _structure_of_type(schema)
    if response_format is None:
        return Structure()
    if isinstance(response_format, str):
        if response_format not in ("json_object", "text"):
            raise ComponentError(_unknown_format(response_format))
        return Structure({"type": response_format})
    return _structure_of_format(response_format)


def json_schema_format(
    schema: JsonObject,
    *,
    name: str,
) -> JsonObject:
    """Return a response format for a JSON Schema, strict if the schema allows it."""
    allowed_name = _NOT_IN_NAME.sub("_", name)[:_NAME_CHARS]
    inner = {
        "name": allowed_name,
        "schema": schema,
        "strict": allows_strict(schema),
    }
    return {
        "type": "json_schema",
        "json_schema": inner,
    }


def allows_strict(schema: Any) -> bool:
    """Return whether strict mode accepts a schema.

    It asks that every object requires all of its properties and refuses others.
    """
    parts: list[Any] = []
    if isinstance(schema, list):
        parts.extend(schema)
    elif isinstance(schema, dict):
        if schema.get("type") == "object" or "properties" in schema:
            known = set(schema.get("properties", ()))
            if known != set(schema.get("required", ())):
                return False
            # Absent means true in JSON Schema: only a written `false` closes an object.
            if schema.get("additionalProperties") is not False:
                return False
        for key, value in schema.items():
            if key in _NAMED_SCHEMAS:
                parts.extend(value.values())
            else:
                parts.append(value)
    return all(map(allows_strict, parts))


def strict(schema: Any) -> Any:
    """Return a type's schema with every object closed and all properties required.

    >>> strict({"properties": {"a": {"default": 1, "type": "integer"}}})["required"]
    ['a']
    """
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made: JsonObject = {}
    for key, value in schema.items():
        # Strict mode refuses defaults: every property is required.
        if key == "default":
            continue
        # A property may be called "default" as well: its key is a name, no keyword.
        if key in _NAMED_SCHEMAS:
            made[key] = {name: strict(part) for name, part in value.items()}
        else:
            made[key] = strict(value)
    if "properties" in made:
        made["additionalProperties"] = False
        made["required"] = sorted(made["properties"])
    return made


def _unknown_format(response_format: Any) -> str:
    return (
        f"response_format={response_format!r}: write 'json_object', or an object with "
        "a `type`"
    )


def _structure_of_format(response_format: JsonObject) -> Structure:
    """Return the structure of a response format that is written in full."""
    if not isinstance(response_format.get("type"), str):
        raise ComponentError(_unknown_format(response_format))
    # Chat Completions nests the schema; the Responses API writes it flat.
    inner = response_format.get("json_schema", response_format)
    given = inner.get("schema") if isinstance(inner, dict) else None
    if response_format["type"] == "json_schema" and not isinstance(given, dict):
        raise ComponentError(
            "response_format: a json_schema needs a `schema`; or give the setting "
            "`schema` alone"
        )
    check = _schema_check(given) if given else None
    return Structure(response_format, check=check)


def _structure_of_type(schema: Any) -> Structure:
    """Return the structure of a pydantic model or another Python type."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(schema)
        made = strict(adapter.json_schema())
    except Exception as error:  # noqa: BLE001 - pydantic raises errors of several kinds here
        raise ComponentError(
            f"schema={schema!r:.80}: no JSON Schema can be made of it: {error}"
        ) from None

    def check(
        text: str,
        _: Any,
    ) -> Any:
        # From the text: JSON's own rules apply, such as an array for a tuple.
        return adapter.validate_json(text)

    name = schema.__name__ if isinstance(schema, type) else "output"
    # Sorted, so that the order of a union's members does not count.
    classes = sorted(code_digest(one) for one in _classes_in(schema))
    return Structure(
        json_schema_format(made, name=name),
        code=",".join(classes) or None,
        check=check,
    )


def _classes_in(schema: Any) -> Iterator[type]:
    """Yield the classes of a type whose code decides what fits."""
    # Python's own change with Python alone, which is no part of an identity.
    if isinstance(schema, type) and schema.__module__ not in ("builtins", "types"):
        yield schema
    for part in get_args(schema):
        yield from _classes_in(part)


def _schema_check(schema: Any) -> Callable[[str, Any], None]:
    """Return the check of a value against a JSON Schema."""
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for
    except ImportError as error:
        raise ComponentError(
            f"{error.name} is not installed: pip install 'themis-flows[openai]'"
        ) from None
    # The schema's own `$schema` chooses the draft.
    definition = validator_for(schema)
    try:
        definition.check_schema(schema)
    except SchemaError as error:
        raise ComponentError(f"schema: it is no JSON Schema: {error.message}") from None
    validator = definition(schema)
    # A regular expression could take for ever on what a model wrote.
    is_bounded = has_patterns(schema)

    def check(
        _: str,
        value: Any,
    ) -> None:
        # The first error alone: it becomes the reason in the row.
        if is_bounded:
            invalid = find_invalid(schema, value)
            if invalid is not None:
                raise ValueError(invalid.first)
            return
        for error in validator.iter_errors(value):
            raise ValueError(error.message)

    return check
