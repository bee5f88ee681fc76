"""Plain functions as components."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from themis_lib import Case, ComponentError, GenerationResult, ParsedOutput, PromptSpec
from themis_lib.builtins.metrics import ExactMatch
from themis_lib.components.build import build
from themis_lib.components.functions import (
    FunctionGenerator,
    as_generator,
    as_metric,
    as_parser,
)
from themis_lib.core.contexts import GenerateContext, ParseContext, ScoreContext

CASE = Case(case_id="c", input="ask", expected_output="ASK")


def context() -> GenerateContext:
    return GenerateContext("run", "c", "data", 1, None, PromptSpec(prefix="please"))


def shout(prompt: str) -> str:
    return prompt.upper()


def join(left: str, right: str) -> str:
    return left + right


def test_model_gets_the_rendered_prompt() -> None:
    """A function of the prompt is a generator."""
    generator: Any = as_generator(shout)

    assert "PLEASE\n\nASK" == generator.generate(CASE, context()).final_output


def test_async_functions_are_awaited() -> None:
    """Models, parsers and metrics may be async."""

    async def model(prompt: str) -> str:
        return prompt

    async def parser(output: str) -> str:
        return output[:1]

    async def metric(value: str, expected: str) -> bool:
        return value == expected

    async def results() -> list[Any]:
        generator: Any = as_generator(model)
        parse: Any = as_parser(parser)
        score: Any = as_metric(metric)
        parsed = ParsedOutput(value="ASK")
        return [
            await generator.generate(CASE, context()),
            await parse.parse(GenerationResult(final_output="xy"), ParseContext(CASE)),
            await score.score(parsed, CASE, ScoreContext(GenerationResult())),
        ]

    generated, parsed, score = asyncio.run(results())

    assert "please\n\nask" == generated.final_output
    assert "x" == parsed.value
    assert 1.0 == score.value


def test_components_and_names_stay_as_they_are() -> None:
    """Only functions are wrapped."""
    metric = ExactMatch()

    assert metric is as_metric(metric)
    assert "builtin/f1" == as_metric("builtin/f1")
    assert {"use": "x"} == as_parser({"use": "x"})


def test_bound_values_are_identity() -> None:
    """A partial's arguments tell it apart; the name is the function's."""
    first = build("generator", FunctionGenerator(partial(join, "a")), where="test")
    second = build("generator", FunctionGenerator(partial(join, "b")), where="test")

    assert "join" == first.component_id == second.component_id
    assert first.identity != second.identity


def test_bound_values_that_cannot_be_seen_are_refused() -> None:
    """What has no content that can be compared cannot be in a key."""
    with pytest.raises(ComponentError, match=r"runtime = .*or give the component"):
        build("generator", FunctionGenerator(partial(join, iter(()))), where="test")
