"""Plain functions as components."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from themis_lib import (
    Case,
    ComponentError,
    Experiment,
    GenerationResult,
    ParsedOutput,
    PromptSpec,
)
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


# Functions that an experiment names


def answer(prompt: str) -> str:
    return prompt.upper()


def first_word(output: str) -> str | None:
    return output.split()[0] if output.split() else None


def close(value: str, expected_output: str, tolerance: float = 0.0) -> bool:
    return abs(float(value) - float(expected_output)) <= tolerance


async def later(prompt: str) -> str:
    return prompt


def without_arguments() -> str:
    raise AssertionError("it was called")


def of_anything(*args: Any, **kwargs: Any) -> str:
    raise AssertionError("it was called")


def of_nothing(prompt: str) -> None:
    raise AssertionError("it was called")


def named_spec(**evaluation: Any) -> dict[str, Any]:
    cases = [{"case_id": "a", "input": "1.5 b", "expected_output": "1"}]
    return {
        "generation": {"generator": f"{__name__}:answer"},
        "evaluation": evaluation,
        "datasets": [{"dataset_id": "d", "cases": cases}],
    }


def test_functions_are_named_in_an_experiment() -> None:
    """As models, parsers and metrics, with parameters or without."""
    metrics = [
        {"use": f"{__name__}:close", "id": "exact"},
        {"use": f"{__name__}:close", "id": "near", "tolerance": 0.5},
    ]
    spec = named_spec(parsers=[f"{__name__}:first_word"], metrics=metrics)

    run = Experiment.model_validate(spec).run()

    assert [("exact", 0.0), ("near", 1.0)] == [
        (row.metric_id, row.mean) for row in run.summary
    ]
    assert ["answer"] == [run.manifest.stages[0].identity["generator"]["component_id"]]


def test_parameter_of_a_named_function_is_identity() -> None:
    """Another value is another metric, and only that."""

    def fingerprints(tolerance: float) -> list[str]:
        metric = {"use": f"{__name__}:close", "id": "m", "tolerance": tolerance}
        pipeline = Experiment.model_validate(named_spec(metrics=[metric])).compile()
        return [stage.fingerprint for stage in pipeline.stages]

    before, after = fingerprints(0.1), fingerprints(0.2)

    assert before[:2] == after[:2]
    assert before[2] != after[2]
    assert before == fingerprints(0.1)


def test_named_function_is_the_same_as_in_code() -> None:
    """Its rows are found by either."""
    named = Experiment.model_validate(named_spec()).compile()
    spec = {**named_spec(), "generation": {"generator": as_generator(answer)}}
    in_code = Experiment.model_validate(spec).compile()

    assert named.generate.fingerprint == in_code.generate.fingerprint


def test_async_function_may_be_named() -> None:
    """It is awaited."""
    spec = named_spec()
    spec["generation"]["generator"] = f"{__name__}:later"

    assert ['"1.5 b"'] == Experiment.model_validate(spec).run().table("outputs")[
        "output"
    ].to_pylist()


@pytest.mark.parametrize(
    "name",
    [
        f"{__name__}:without_arguments",
        f"{__name__}:of_anything",
        f"{__name__}:of_nothing",
        "subprocess:getoutput",
        "os:system",
        "builtins:eval",
        "json:loads",
        "yaml:unsafe_load",
        "themis_lib.errors:describe",
    ],
)
def test_other_functions_are_refused(name: str) -> None:
    """Those of libraries, and those that do not take what the kind gives them."""
    spec = named_spec()
    spec["generation"]["generator"] = name

    with pytest.raises(ComponentError) as failure:
        Experiment.model_validate(spec).compile()

    assert "it is not called" in str(failure.value)
    assert "a function of your own of (prompt)" in str(failure.value)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"tolerence": 1}, "got an unexpected keyword argument 'tolerence'"),
        ({"value": 1}, "multiple values for argument 'value'"),
    ],
)
def test_parameter_that_a_function_does_not_take(
    parameters: dict[str, Any], expected: str
) -> None:
    """It is named before anything is generated."""
    metric = {"use": f"{__name__}:close", **parameters}

    with pytest.raises(ComponentError) as failure:
        Experiment.model_validate(named_spec(metrics=[metric])).compile()

    assert "is called with (value, expected_output) and its parameters" in str(
        failure.value
    )
    assert expected in str(failure.value)
