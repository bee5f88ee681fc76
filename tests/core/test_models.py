"""The nouns of an evaluation: what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from themis_lib import (
    Case,
    Dataset,
    GenerationResult,
    ReducedCandidate,
    Score,
    TokenUsage,
    TraceStep,
)


def test_misspelt_fields_are_refused() -> None:
    """An unknown field is an error, so that nothing is lost in silence."""
    with pytest.raises(ValidationError, match="expected_ouput"):
        Case(case_id="c", input="x", expected_ouput="y")


@pytest.mark.parametrize(
    ("kind", "given", "name"),
    [
        (GenerationResult, {"token_usage": {"input_tokens": 3}}, "usage"),
        (GenerationResult, {"latency_ms": 3}, "latency_s"),
        (TraceStep, {"step_name": "think"}, "name"),
    ],
)
def test_other_name_of_a_field_says_its_name_here(
    kind: Any, given: dict[str, Any], name: str
) -> None:
    """Written or read; another unknown name is unknown."""
    (other,) = given
    whole = kind(name="think") if kind is TraceStep else kind()

    for validate in (lambda: kind(**given), lambda: kind.model_validate(given)):
        with pytest.raises(ValidationError, match=f"no '{other}'; it is '{name}' here"):
            validate()
    with pytest.raises(AttributeError, match=f"no '{other}'; it is '{name}' here"):
        getattr(whole, other)
    assert not hasattr(whole, "nothing")


def test_values_are_frozen() -> None:
    """A result cannot be changed after it was returned."""
    result = GenerationResult(final_output="a")

    with pytest.raises(ValidationError, match="frozen"):
        result.final_output = "b"


def test_case_ids_are_unique() -> None:
    """Two cases of one id are refused; two equal cases under two ids are not."""
    twins = [Case(case_id=name, input="x") for name in ("a", "b")]

    assert 2 == len(Dataset(dataset_id="d", cases=twins).cases)
    with pytest.raises(ValidationError, match="'a' appears twice"):
        Dataset(dataset_id="d", cases=[twins[0], twins[0]])


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (TokenUsage, {"input_tokens": -1}),
        (TokenUsage, {"input_tokens": 2**63}),
        (ReducedCandidate, {"score": 1.0, "sample_index": -1}),
        (ReducedCandidate, {"score": 1.0, "sample_index": 2**31}),
        (Score, {}),
    ],
)
def test_what_no_table_can_hold_is_refused(kind: Any, fields: dict[str, Any]) -> None:
    """Counts and indices fit the columns they are stored in; a score says its value."""
    with pytest.raises(ValidationError):
        kind(**fields)
