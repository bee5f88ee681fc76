"""What a row without a score lacks, by its reason."""

from __future__ import annotations

import pytest

from themis_lib.errors import TransientError, describe
from themis_lib.stages.missing import Missing, missing_kind


@pytest.mark.parametrize(
    "reason",
    [
        "parse: no number in the output",
        "parse: the output is blank",
        "parse: no answer in the output",
        "parse: no option is named as the answer",
        "generate: the generator returned no output",
        "generate: the model refused: I cannot help with that",
        "generate: the provider's content filter stopped the answer",
        "generate: the graph ended without a final output",
        "generate: the output recorded for case 'a' is null",
        "no answer",
        'the value is no number: "four"',
        "the value names none of A, B: C",
        "the value holds no mathematics: x",
    ],
)
def test_reason_of_the_model_is_no_answer(reason: str) -> None:
    """The model said nothing that can be scored."""
    assert Missing.NO_ANSWER is missing_kind(reason)


@pytest.mark.parametrize(
    "reason",
    [
        None,
        "",
        f"generate: {describe(TransientError('503'))}",
        "generate: RuntimeError: the content filter is down",
        "generate: no output is recorded for case 'a'",
        "generate: HTTP 400: maximum context length is 8192 tokens",
        "parse: ValueError: bad",
        "parse: KeyError",
        "parse: the parser returned str, not a ParsedOutput",
        "parse: the parser's value cannot be kept: NaN",
        "the case has no expected output",
        "the expected output is no number: x",
        "judge: the judge's output is not in the form asked for",
        "ZeroDivisionError: division by zero",
        "the metric returned nan, which is no finite number",
    ],
)
def test_reason_of_anything_else_is_a_failure(reason: str | None) -> None:
    """A request, a component or the data set failed; so does what cannot be told."""
    assert Missing.FAILED is missing_kind(reason)


@pytest.mark.parametrize("finish_reason", ["content_filter", "length", "SAFETY"])
def test_output_that_ended_early_is_no_answer(finish_reason: str) -> None:
    """However its generator words the reason; an exception stays a failure."""
    assert Missing.FAILED is missing_kind("generate: stopped")
    assert Missing.NO_ANSWER is missing_kind("generate: stopped", finish_reason)
    assert Missing.FAILED is missing_kind("generate: OSError: gone", finish_reason)
