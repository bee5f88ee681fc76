"""SteadyText's names for text in a given form."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from pydantic import ValidationError as PydanticError

from tests.support.llama import needs_llama
from themis_lib import ConfigError, steadytext

pytestmark = [pytest.mark.usefixtures("empty_cache"), needs_llama]

PROMPT = "Tell me about a river."


class Point(BaseModel):
    x: int
    name: str


def test_each_is_generate_under_its_constraint() -> None:
    """The same text, with the same metadata."""
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    for text, arguments in (
        (steadytext.generate_json(PROMPT, schema, 20), {"schema": schema}),
        (steadytext.generate_regex(PROMPT, r".*: \d+", 20), {"regex": r".*: \d+"}),
        (steadytext.generate_choice(PROMPT, ["a", "b"], 20), {"choices": ["a", "b"]}),
        (steadytext.generate_format(PROMPT, bool, 20), {"schema": bool}),
    ):
        plain = steadytext.generate(PROMPT, 20, **arguments)
        assert plain == text
        assert plain.metadata == {**text.metadata, "cached": True}


def test_a_pydantic_model_becomes_an_instance() -> None:
    """From either function, and read from the text that the schema gives."""
    text = steadytext.generate_json(PROMPT, Point, 40, seed=7)
    asked: dict[str, Any] = {"max_tokens": 40, "seed": 7}

    expected = Point(**json.loads(text))
    assert expected == steadytext.generate_pydantic(PROMPT, Point, **asked)
    assert expected == steadytext.generate_json(
        PROMPT, Point, return_pydantic=True, **asked
    )


def test_other_arguments_are_those_of_generate() -> None:
    """By name, behind SteadyText's own."""
    text, logprobs = steadytext.generate_choice(
        PROMPT, ["yes", "no"], size="tiny", return_logprobs=True, temperature=0.5
    )

    assert text in ("yes", "no")
    assert 0 < logprobs["confidence"] <= 1
    with pytest.raises(TypeError, match="max_new_token"):
        steadytext.generate_regex(PROMPT, "a", max_new_token=5)


@pytest.mark.parametrize(
    ("function", "second"),
    [
        (steadytext.generate_json, "schema"),
        (steadytext.generate_regex, "pattern"),
        (steadytext.generate_choice, "choices"),
        (steadytext.generate_format, "format_type"),
        (steadytext.generate_pydantic, "model_class"),
    ],
)
def test_signatures_are_those_of_steadytext(function: Any, second: str) -> None:
    """Names, order and defaults."""
    parameters = inspect.signature(function).parameters

    names = ["prompt", second, "max_tokens", "model", "unsafe_mode", "seed"]
    assert names == list(parameters)[:6]
    defaults = [parameters[name].default for name in names[2:]]
    assert [512, None, False, 42] == defaults


@pytest.mark.parametrize(
    "call",
    [
        lambda: steadytext.generate_pydantic(PROMPT, dict),
        lambda: steadytext.generate_pydantic(PROMPT, Point(x=1, name="a")),
        lambda: steadytext.generate_json(PROMPT, {"type": "string"}, return_pydantic=1),
        lambda: steadytext.generate_pydantic(PROMPT, Point, return_logprobs=True),
        lambda: steadytext.generate_format(PROMPT, "int"),
        lambda: steadytext.generate_regex(PROMPT, "(?=a)b"),
        lambda: steadytext.generate_choice(PROMPT, []),
    ],
)
def test_wrong_forms_are_refused(call: Any) -> None:
    """Before a model writes anything."""
    with pytest.raises(ConfigError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: steadytext.generate_json(PROMPT, int, max_tokens=-1),
        lambda: steadytext.generate_pydantic(PROMPT, Point, max_tokens=-1),
        lambda: steadytext.generate_regex(PROMPT, "a+", max_tokens=-1),
        lambda: steadytext.generate_choice(PROMPT, ["a", "b"], max_tokens=-1),
        lambda: steadytext.generate_format(PROMPT, int, max_tokens=-1),
    ],
)
def test_a_wrong_length_is_refused_by_its_name(call: Any) -> None:
    """`generate` calls it otherwise."""
    with pytest.raises(ConfigError, match=r"^max_tokens=-1: write a whole number"):
        call()


def test_what_a_validator_refuses_is_an_error_of_pydantic() -> None:
    """A schema does not hold what is checked in Python."""

    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def refuse(cls, value: int) -> int:
            raise ValueError("never")

    with pytest.raises(PydanticError, match="never"):
        steadytext.generate_pydantic(PROMPT, Even, 20)
