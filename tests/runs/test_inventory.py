"""What a store holds, and which of it runs refer to."""

from __future__ import annotations

import pytest

from tests.support.table_files import with_table_files
from themis_lib import Experiment, InMemoryRunStore, RunResult
from themis_lib.runs.inventory import (
    directories_of,
    has_tables,
    holdings,
    joined_keys,
    references,
)
from themis_lib.runs.manifest import RunStatus, manifests


@pytest.fixture
def run() -> RunResult:
    """A run of two cases and one metric."""
    spec = {
        "generation": {"generator": "builtin/demo_generator"},
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {"case_id": str(n), "input": str(n), "expected_output": str(n)}
                    for n in range(2)
                ],
            }
        ],
    }
    return Experiment.model_validate(spec).run(InMemoryRunStore())


def test_rows_are_counted_by_stage(run: RunResult) -> None:
    """Each stage's rows, and the run that refers to them."""
    held = holdings(run.store, run.store.files(), [run.manifest])

    rows = {holding.stage: (holding.rows, holding.runs) for holding in held}
    assert (2, (run.run_id,)) == rows["generate"]
    assert (2, (run.run_id,)) == rows["cases"]
    assert (2, (run.run_id,)) == rows["reduce"]


def test_ended_run_refers_to_its_keys(run: RunResult) -> None:
    """The keys in its tables, stage by stage, and the parts that hold them; a run of an
    earlier version to the same keys.
    """
    generate = directories_of(run.manifest)["generate"]
    expected = sorted(run.table("outputs")["key"].to_pylist())
    assert run.parts is not None
    held = {part.path for part in run.parts.of_stage("outputs", None)}

    found = references(run.store, manifests(run.store))
    with_table_files(run)
    earlier = references(run.store, manifests(run.store))

    for kind in (found, earlier):
        assert set() == kind.whole
        assert expected == sorted(joined_keys([kind.keys[generate]]).to_pylist())
    assert held < found.paths
    assert set() == earlier.paths


def test_run_in_flight_may_need_any_row(run: RunResult) -> None:
    """Every row under its fingerprints counts as referred to."""
    running = run.manifest.model_copy(update={"status": RunStatus.RUNNING})

    found = references(run.store, [running])

    assert not has_tables(running)
    assert {} == found.keys
    assert set(directories_of(running).values()) == found.whole
