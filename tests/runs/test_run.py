"""One run in the making: its record and its tables, also when it is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.new_process import in_new_process
from themis_lib import (
    Experiment,
    InMemoryRunStore,
    RunStatus,
    TransientError,
)
from themis_lib.runs.manifest import read_manifest
from themis_lib.runs.run import Run


def experiment(**evaluation: Any) -> Experiment:
    case = {"case_id": "c", "input": "1", "expected_output": "1"}
    spec = {
        "generation": {"generator": "tests.support.counting:Generator"},
        "evaluation": evaluation,
        "datasets": [{"dataset_id": "d", "cases": [case]}],
    }
    return Experiment.model_validate(spec)


def test_run_is_on_record_from_its_start() -> None:
    """A run in flight is found, and says that it is running."""
    store = InMemoryRunStore()
    run = Run(experiment().compile(), store, run_id="mine")

    with run:
        assert RunStatus.RUNNING == read_manifest(store, "mine").status


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("broken"), "ValueError: broken"),
        (TransientError("down"), "TransientError: down"),
        (KeyboardInterrupt(), "interrupted"),
        (asyncio.CancelledError(), "interrupted"),
    ],
)
def test_stopped_run_fails_and_leaves_no_tables(
    error: BaseException, expected: str
) -> None:
    """The record says why; a half-written table is no table."""
    store = InMemoryRunStore()

    with pytest.raises(type(error)), Run(experiment().compile(), store, run_id="mine"):
        raise error

    record = read_manifest(store, "mine")
    assert (RunStatus.FAILED, expected) == (record.status, record.error)
    assert ["manifest.json"] == list(store.list("runs/mine"))


def test_a_second_signal_leaves_the_record_of_a_first(tmp_path: Path) -> None:
    """Ctrl-C in a terminal is followed by Prefect's SIGTERM, which strikes while the
    record is written.
    """
    program = f"""
import signal
from themis_lib import RunStore
from themis_lib.runs.manifest import read_manifest
from themis_lib.runs.run import Run
from tests.runs.test_run import experiment

class Terminated(BaseException):
    pass

def terminate(number, frame):
    raise Terminated

class StruckStore(RunStore):
    def replace(self, path, content):
        if b"interrupted" in content:
            signal.raise_signal(signal.SIGTERM)
        super().replace(path, content)

signal.signal(signal.SIGTERM, terminate)
store = StruckStore({str(tmp_path)!r})
try:
    with Run(experiment().compile(), store, run_id="mine"):
        raise KeyboardInterrupt
except Terminated:
    record = read_manifest(store, "mine")
    print(json.dumps([record.status, record.error]))
"""

    assert ["failed", "interrupted"] == in_new_process(program)


def test_run_without_a_single_answer_fails() -> None:
    """Failed, if no row of the last stage is without error; else partly."""
    unreadable = {"use": "builtin/regex", "pattern": "nowhere"}

    failed = experiment(parsers=[unreadable]).run()
    whole = experiment().run()

    assert RunStatus.FAILED == failed.status
    assert RunStatus.COMPLETED == whole.status


def test_counts_are_on_record() -> None:
    """A second run on the same store computes nothing, and says so."""
    store = InMemoryRunStore()
    first = experiment(metrics=["builtin/exact_match"]).run(store)
    second = experiment(metrics=["builtin/exact_match"]).run(store)

    assert {1} == {record.computed for record in first.manifest.stages}
    assert {(0, 1)} == {
        (record.computed, record.cached) for record in second.manifest.stages
    }


def test_cases_and_outputs_leave_the_memory_once_they_are_written(
    tmp_path: Path,
) -> None:
    """A run takes the memory of a few shards, however many it has."""
    program = f"""
import gc
import pyarrow as pa
from themis_lib import Experiment, RunStore
cases = [{{"case_id": str(at), "input": f"{{at}} {{'x' * 10_000}}"}} for at in range(400)]
experiment = Experiment.model_validate({{
    "generation": {{"generator": "tests.support.counting:Echo"}},
    "evaluation": {{"parsers": ["builtin/text"], "metrics": []}},
    "datasets": [{{"dataset_id": "d", "cases": cases}}],
    "runtime": {{"shard_size": 40}},
}})
before = pa.total_allocated_bytes()
result = experiment.run(RunStore({str(tmp_path)!r}), until_stage="generate")
outputs_size = result.table("outputs")["output"].nbytes
gc.collect()
print(json.dumps([str(result.status), outputs_size, pa.total_allocated_bytes() - before]))
"""

    status, outputs_size, held = in_new_process(program)

    size = 400 * 10_000
    assert RunStatus.COMPLETED == status
    assert size <= outputs_size
    assert held < size / 2
