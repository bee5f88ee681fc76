"""Functions as tools: the schema that a model is told, and arguments that fit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from themis_lib.core.tools import Tool, call_id
from themis_lib.errors import ComponentError, RowError


def weather(
    city: str,
    unit: Literal["C", "F"] = "C",
    days: Annotated[int, Field(ge=1, description="How many days.")] = 1,
    title: str | None = None,
) -> str:
    """Return the weather of a city."""
    return f"{city} {unit} {days} {title}"


def test_schema_is_that_of_the_signature():
    """Name, docstring, types, defaults and descriptions, without the titles of names."""
    function = Tool(weather).schema["function"]

    assert ("weather", "Return the weather of a city.") == (
        function["name"],
        function["description"],
    )
    assert {
        "type": "object",
        "additionalProperties": False,
        "required": ["city"],
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
            "days": {
                "type": "integer",
                "minimum": 1,
                "default": 1,
                "description": "How many days.",
            },
            "title": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    } == function["parameters"]


def test_arguments_are_those_that_were_given():
    """Defaults are the function's own."""
    assert {"city": "Rome", "days": 2} == Tool(weather).bind(
        {"city": "Rome", "days": "2"}
    )


def test_parameters_may_have_any_name():
    """Also those of pydantic's own methods."""
    assert {"schema": "a", "_under": 3} == Tool(named).bind(
        {"schema": "a", "_under": 3}
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"city": "Rome", "unit": "K"}, "unit"),
        ({"town": "Rome"}, "city: Field required; town: Extra inputs"),
        ([], "no JSON object"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: Any, reason: str):
    """The reason is for the model to read."""
    with pytest.raises(RowError, match=reason):
        Tool(weather).bind(arguments)


def named(schema: str, json: int = 1, _under: int = 2) -> str:
    return schema * json * _under


class Lock:
    """What no JSON can be."""


def untyped(city):
    return city


def starred(*cities: str) -> None: ...


def odd(handle: Lock) -> None: ...


@pytest.mark.parametrize("function", [untyped, starred, odd])
def test_function_without_a_schema_is_refused(function: Any):
    """A parameter that no schema can describe is an error before anything is asked."""
    with pytest.raises(ComponentError, match=f"tool '{function.__name__}'"):
        Tool(function)


def test_ids_of_calls_are_the_same_in_every_run():
    """They are made of the place of the call."""
    assert call_id([1, 0]) == call_id([1, 0]) != call_id([1, 1])
    assert 9 == len(call_id([1, 0]))
