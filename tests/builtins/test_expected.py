"""The base of metrics against an expected output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from tests.support.scoring import reason, score
from themis_lib.builtins.expected import ExpectedMetric, accepted_texts, shown
from themis_lib.core.models import Score


@dataclass(frozen=True)
class Same(ExpectedMetric):
    """1 where both are equal in Python, else 0."""

    component_id: ClassVar[str] = "builtin/same"

    def _score_value(self, value: Any, expected: Any) -> Score:
        return Score(value=float(value == expected))


@pytest.mark.parametrize("value", [False, 0, "", []])
def test_falsy_values_are_answers(value: Any) -> None:
    """Only a null is a missing answer or a missing expected output."""
    assert 1.0 == score(Same(), value, value)


def test_missing_side_is_named_and_never_scored() -> None:
    """The answer first: without one it does not matter what was expected."""
    assert "no answer" == reason(Same(), None, "4")
    assert "no answer" == reason(Same(), None, None)
    assert "the case has no expected output" == reason(Same(), "4", None)


@pytest.mark.parametrize(
    ("expected", "texts"),
    [
        ("4", ["4"]),
        (4.5, ["4.5"]),
        (["4", 4, {"b": 1, "a": None}], ["4", "4", '{"a":null,"b":1}']),
        ([["4"]], ['["4"]']),
        ([], []),
    ],
)
def test_list_accepts_each_of_its_items(expected: Any, texts: list[str]) -> None:
    """What is no text counts as its canonical JSON, a list within a list too."""
    assert texts == accepted_texts(expected)


@pytest.mark.parametrize(
    ("length", "ending"),
    [(58, 'x"'), (59, "x…")],
)
def test_long_value_is_cut_in_messages(length: int, ending: str) -> None:
    """Sixty characters fit, quotes included; of more the last is an ellipsis."""
    text = shown("x" * length)

    assert 60 == len(text)
    assert text.endswith(ending)
