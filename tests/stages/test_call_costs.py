"""The dollars of calls: the most before a call, and what it cost after it."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import (
    Case,
    FatalError,
    GenerationResult,
    Price,
    PromptSpec,
    TokenUsage,
)
from themis_lib.components.build import build
from themis_lib.core.contexts import GenerateContext
from themis_lib.stages.call_costs import CallCosts

#: A dollar for each input token, two for each of output.
PRICE = Price(input=1e6, output=2e6)


class Bounded:
    """Takes as many input tokens as the case says, and at most three of output."""

    component_id = "tests/bounded"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    def most_tokens(self, case: Case, ctx: GenerateContext) -> TokenUsage:
        assert case.case_id == ctx.case_id
        return TokenUsage(input_tokens=case.input, output_tokens=3)  # type: ignore[arg-type]

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult: ...


class Unbounded(Bounded):
    """Cannot say what a call takes."""

    most_tokens = None  # type: ignore[assignment]


def costs(
    generator: Any,
    *inputs: int,
) -> CallCosts:
    """The costs of a generator's calls for cases with these inputs."""
    cases, contexts = [], []
    for number in inputs:
        case = Case(case_id=f"case-{number}", input=number)
        context = GenerateContext(
            run_id="run",
            case_id=case.case_id,
            dataset_id="numbers",
            seed=1,
            sample_index=None,
            prompt_spec=PromptSpec(),
        )
        cases.append(case)
        contexts.append(context)
    return CallCosts(
        build("generator", generator, where="test"), PRICE, cases, contexts
    )


def used(**tokens: int) -> GenerationResult:
    return GenerationResult(final_output="x", usage=TokenUsage(**tokens))


def test_most_is_that_of_the_row() -> None:
    """Each row is priced by its own case, a batch by all of its rows."""
    of_rows = costs(Bounded(), 10, 20, 30)

    assert [16.0, 26.0, 36.0] == [of_rows.most(position) for position in range(3)]
    assert 62.0 == of_rows.most_of_batch(range(1, 3))


def test_generator_that_cannot_say_is_never_held_back() -> None:
    """Without `most_tokens` the most is nothing, for a row and for a batch."""
    of_rows = costs(Unbounded(), 10, 20)

    assert 0.0 == of_rows.most(1)
    assert 0.0 == of_rows.most_of_batch(range(2))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (used(input_tokens=5, output_tokens=1), 7.0),
        (GenerationResult(final_output="x"), 0.0),
        ("not a result", 0.0),
    ],
    ids=["tokens", "no usage", "no result"],
)
def test_cost_is_that_of_the_tokens(
    result: Any,
    expected: float,
) -> None:
    """A call costs its tokens; where a result counts none, nothing is known to be due."""
    of_rows = costs(Bounded(), 10)

    assert expected == of_rows.cost(0, (result, 0.5))
    assert expected == of_rows.cost_of_batch(range(1), [result])


def test_failed_row_of_a_batch_costs_the_most() -> None:
    """Nobody says what a failed row was charged, unless its error says it was free."""
    of_rows = costs(Bounded(), 10, 20, 30)
    free = FatalError("no credentials").marked(is_free=True)
    results = [ValueError("broken"), free, used(input_tokens=30, output_tokens=1)]

    assert 16.0 + 0.0 + 32.0 == of_rows.cost_of_batch(range(3), results)
