"""Answers that could never equal an expected output, found before a call is made."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import ConfigError, Experiment


def experiment(parser: str, *expected: Any, metric: str = "builtin/exact_match") -> Any:
    cases = [
        {"case_id": str(at), "input": "B", "expected_output": value}
        for at, value in enumerate(expected)
    ]
    return Experiment.model_validate(
        {
            "generation": {"generator": "builtin/demo_generator"},
            "evaluation": {"parsers": [parser], "metrics": [metric]},
            "datasets": [{"dataset_id": "d", "cases": cases}],
        }
    )


@pytest.mark.parametrize(
    ("parser", "expected", "fix"),
    [
        ("builtin/choice_letter", (1, 0), "map: letter"),
        ("builtin/choice_letter", ("Paris", "Rome"), "builtin/choice_accuracy"),
        ("builtin/number", ("42", "7"), "builtin/numeric_match"),
    ],
)
def test_answers_of_another_kind_are_refused(
    parser: str, expected: tuple[Any, ...], fix: str
) -> None:
    """The message has one of the expected outputs, and what to do."""
    with pytest.raises(ConfigError, match=f"^dataset 'd': .*{parser}") as failure:
        experiment(parser, *expected).run()

    assert fix in str(failure.value)


def test_letter_beyond_those_of_the_parser_is_refused() -> None:
    """Labels from 1 to 4, mapped as if they counted from 0, end in E."""
    with pytest.raises(ConfigError, match=r"'E' is none of the letters ABCD.*first: 1"):
        experiment("builtin/choice_letter", "B", "E").run()


def test_expected_output_that_is_no_choice_is_refused() -> None:
    """A generator that rates given answers returns none but these."""
    rated = {
        "generation": {
            "generator": {"use": "llama_choice", "model": "tiny", "choices": ["A", "B"]}
        },
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {"case_id": "0", "input": "?", "expected_output": "b"},
                    {"case_id": "1", "input": "?", "expected_output": "C"},
                ],
            }
        ],
    }

    with pytest.raises(ConfigError, match=r"'C' is none of the generator's choices"):
        Experiment.model_validate(rated).run()


@pytest.mark.parametrize(
    ("parser", "expected", "metric"),
    [
        ("builtin/choice_letter", ("Paris", "B"), "builtin/exact_match"),
        ("builtin/choice_letter", ("b", None), "builtin/exact_match"),
        ("builtin/choice_letter", (1, 0), "builtin/choice_accuracy"),
        ("builtin/number", ("42", 7.5), "builtin/exact_match"),
        ("builtin/number", ("42", "7"), "builtin/numeric_match"),
        ("builtin/text", (1, 0), "builtin/exact_match"),
    ],
)
def test_whatever_could_be_equal_is_scored(
    parser: str, expected: tuple[Any, ...], metric: str
) -> None:
    """One expected output of the right kind is enough, and other metrics convert."""
    result = experiment(parser, *expected, metric=metric).run()

    assert len(expected) == result.table("scores").num_rows
