"""Constraints on a text while it is generated: a JSON Schema, a regular expression or
a list of choices.

Whatever cannot be enforced is refused here, before a model is loaded. A constraint may
be narrower than what was asked for, never wider: every text generated under it
satisfies the request.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from themis_lib.engine.constraints.characters import escape_character
from themis_lib.engine.constraints.patterns import translate
from themis_lib.engine.constraints.refusals import check_encodable, refuse, shorten
from themis_lib.engine.constraints.schemas import Narrowing
from themis_lib.errors import ConfigError, nearest

Kind = Literal["json_schema", "regex", "choices"]

# JSON is compact, so that whitespace neither costs tokens nor varies between texts.
# Without \u each character of a JSON string has one spelling: otherwise a listed key
# could be written again in escapes, as an additional property.
_JSON_STYLE = {
    "whitespace_flexible": False,
    "item_separator": ",",
    "key_separator": ":",
    "json_allowed_escapes": 'nrbtf\\"',
}


@dataclass(
    frozen=True,
    slots=True,
)
class Constraint:
    """A condition on a whole text, compiled for decoding.

    `grammar` is what llguidance decodes; `source` is the JSON value to digest.
    """

    kind: Kind
    grammar: str
    # A mapping cannot be hashed; equality still compares it.
    source: Mapping[str, Any] = field(hash=False)

    @property
    def identity(self) -> dict[str, Any]:
        """The part of a row's identity that the constraint adds.

        It holds what was asked for and the version of llguidance, as another version
        may force other tokens.
        """
        return {
            **self.source,
            "llguidance": importlib.metadata.version("llguidance"),
        }


def constraint(
    *,
    schema: Any = None,
    regex: str | None = None,
    choices: Sequence[str] | None = None,
    response_format: Mapping[str, Any] | None = None,
) -> Constraint | None:
    """Return the constraint that one argument asks for, or `None` if any text will do.

    `schema` is a JSON Schema, a pydantic model or any type that pydantic understands;
    the text is compact JSON. An object that lists `properties` and does not mention
    others has no others, unless the schema composes objects. `regex` is a Python
    pattern that the whole text matches. One of the `choices` is the whole text, and a
    choice may be empty. `response_format` is OpenAI's. Raises `ConfigError` if more
    than one is given, and for what cannot be enforced or satisfied.
    """
    arguments = {
        "schema": schema,
        "regex": regex,
        "choices": choices,
        "response_format": response_format,
    }
    given = [repr(name) for name, value in arguments.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)} were given: "
            "a text has one constraint, keep one of them"
        )
    if schema is not None:
        return _compile_schema("schema", schema)
    if regex is not None:
        if not isinstance(regex, str):
            refuse(
                "regex",
                regex,
                "is not a text",
                "write the pattern in quotes",
            )
        grammar = _lark_grammar(translate(regex).text)
        return _validate_grammar(
            "regex",
            "regex",
            regex,
            grammar,
        )
    if choices is not None:
        return _compile_choices(choices)
    if response_format is not None:
        return _compile_response_format(response_format)
    return None


def _compile_response_format(
    response_format: Mapping[str, Any],
) -> Constraint | None:
    argument = "response_format"
    if not isinstance(response_format, Mapping):
        refuse(
            argument,
            response_format,
            "is not a mapping",
            'write {"type": "json_object"}',
        )
    kind = response_format.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return _compile_schema(argument, {"type": "object"})
    if kind != "json_schema":
        hint = nearest(
            str(kind),
            [
                "text",
                "json_object",
                "json_schema",
            ],
        )
        refuse(
            argument,
            response_format,
            f"has the unknown type {kind!r}",
            hint,
        )
    # Chat Completions nests the schema in `json_schema`; the Responses API does not.
    holder = response_format.get("json_schema", response_format)
    if not isinstance(holder, Mapping) or "schema" not in holder:
        fix = 'write {"type": "json_schema", "json_schema": {"name": …, "schema": {…}}}'
        refuse(
            argument,
            response_format,
            "has no schema",
            fix,
        )
    return _compile_schema(argument, holder["schema"])


def _compile_choices(choices: Sequence[str]) -> Constraint:
    # A string is a sequence too, but its letters are hardly meant as choices.
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
        refuse(
            "choices",
            choices,
            "is not a list of at least one text",
            'write ["yes", "no"]',
        )
    seen: set[str] = set()
    patterns: list[str] = []
    for index, choice in enumerate(choices):
        argument = f"choices[{index}]"
        if not isinstance(choice, str):
            refuse(
                argument,
                choice,
                "is not a text",
                "write it in quotes",
            )
        check_encodable(argument, choice)
        if choice in seen:
            refuse(
                argument,
                choice,
                "is there twice",
                "remove one of them",
            )
        seen.add(choice)
        patterns.append("".join(map(escape_character, choice)))
    grammar = _lark_grammar("|".join(patterns))
    return _validate_grammar(
        "choices",
        "choices",
        list(choices),
        grammar,
    )


def _compile_schema(
    argument: str,
    schema: Any,
) -> Constraint:
    given = _to_json_schema(argument, schema)
    # RecursionError: a mapping may contain itself.
    try:
        text = json.dumps(
            given,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
    except (TypeError, ValueError, RecursionError) as error:
        refuse(
            argument,
            given,
            f"is not JSON: {error}",
            "use JSON values only",
        )
    check_encodable(argument, text)
    # Read back from the text, the schema is plain JSON: no tuples, keys are strings.
    narrowed = Narrowing(argument, json.loads(text)).schema()
    if narrowed is False:
        refuse(
            argument,
            schema,
            "allows no text at all",
            "allow something",
        )
    root: dict[str, Any] = {}
    if narrowed is not True:
        root.update(narrowed)
    root["x-guidance"] = _JSON_STYLE
    grammar = json.dumps({"grammars": [{"json_schema": root}]}, ensure_ascii=False)
    # The source is text, since the order of the properties is part of the request and
    # a digest of a mapping would ignore it.
    return _validate_grammar(
        argument,
        "json_schema",
        text,
        grammar,
    )


def _validate_grammar(
    argument: str,
    kind: Kind,
    asked: Any,
    grammar: str,
) -> Constraint:
    """Return the constraint if llguidance accepts its grammar, otherwise refuse it."""
    # llguidance is an extra: it is imported only once a constraint is asked for.
    try:
        llguidance = importlib.import_module("llguidance")
    except ImportError:
        raise ConfigError(
            f"{argument} needs the package 'llguidance': pip install llguidance"
        ) from None
    # Warnings come in the same list as errors; alone they are no reason to refuse.
    is_invalid, messages = llguidance.LLMatcher.validate_grammar_with_warnings(grammar)
    if is_invalid:
        refuse(
            argument,
            asked,
            f"cannot be decoded: {shorten(messages[0], 200)}",
            "correct or simplify it",
        )
    return Constraint(
        kind=kind,
        grammar=grammar,
        source={
            "kind": kind,
            "value": asked,
        },
    )


def _lark_grammar(pattern: str) -> str:
    # The group keeps the alternatives of a pattern together.
    return json.dumps({"grammars": [{"lark_grammar": f"start: /(?:{pattern})/"}]})


def _to_json_schema(
    argument: str,
    schema: Any,
) -> Any:
    if isinstance(schema, Mapping | bool):
        return schema
    if isinstance(schema, str):
        # pydantic would read a text as a forward reference to a type.
        refuse(
            argument,
            schema,
            "is a text",
            "give the JSON Schema as a mapping, or a type",
        )
    # Imported here, as a constraint without a type needs no pydantic.
    from pydantic import BaseModel, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

    annotation = type(schema) if isinstance(schema, BaseModel) else schema
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        reason = str(error).splitlines()[0]
        refuse(
            argument,
            schema,
            f"has no JSON Schema: {reason}",
            "give a JSON Schema, a pydantic model or a type",
        )
