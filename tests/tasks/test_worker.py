"""A task on another machine rebuilds its run from plain data, and fills the same store."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tasks.worker import compute_shard
from tests.counting import CALLS
from tests.test_edit_costs import base
from themis_lib import ComponentError, Experiment, RunStore
from themis_lib.core.spec import experiment_from_spec


def test_task_without_its_run_computes_the_same_rows(tmp_path: Path) -> None:
    """A shard computed from the experiment's JSON alone is found by the run that asked for it."""
    experiment = experiment_from_spec(Experiment, base(tmp_path / "store"), where="spec")
    pipeline, store = experiment.compile(), RunStore(str(tmp_path / "store"))
    shard = next(pipeline.shards(store))
    CALLS.clear()

    part = compute_shard(
        {
            "run_id": "elsewhere",
            "experiment": experiment.portable_json(),
            "store": store.url,
            "stage": "generate",
            "shard": shard.to_json(),
        }
    )

    found = pipeline.generate.row_set(store).shard(pipeline.generate.shard_name(shard))
    assert 4 == CALLS["generate"] == part.computed
    assert found is not None
    assert dataclasses.replace(part, computed=0, cached=0) == found


def test_live_object_does_not_travel() -> None:
    """A component without an import path is refused when it would have to be sent elsewhere."""

    class Live:
        component_id, version = "tests/live", "1"

        def fingerprint(self) -> str:
            return ""

        def generate(self, case: Any, ctx: Any) -> Any: ...

    experiment = Experiment(generation={"generator": Live()})

    with pytest.raises(ComponentError, match="module:attribute"):
        experiment.portable_json()
