"""Outputs that ended before the model had said all."""

from __future__ import annotations

import pyarrow as pa
import pytest

from themis_lib.stages.endings import Ending, count_endings, ending_of


@pytest.mark.parametrize(
    ("finish_reason", "ending"),
    [
        ("length", Ending.CUT),
        ("MAX_TOKENS", Ending.CUT),
        ("max_output_tokens", Ending.CUT),
        ("content_filter", Ending.FILTERED),
        ("SAFETY", Ending.FILTERED),
        ("sensitive", Ending.FILTERED),
        ("refusal", Ending.REFUSED),
        ("stop", None),
        ("tool_calls", None),
        (None, None),
    ],
)
def test_finish_reason_says_how_an_output_ended(
    finish_reason: str | None, ending: Ending | None
) -> None:
    """In the words of any provider."""
    assert ending is ending_of(finish_reason)


def test_endings_are_counted_by_row() -> None:
    """A refusal is one however it finished; what ended by itself is not counted."""
    outputs = pa.table(
        {
            "finish_reason": [
                "length",
                "stop",
                None,
                "stop",
                "length",
                "content_filter",
            ],
            "error": [None, None, "OSError", "the model refused: no", None, "filtered"],
        }
    )

    counted = count_endings(outputs)

    assert {Ending.CUT: 2, Ending.FILTERED: 1, Ending.REFUSED: 1} == counted
    assert {} == count_endings(outputs.slice(1, 2))
