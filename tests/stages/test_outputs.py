"""Generated results as rows, and rows as results."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from themis_lib import GenerationResult, Message, RowError, TokenUsage, TraceStep
from themis_lib.core.protocols import OUTPUT_COLUMNS
from themis_lib.stages.outputs import output_record, result_of, visible_results
from themis_lib.storage.tables import OUTPUTS, table_of

RESULT = GenerationResult(
    final_output={"b": 1, "a": [None]},
    finish_reason="stop",
    trace=[TraceStep(name="think", input=1)],
    conversation=[Message(role="user", content="x")],
    artifacts={"n": 2},
    transport={"id": "r"},
    usage=TokenUsage(input_tokens=3),
)


def test_row_holds_the_result() -> None:
    """What was written is read back, but for what the pipeline puts on."""
    row = output_record(RESULT, 0.1234567)

    assert '{"a":[null],"b":1}' == row["output"]
    assert (3, 0.123457) == (row["input_tokens"], row["latency_s"])
    assert RESULT.model_copy(update={"usage": None}) == result_of(row)


def test_exchange_is_among_the_artifacts() -> None:
    """For people: a component that reads artifacts is not given what differs at every
    call.
    """
    transport = {
        "request_id": "r",
        "response_id": "c",
        "headers": {"x-ratelimit-limit-requests": "60", "x-request-id": "r"},
        "raw_response": {"id": "c"},
    }
    row = output_record(RESULT.model_copy(update={"transport": transport}), 1.0)

    assert {
        "n": 2,
        "provider_request_id": "r",
        "rate_limit": {"x-ratelimit-limit-requests": "60"},
        "raw_response": {"id": "c"},
        "response_headers": transport["headers"],
    } == result_of(row).artifacts
    (seen,) = visible_results(table_of([row], OUTPUTS), ["artifacts"])
    assert {"n": 2} == seen.artifacts


def test_response_is_named_where_its_request_is_not() -> None:
    """Each is a provider's name for the exchange."""
    row = output_record(GenerationResult(transport={"response_id": "c"}), 1.0)

    assert {"provider_request_id": "c"} == result_of(row).artifacts


def test_generators_own_latency_wins() -> None:
    """It knows better than the caller how long the provider took."""
    assert (
        2.0
        == output_record(RESULT.model_copy(update={"latency_s": 2.0}), 9.0)["latency_s"]
    )


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("text", "the generator returned str, not a GenerationResult"),
        (
            GenerationResult(final_output=float("nan")),
            "the generator's result cannot be kept",
        ),
        (
            GenerationResult(final_output="x", artifacts={"f": object()}),
            "cannot be kept",
        ),
    ],
)
def test_what_is_not_json_is_a_fact(result: Any, expected: str) -> None:
    """It fails its row, not the run."""
    with pytest.raises(RowError, match=expected):
        output_record(result, None)


def test_nothing_at_all_is_an_error() -> None:
    """A result without output and without a reason has one put on."""
    assert (
        "the generator returned no output"
        == output_record(GenerationResult(), None)["error"]
    )
    given = GenerationResult(error="filtered")
    assert "filtered" == output_record(given, None)["error"]


@pytest.mark.parametrize("name", OUTPUT_COLUMNS)
def test_undeclared_columns_are_hidden(name: str) -> None:
    """A component sees the columns that it declares, and no other."""
    rows = table_of([dict(output_record(RESULT, None))], OUTPUTS)
    field = "final_output" if name == "output" else name

    (seen,) = visible_results(rows, [name])

    assert getattr(RESULT, field) == getattr(seen, field)
    assert seen == GenerationResult(**{field: getattr(RESULT, field)})


def test_columns_that_a_table_lacks_are_hidden() -> None:
    """Rows may hold only some of the columns."""
    assert [GenerationResult()] == visible_results(pa.table({"x": [1]}), ["output"])
