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
