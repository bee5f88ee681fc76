"""What a text must satisfy while it is written: a JSON Schema, a regular expression or
a list of choices.

Everything a constraint cannot enforce is refused here, before a model is loaded. A
constraint may be narrower than what was asked for, never wider: whatever is written
under it satisfies it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from themis_lib.engine.constraints.patterns import translated, written
from themis_lib.engine.constraints.refusals import check_encodable, refuse, shortened
from themis_lib.engine.constraints.schemas import Narrowing
from themis_lib.errors import ConfigError, nearest

Kind = Literal["json_schema", "regex", "choices"]


@dataclass(
    frozen=True,
    slots=True,
)
class Constraint:
    """What a text must satisfy; `grammar` is what llguidance decodes, `source` the JSON
    value to digest.
    """

    kind: Kind
    grammar: str
    source: Mapping[str, Any] = field(hash=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the text beside the model: what was asked for, and the version
        that decodes it.
        """
        return {**self.source, "llguidance": importlib.metadata.version("llguidance")}


def constraint(
    *,
    schema: Any = None,
    regex: str | None = None,
    choices: Sequence[str] | None = None,
    response_format: Mapping[str, Any] | None = None,
) -> Constraint | None:
    """The constraint one of the arguments asks for, or None where none does or any text
    is welcome.

    `schema` is a JSON Schema, a pydantic model or any type pydantic understands; the
    text is compact JSON. An object that lists `properties` and does not mention others
    has no others, unless the schema composes objects. `regex` is Python's; the whole
    text matches it. One of the `choices` is the whole text, the empty one included.
    `response_format` is OpenAI's. Raises `ConfigError` for two of them, and for what
    cannot be enforced or satisfied.
    """
    given = {
        "schema": schema,
        "regex": regex,
        "choices": choices,
        "response_format": response_format,
    }
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ConfigError(
            f"{' and '.join(map(repr, named))} were given: a text has one constraint, keep one of them"
        )
    if schema is not None:
        return _of_schema("schema", schema)
    if regex is not None:
        return _of_regex(regex)
    if choices is not None:
        return _of_choices(choices)
    return None if response_format is None else _of_response_format(response_format)


def _of_response_format(response_format: Mapping[str, Any]) -> Constraint | None:
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
        return _of_schema(argument, {"type": "object"})
    if kind != "json_schema":
        hint = nearest(str(kind), ["text", "json_object", "json_schema"])
        refuse(
            argument,
            response_format,
            f"has the unknown type {kind!r}",
            hint,
        )
    holder = response_format.get("json_schema", response_format)
    if not isinstance(holder, Mapping) or "schema" not in holder:
        fix = 'write {"type": "json_schema", "json_schema": {"name": …, "schema": {…}}}'
        refuse(
            argument,
            response_format,
            "has no schema",
            fix,
        )
    return _of_schema(argument, holder["schema"])


def _of_choices(choices: Sequence[str]) -> Constraint:
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
        refuse(
            "choices",
            choices,
            "is not a list of at least one text",
            'write ["yes", "no"]',
        )
    seen: set[str] = set()
    for index, choice in enumerate(choices):
        if not isinstance(choice, str):
            refuse(
                f"choices[{index}]",
                choice,
                "is not a text",
                "write it in quotes",
            )
        check_encodable(f"choices[{index}]", choice)
        if choice in seen:
            refuse(
                f"choices[{index}]",
                choice,
                "is there twice",
                "remove one of them",
            )
        seen.add(choice)
    pattern = "|".join("".join(map(written, choice)) for choice in choices)
    return _checked_constraint(
        "choices",
        "choices",
        list(choices),
        _lark_grammar(f"(?:{pattern})"),
    )


def _of_regex(regex: str) -> Constraint:
    if not isinstance(regex, str):
        refuse(
            "regex",
            regex,
            "is not a text",
            "write the pattern in quotes",
        )
    return _checked_constraint(
        "regex",
        "regex",
        regex,
        _lark_grammar(f"(?:{translated(regex).text})"),
    )


def _of_schema(
    argument: str,
    schema: Any,
) -> Constraint:
    plain = _as_json_schema(argument, schema)
    text = _dump_schema(argument, plain)
    narrowed = Narrowing(argument, json.loads(text)).schema()
    if narrowed is False:
        refuse(
            argument,
            schema,
            "allows no text at all",
            "allow something",
        )
    root = {} if narrowed is True else narrowed
    # Without \u every character of a JSON string has one spelling, so that a listed key
    # cannot return in disguise.
    options = {
        "whitespace_flexible": False,
        "item_separator": ",",
        "key_separator": ":",
    }
    root = {**root, "x-guidance": {**options, "json_allowed_escapes": 'nrbtf\\"'}}
    # As text: the order of the properties is part of what is asked for.
    grammar = json.dumps({"grammars": [{"json_schema": root}]}, ensure_ascii=False)
    return _checked_constraint(
        argument,
        "json_schema",
        text,
        grammar,
    )


def _checked_constraint(
    argument: str,
    kind: Kind,
    asked: Any,
    grammar: str,
) -> Constraint:
    try:
        llguidance = importlib.import_module("llguidance")
    except ImportError:
        raise ConfigError(
            f"{argument} needs the package 'llguidance': pip install llguidance"
        ) from None
    wrong, problems = llguidance.LLMatcher.validate_grammar_with_warnings(grammar)
    if wrong:
        refuse(
            argument,
            asked,
            f"cannot be decoded: {shortened(problems[0], 200)}",
            "correct or simplify it",
        )
    return Constraint(
        kind=kind,
        grammar=grammar,
        source={"kind": kind, "value": asked},
    )


def _lark_grammar(pattern: str) -> str:
    return json.dumps({"grammars": [{"lark_grammar": f"start: /{pattern}/"}]})


def _as_json_schema(
    argument: str,
    schema: Any,
) -> Any:
    if isinstance(schema, Mapping | bool):
        return schema
    if isinstance(schema, str):
        refuse(
            argument,
            schema,
            "is a text",
            "give the JSON Schema as a mapping, or a type",
        )
    from pydantic import BaseModel, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

    annotation = type(schema) if isinstance(schema, BaseModel) else schema
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        fix = "give a JSON Schema, a pydantic model or a type"
        refuse(
            argument,
            schema,
            f"has no JSON Schema: {str(error).splitlines()[0]}",
            fix,
        )


def _dump_schema(
    argument: str,
    schema: Any,
) -> str:
    try:
        text = json.dumps(
            schema,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
    except (TypeError, ValueError, RecursionError) as error:
        refuse(
            argument,
            schema,
            f"is not JSON: {error}",
            "use JSON values only",
        )
    check_encodable(argument, text)
    return text
