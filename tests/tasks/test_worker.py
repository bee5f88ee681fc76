"""A task elsewhere rebuilds its run from plain data, fills the same store, and ends
with its run.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.worker import compute_shard, end_tasks, hold_global_limit
from tests.support.counting import CALLS
from tests.support.new_process import in_new_process
from tests.support.shard_work import generate_work
from tests.support.unsteady import BUILT
from tests.test_edit_costs import base
from themis_lib import ComponentError, Experiment, FatalError, RunStore, ShardError
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.stages.progress import Progress
from themis_lib.stages.run_stage import run_stage


def test_task_without_its_run_computes_the_same_rows(tmp_path: Path) -> None:
    """A shard computed from the experiment's JSON alone is found by the run that asked
    for it.
    """
    experiment = experiment_from_spec(
        Experiment, base(tmp_path / "store"), where="spec"
    )
    pipeline, store = experiment.compile(), RunStore(str(tmp_path / "store"))
    shard = next(pipeline.shards(store))
    CALLS.clear()

    part = compute_shard(generate_work("elsewhere", experiment, pipeline, store, shard))

    found = pipeline.generate.row_set(store).shard(
        pipeline.generate.shard_name(shard, store)
    )
    assert 4 == CALLS["generate"] == part.computed
    assert found is not None
    assert dataclasses.replace(part, computed=0, cached=0) == found


def test_pool_of_examples_that_differs_elsewhere_is_refused(tmp_path: Path) -> None:
    """It is read by each process: nothing is sent with examples of another edition."""
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"input": "1+1", "expected_output": "2"}\n')
    spec = base(tmp_path / "store")
    spec["generation"]["few_shot"] = {"k": 1, "data": {"path": str(pool)}}
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    pipeline, store = experiment.compile(), RunStore(str(tmp_path / "store"))
    shard = next(pipeline.shards(store))
    pool.write_text('{"input": "1+1", "expected_output": "two"}\n')
    CALLS.clear()

    with pytest.raises(FatalError, match="few-shot examples is not the same here"):
        compute_shard(generate_work("other-pool", experiment, pipeline, store, shard))

    assert 0 == CALLS["generate"]


def test_live_object_does_not_travel() -> None:
    """A component without an import path is refused when it would have to be sent
    elsewhere.
    """

    class Live:
        component_id, version = "tests/live", "1"

        def fingerprint(self) -> str:
            return ""

        def generate(self, case: Any, ctx: Any) -> Any: ...

    experiment = Experiment(generation={"generator": Live()})

    with pytest.raises(ComponentError, match="module:attribute"):
        experiment.portable_json()


def test_counts_of_all_tries_come_back(tmp_path: Path) -> None:
    """A shard computed elsewhere returns the rows and tokens of every try, since no one
    else has counted them.
    """
    spec = base(tmp_path / "store")
    spec["generation"]["generator"] = {
        "use": "tests.support.unsteady:Unsteady",
        "folder": str(tmp_path),
    }
    spec["datasets"][0]["cases"] = [
        {"case_id": str(number), "input": str(number)} for number in (10, 11)
    ]
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    pipeline, store = experiment.compile(), RunStore(str(tmp_path / "store"))
    shard = next(pipeline.shards(store))
    work = {
        "run_id": "tries",
        "experiment": experiment.portable_json(),
        "store": store.url,
        "stage": "generate",
        "fingerprint": pipeline.generate.fingerprint,
        "depends_on": {},
        "shard": shard.to_json(),
        "shard_name": pipeline.generate.shard_name(shard, store),
    }

    with pytest.raises(ShardError) as first:
        compute_shard(work)
    second = compute_shard(work)

    seeds = len(pipeline.seeds)
    assert (seeds, seeds) == (first.value.part.computed, first.value.part.failed)
    assert (2 * seeds, 0) == (second.computed, second.failed)
    assert 21 * seeds == (second.usage or {})["input_tokens"]
    assert 2 * seeds == pickle.loads(pickle.dumps(second)).computed


def test_components_are_built_once_a_process(tmp_path: Path) -> None:
    """Every shard of a run that a process computes finds the stages and the store of
    the one before.
    """
    spec = base(tmp_path / "store")
    spec["evaluation"]["parsers"] = [{"use": "tests.support.unsteady:BuiltParser"}]
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    pipeline = experiment.compile()
    store = RunStore(str(tmp_path / "store"))
    shard = next(pipeline.shards(store))
    work = {
        "depends_on": {},
        "run_id": "once",
        "experiment": experiment.portable_json(),
        "store": str(tmp_path / "store"),
        "shard": shard.to_json(),
    }
    BUILT.clear()

    generated = compute_shard(
        {
            **work,
            "stage": "generate",
            "fingerprint": pipeline.generate.fingerprint,
            "shard_name": pipeline.generate.shard_name(shard, store),
        }
    )
    shard = dataclasses.replace(shard, outputs=generated)
    compute_shard(
        {
            **work,
            "stage": "parse",
            "fingerprint": pipeline.parse.fingerprint,
            "shard": shard.to_json(),
            "shard_name": pipeline.parse.shard_name(shard, store),
        }
    )

    assert {"parser": 1} == BUILT


def test_stopped_run_waits_for_no_slot(prefect_api: str) -> None:
    """A shard that waits for a global limit ends when its run is stopped, though the
    slot is never free.
    """
    stage: Any = SimpleNamespace(global_limit="taken")

    def wait_for_slot() -> None:
        with (
            temporary_settings({PREFECT_API_URL: prefect_api}),
            hold_global_limit(stage, "waiting"),
        ):
            pass

    with temporary_settings({PREFECT_API_URL: prefect_api}):
        with get_client(sync_client=True) as client:
            client._client.post(
                "/v2/concurrency_limits/", json={"name": "taken", "limit": 1}
            ).raise_for_status()
        with (
            concurrency("taken", occupy=1, strict=True),
            ThreadPoolExecutor(1) as threads,
        ):
            waiting = threads.submit(wait_for_slot)
            time.sleep(0.5)
            end_tasks("waiting")

            with pytest.raises(FatalError, match="run waiting has ended"):
                waiting.result(timeout=30)


WORKING = """
from {name}_helpers import factor

LIMIT = 1


class Metric:
    component_id = "mine/metric"
    version = "1"
    reads = ("value",)

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        from themis_lib import Score
        return Score(value=float(len(parsed.value) * factor() * LIMIT))
"""


@pytest.mark.slow
@pytest.mark.parametrize("edit", ["the helper's file", "a constant of the process"])
def test_worker_with_other_code_refuses(
    edit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose code differs from what the run was compiled with computes nothing,
    and says which stage it is and what to do; with the same code it computes.
    """
    name = f"working_{tmp_path.name.replace('-', '_')}"
    monkeypatch.syspath_prepend(str(tmp_path))
    helpers = tmp_path / f"{name}_helpers.py"
    helpers.write_text("def factor(): return 1\n")
    (tmp_path / f"{name}.py").write_text(WORKING.format(name=name))
    spec = base(tmp_path / "store")
    spec["evaluation"]["metrics"] = [{"use": f"{name}:Metric", "id": "mine"}]
    module = importlib.import_module(name)
    if edit == "a constant of the process":
        module.LIMIT = 2
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    pipeline, store = experiment.compile(), RunStore(str(tmp_path / "store"))
    shard = next(pipeline.shards(store))
    for stage in (pipeline.generate, pipeline.parse):
        part = run_here(stage, shard, store)
        shard = dataclasses.replace(
            shard, **{"outputs" if stage is pipeline.generate else "answers": part}
        )
    work = {
        "experiment": experiment.portable_json(),
        "store": store.url,
        "stage": "score[mine]",
        "fingerprint": pipeline.scores[0].fingerprint,
        "depends_on": {},
        "shard": shard.to_json(),
        "shard_name": pipeline.scores[0].shard_name(shard, store),
    }
    if edit == "the helper's file":
        same = compute_elsewhere(work, tmp_path)
        assert "computed 4" == same
        helpers.write_text("def factor(): return 2\n")

    said = compute_elsewhere(work, tmp_path)

    assert said.startswith("FatalError score[mine]: its code, or what its code reads")
    assert "is not the same here as in the process that started the run" in said


def run_here(stage: Any, shard: Any, store: RunStore) -> Any:
    running = run_stage(stage, shard, store, run_id="here", progress=Progress())
    return asyncio.run(running)


def compute_elsewhere(work: dict[str, Any], folder: Path) -> str:
    """Compute a shard in a new process; return the count of rows, or the error."""
    program = (
        "from tasks.worker import compute_shard\n"
        f"work = json.loads({json.dumps(work)!r})\n"
        "try:\n"
        "    part = compute_shard({**work, 'run_id': 'elsewhere'})\n"
        "    print(json.dumps(f'computed {part.computed}'))\n"
        "except Exception as error:\n"
        "    print(json.dumps(f'{type(error).__name__} {error}'))\n"
    )
    paths = os.pathsep.join([str(folder), str(Path.cwd())])
    said: str = in_new_process(program, PYTHONPATH=paths, PYTHONDONTWRITEBYTECODE="1")
    return said
