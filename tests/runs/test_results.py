"""What a run returns."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc
import pytest

from themis_lib import Experiment, InMemoryRunStore, RunResult, RunStatus, StoreError
from themis_lib.storage.tables import RUN_TABLES


def run(**fields: Any) -> RunResult:
    cases = [
        {"case_id": "right", "input": "1", "expected_output": "1"},
        {"case_id": "without", "input": "2"},
    ]
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "evaluation": {"metrics": ["builtin/exact_match"], **fields},
        "datasets": [{"dataset_id": "d", "cases": cases}],
    }
    return Experiment.model_validate(spec).run(InMemoryRunStore())


@pytest.mark.parametrize("name", RUN_TABLES)
def test_tables_have_their_schema(name: str) -> None:
    """Every table of a run is as documented."""
    assert RUN_TABLES[name].equals(run().table(name).schema.remove_metadata())


def test_some_of_a_table() -> None:
    """Columns and rows are chosen without reading the rest."""
    table = run().table(
        "cases", columns=["input"], where=pc.field("case_id") == "right"
    )

    assert {"input": ['"1"']} == table.to_pydict()


def test_stopped_run_has_empty_tables() -> None:
    """A table that was never written is empty, not an error."""
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "datasets": [{"dataset_id": "d", "cases": [{"case_id": "c", "input": "x"}]}],
    }
    stopped = Experiment.model_validate(spec).run(until_stage="generate")

    assert 0 == stopped.table("scores").num_rows
    assert [] == stopped.summary


def test_missing_scores_may_fail_a_run() -> None:
    """`errors: fail` says how many cases of which dataset lack a score."""
    failed = run(statistics={"errors": "fail"})

    assert RunStatus.FAILED == failed.status
    assert failed.failure is not None
    assert failed.failure.startswith("1 of 2 cases of 'd' have no exact_match")
    assert run().failure is None


def test_unknown_run_is_an_error() -> None:
    """A result is only of a run that the store has."""
    with pytest.raises(StoreError, match="has no run 'nowhere'"):
        RunResult(InMemoryRunStore(), "nowhere")


def test_shown_with_its_scores() -> None:
    """In a shell below its name, in a notebook as a table."""
    shown = run()

    assert repr(shown).split("\n")[1:] == [
        "  dataset  metric       mean    95 % interval    n  no answer  failed",
        "  d        exact_match  1.0000  0.2065 – 1.0000  1  0          1",
    ]
    assert "<td>exact_match</td><td>1.0000</td>" in shown._repr_html_()


def test_shown_without_scores() -> None:
    """A run that stopped early has only its name and status."""
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "datasets": [{"dataset_id": "d", "cases": [{"case_id": "c", "input": "x"}]}],
    }
    stopped = Experiment.model_validate(spec).run(until_stage="generate")

    assert f"RunResult: experiment completed, run {stopped.run_id}" == repr(stopped)
    assert "<table>" not in stopped._repr_html_()


def test_one_wide_table() -> None:
    """A row for each case and sample, a column for each metric, and every reason."""
    table = run(
        metrics=["builtin/exact_match", {"use": "builtin/exact_match", "id": "input"}]
    )

    first, second = table.to_arrow().to_pylist()

    assert {
        "dataset_id": "d",
        "case_id": "right",
        "sample_index": 0,
        "input": "1",
        "expected_output": "1",
        "output": "1",
        "value": "1",
        "error": None,
        "exact_match": 1.0,
        "score[input]": 1.0,
    } == first
    assert second["exact_match"] is None
    assert "expected output" in second["error"]


def test_one_table_for_pandas() -> None:
    """With the same columns and rows."""
    frame = run().to_pandas()

    assert list(run().to_arrow().column_names) == list(frame.columns)
    assert ["right", "without"] == list(frame["case_id"])


def test_samples_of_a_stopped_run() -> None:
    """Without answers and scores there are still the outputs."""
    spec = {
        "generation": {
            "generator": "builtin/demo_generator",
            "candidate_policy": {"num_samples": 2},
        },
        "datasets": [
            {"dataset_id": "d", "cases": [{"case_id": "c", "input": {"a": 1}}]}
        ],
    }
    stopped = Experiment.model_validate(spec).run(until_stage="generate")

    rows = stopped.to_arrow().to_pylist()

    assert [0, 1] == [row["sample_index"] for row in rows]
    assert ['{"a":1}'] * 2 == [row["input"] for row in rows]
    assert [None] * 2 == [row["value"] for row in rows]
