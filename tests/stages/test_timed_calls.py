"""Timed calls: the row's result with its seconds, for functions of every kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from themis_lib import Case, GenerationResult, PromptSpec
from themis_lib.core.contexts import GenerateContext
from themis_lib.stages.timed_calls import timed_coroutine, timed_function

CASES = [Case(case_id=name, input=name) for name in ("a", "b")]
CONTEXTS = [
    GenerateContext(
        run_id="run",
        case_id=case.case_id,
        dataset_id="letters",
        seed=seed,
        sample_index=None,
        prompt_spec=PromptSpec(),
    )
    for seed, case in enumerate(CASES)
]


def answer(
    case: Case,
    ctx: GenerateContext,
) -> GenerationResult:
    return GenerationResult(final_output=f"{case.input}/{ctx.seed}")


async def answer_async(
    case: Case,
    ctx: GenerateContext,
) -> GenerationResult:
    await asyncio.sleep(0)
    return answer(case, ctx)


def refuse(
    case: Case,
    ctx: GenerateContext,
) -> GenerationResult:
    raise ValueError(f"{case.input} is refused")


def check(
    timed: tuple[Any, float],
    expected: str,
) -> None:
    result, seconds = timed
    assert expected == result.final_output
    assert isinstance(seconds, float)


def test_coroutine_function_is_awaited() -> None:
    """The result is that of the row's case and context, the time that of the await."""
    call = timed_coroutine(answer_async, CASES, CONTEXTS)

    async def call_second() -> tuple[Any, float]:
        return await call(1)

    check(asyncio.run(call_second()), "b/1")


def test_plain_function_returns_at_once() -> None:
    """A plain function needs no loop."""
    check(timed_function(answer, CASES, CONTEXTS)(0), "a/0")


def test_plain_function_may_return_an_awaitable() -> None:
    """What the function returns is awaited, and timed until it is there."""
    call = timed_function(lambda case, ctx: answer_async(case, ctx), CASES, CONTEXTS)

    async def call_second() -> tuple[Any, float]:
        timed: tuple[Any, float] = await call(1)
        return timed

    check(asyncio.run(call_second()), "b/1")


def test_errors_of_the_function_are_passed_on() -> None:
    """An error is the row's, whatever it took to get it."""
    with pytest.raises(ValueError, match="b is refused"):
        timed_function(refuse, CASES, CONTEXTS)(1)
