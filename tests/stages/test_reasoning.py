"""Outputs apart from reasoning: every text that begins with it is found."""

from __future__ import annotations

import pytest

from tests.core.test_reasoning import REASONED
from themis_lib.core.reasoning import split_reasoning
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.reasoning import reasoning_apart, with_reasoning
from themis_lib.storage.tables import OUTPUTS, table_of


@pytest.mark.parametrize("text", REASONED)
def test_texts_are_found_by_their_marks(text: str) -> None:
    """The search that goes ahead, over a whole column, misses none."""
    outputs = table_of([{"output": canonical_json(text)}], OUTPUTS)
    expected = split_reasoning(text)

    (apart,) = reasoning_apart(outputs).to_pylist()
    (whole,) = with_reasoning(outputs).to_pylist()

    answer = canonical_json(expected.answer) if expected.answer else None
    assert (answer, expected.reasoning) == (apart["output"], apart["reasoning"])
    assert (answer is None) == (apart["error"] is not None)
    assert (canonical_json(text), expected.reasoning) == (
        whole["output"],
        whole["reasoning"],
    )


def test_table_without_reasoning_keeps_its_columns() -> None:
    """No text is copied."""
    texts = ["I think so", '{"a": "<think>"}', "4 < 5"]
    rows = [{"output": canonical_json(text)} for text in texts]
    outputs = table_of([*rows, {"output": '{"a":"<think>b</think>"}'}], OUTPUTS)

    apart = reasoning_apart(outputs)

    assert outputs["output"].equals(apart["output"])
    assert 4 == apart["reasoning"].null_count


def test_error_of_the_generator_is_kept() -> None:
    """What it says of a text that was cut off is the better reason."""
    row = {"output": canonical_json("<think>so"), "error": "the filter stopped it"}

    (apart,) = reasoning_apart(table_of([row], OUTPUTS)).to_pylist()

    assert (None, "so", "the filter stopped it") == (
        apart["output"],
        apart["reasoning"],
        apart["error"],
    )
