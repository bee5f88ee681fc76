"""What the stages read from a shard."""

from __future__ import annotations

import pyarrow as pa
import pytest

from themis_lib import InMemoryRunStore, ParsedOutput, StoreError
from themis_lib.identity.part import Part
from themis_lib.stages.reading import (
    HIDDEN_CASE_ID,
    answer_digests,
    answer_rows,
    carried_errors,
    parsed_outputs,
    read,
    sample_rows,
    visible_cases,
)
from themis_lib.storage.shard import Shard
from themis_lib.storage.tables import ANSWERS, CASES, KEY, OUTPUTS, table_of

STORE = InMemoryRunStore()


def key(number: int) -> bytes:
    return bytes([number]) * 16


@pytest.fixture
def shard() -> Shard:
    """Two cases, two samples each; the second case has no output, its sample no
    answer.
    """
    cases = table_of(
        [
            {"dataset_id": "d", "case_id": name, "input": f'"{name}"', "metadata": "{}"}
            for name in ("a", "b")
        ],
        CASES,
    )
    outputs = table_of(
        [
            {"key": key(1), "output": '"1"'},
            {"key": key(2), "output": '"2"'},
            {"key": key(3), "error": "down"},
            {"key": None, "error": "upstream: gone"},
        ],
        pa.schema([KEY, *OUTPUTS]),
    )
    answers = table_of(
        [
            {"key": key(4), "value": "1"},
            {"key": key(5), "error": "no answer"},
            {"key": None, "error": "generate: down"},
            {"key": None, "error": "upstream: gone"},
        ],
        pa.schema([KEY, *ANSWERS]),
    )
    return Shard(
        index=0,
        start=0,
        dataset_id="d",
        cases=STORE.replace_part("cases", cases),
        outputs=STORE.replace_part("outputs", outputs),
        answers=STORE.replace_part("answers", answers),
    )


def test_samples_of_a_case_are_next_to_each_other(shard: Shard) -> None:
    """Each case is repeated for its samples, numbered from 0."""
    rows = sample_rows(shard, STORE, 2, ["input"])

    assert ["a", "a", "b", "b"] == rows["case_id"].to_pylist()
    assert [0, 1, 0, 1] == rows["sample_index"].to_pylist()
    assert ["dataset_id", "case_id", "input", "sample_index"] == list(rows)


def test_errors_are_carried_under_the_name_of_their_stage(shard: Shard) -> None:
    """A row without a key has the name of an earlier stage already."""
    errors = carried_errors(read(STORE, shard.outputs), "generate")

    assert [None, None, "generate: down", "upstream: gone"] == errors.to_pylist()


def test_metric_of_the_output_needs_no_answer(shard: Shard) -> None:
    """Its rows carry the errors of generate; those of other metrics the errors of
    parse.
    """
    of_output = answer_rows(shard, STORE, ("output",), 2)["error"].to_pylist()
    of_answer = answer_rows(shard, STORE, ("value", "output"), 2)["error"].to_pylist()

    assert [None, None, "generate: down", "upstream: gone"] == of_output
    assert [None, "parse: no answer", "generate: down", "upstream: gone"] == of_answer


def test_digests_are_of_what_is_read(shard: Shard) -> None:
    """The names of the columns that `answer_rows` reads, by table."""
    digests = answer_digests(shard, STORE, ("output", "input"), 2)

    assert {"input"} == set(digests["cases"])
    assert {"output", "error"} == set(digests["outputs"])
    assert {} == digests["answers"]


def test_undeclared_columns_of_a_case_are_hidden(shard: Shard) -> None:
    """A component cannot see what its key does not cover."""
    rows = pa.table(sample_rows(shard, STORE, 1, ["input", "metadata"]))

    (hidden, _) = visible_cases(rows, ["metadata"])
    (seen, _) = visible_cases(rows, ["input", "case_id"])

    assert (HIDDEN_CASE_ID, None) == (hidden.case_id, hidden.input)
    assert ("a", "a", {}) == (seen.case_id, seen.input, seen.metadata)


def test_answers_have_the_columns_that_were_read() -> None:
    """A column that was not read is null."""
    rows = pa.table({"value": ["1", None]})

    assert [ParsedOutput(value=1), ParsedOutput()] == parsed_outputs(rows)


@pytest.mark.parametrize("part", [None, Part(path="nowhere", rows=1)])
def test_table_that_is_gone_is_an_error(part: Part | None) -> None:
    """The message says how to get it back."""
    with pytest.raises(StoreError, match="is gone; run again to recompute it"):
        read(STORE, part)
