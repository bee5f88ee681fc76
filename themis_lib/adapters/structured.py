"""What an output must look like: a response format to ask for, and the check of what
comes back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import TypeAdapter

from themis_lib.errors import ComponentError
from themis_lib.identity.code import code_digest


@dataclass(frozen=True)
class Structure:
    """A response format as Chat Completions writes it, null for plain text, and what
    else decides whether it fits.
    """

    response_format: dict[str, Any] | None = None
    #: The code of a class whose validators decide as well.
    code: str | None = None
    #: Raises `ValueError` for a JSON text that does not fit, or its value.
    check: Callable[[str, Any], Any] | None = None

    def read(self, text: str) -> Any:
        """The JSON value of an output, or its text where no JSON was asked for. Raises
        `ValueError` if it is unfit.
        """
        if self.response_format is None or self.response_format["type"] not in (
            "json_object",
            "json_schema",
        ):
            return text
        value = json.loads(text)
        if self.check:
            self.check(text, value)
        return value


def structure(
    schema: Any,
    response_format: dict[str, Any] | str | None,
) -> Structure:
    """The structure of a schema (JSON Schema, pydantic model or Python type) or of a
    response format.

    Raises `ComponentError` where both are given, or one of them is of no use.
    """
    if schema is not None and response_format is not None:
        raise ComponentError(
            "schema and response_format both say what the output looks like; give one"
        )
    if isinstance(schema, dict):
        named = json_schema_format(schema, name=str(schema.get("title", "output")))
        return Structure(named, check=_schema_check(schema))
    if isinstance(schema, str):
        raise ComponentError(
            f"schema={schema!r:.80}: give a JSON Schema, a pydantic model or a Python type, not a text"
        )
    if schema is not None:
        return _of_type(schema)
    if response_format in ("json_object", "text"):
        return Structure({"type": response_format})
    if response_format is None:
        return Structure()
    if isinstance(response_format, str) or not isinstance(
        response_format.get("type"), str
    ):
        raise ComponentError(
            f"response_format={response_format!r}: write 'json_object', or an object with a `type`"
        )
    inner = response_format.get(
        "json_schema", response_format
    )  # flat, as the Responses API writes it
    given = inner.get("schema") if isinstance(inner, dict) else None
    if response_format["type"] == "json_schema" and not isinstance(given, dict):
        raise ComponentError(
            "response_format: a json_schema needs a `schema`; or give the setting `schema` alone"
        )
    return Structure(response_format, check=_schema_check(given) if given else None)


def json_schema_format(
    schema: dict[str, Any],
    *,
    name: str,
) -> dict[str, Any]:
    """A response format that asks for a JSON Schema, strictly where the schema allows
    that.
    """
    allowed = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]  # as the API wants it
    return {
        "type": "json_schema",
        "json_schema": {
            "name": allowed,
            "schema": schema,
            "strict": allows_strict(schema),
        },
    }


def allows_strict(schema: Any) -> bool:
    """Whether every object of a schema lists all its properties as required and refuses
    others, as strict mode asks.
    """
    if isinstance(schema, dict) and (
        schema.get("type") == "object" or "properties" in schema
    ):
        known = set(schema.get("properties", ()))
        if schema.get("additionalProperties") is not False or known != set(
            schema.get("required", ())
        ):
            return False
    return all(map(allows_strict, _iter_subschemas(schema)))


def strict(schema: Any) -> Any:
    """A schema made from a type, with every object closed and all of its properties
    required.

    >>> strict({"properties": {"a": {"default": 1, "type": "integer"}}})["required"]
    ['a']
    """
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: {name: strict(part) for name, part in value.items()}
        if key in _NAMED_SCHEMAS
        else strict(value)
        for key, value in schema.items()
        if key != "default"
    }
    if "properties" in made:
        made |= {"additionalProperties": False, "required": sorted(made["properties"])}
    return made


#: Keywords whose keys are names of the user's and no keywords.
_NAMED_SCHEMAS = ("properties", "$defs", "definitions")


def _iter_subschemas(schema: Any) -> Iterator[Any]:
    if isinstance(schema, list):
        yield from schema
    elif isinstance(schema, dict):
        for key, value in schema.items():
            yield from value.values() if key in _NAMED_SCHEMAS else [value]


def _of_type(schema: Any) -> Structure:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(schema)
        made = strict(adapter.json_schema())
    except Exception as error:  # noqa: BLE001 - pydantic raises its own kinds for what is no type
        raise ComponentError(
            f"schema={schema!r:.80}: no JSON Schema can be made of it: {error}"
        ) from None
    classes = sorted(code_digest(one) for one in _classes_in(schema))
    return Structure(
        json_schema_format(
            made, name=schema.__name__ if isinstance(schema, type) else "output"
        ),
        code=",".join(classes) or None,
        check=lambda text, _: adapter.validate_json(text),
    )


def _classes_in(schema: Any) -> Iterator[type]:
    """The classes of a type that are not Python's own, whose code decides what fits."""
    if isinstance(schema, type) and schema.__module__ not in ("builtins", "types"):
        yield schema
    for part in get_args(schema):
        yield from _classes_in(part)


def _schema_check(schema: Any) -> Callable[[str, Any], None]:
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for
    except ImportError as error:
        raise ComponentError(
            f"{error.name} is not installed: pip install 'themis-flows[openai]'"
        ) from None
    definition = validator_for(schema)
    try:
        definition.check_schema(schema)
    except SchemaError as error:
        raise ComponentError(f"schema: it is no JSON Schema: {error.message}") from None
    validator = definition(schema)

    def check(
        _: str,
        value: Any,
    ) -> None:
        for error in validator.iter_errors(value):
            raise ValueError(error.message)

    return check
