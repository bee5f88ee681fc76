"""The filters of lm-eval's GSM8K."""

from __future__ import annotations

import pytest

from tests.support.golden_builtins import PARSE
from themis_lib.builtins.lm_eval_filters import FlexibleExtract, StrictMatch
from themis_lib.core.models import GenerationResult


@pytest.mark.parametrize(
    ("output", "strict", "flexible"),
    [
        ("9 * 2 = 18\n#### 18", "18", "18"),
        ("#### 1,234.50 dollars", "1,234.50", "1,234.50"),
        ("#### -3\n\nQ: next\n#### 5", "-3", "5"),
        ("The answer is $18.", None, "$18."),
        ("I sold 7", None, "7"),
        ("#### $18", None, "$18"),
        ("none", None, None),
    ],
)
def test_answers_are_those_of_lm_eval(output, strict, flexible):
    """As written: the first behind `####`, and the last number of the text."""
    result = GenerationResult(final_output=output)

    assert strict == StrictMatch().parse(result, PARSE).value
    assert flexible == FlexibleExtract().parse(result, PARSE).value


@pytest.mark.parametrize("parser", [StrictMatch(), FlexibleExtract()], ids=repr)
def test_output_without_an_answer_says_why(parser):
    """A null and a reason, as of every parser."""
    missing = parser.parse(GenerationResult(final_output=None), PARSE)
    found = parser.parse(GenerationResult(final_output="none"), PARSE)

    assert ["the output is null", "the pattern matches nothing in the output"] == [
        missing.error,
        found.error,
    ]
