"""An experiment: what to generate, how to judge it, on which data, and where to keep it all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from themis_lib.core.config import (
    DatasetFile,
    EvaluationConfig,
    GenerationConfig,
    HubDataset,
    RuntimeConfig,
    StorageConfig,
)
from themis_lib.core.models import Dataset, Model
from themis_lib.core.pipeline import Pipeline, compile_experiment
from themis_lib.core.results import RunResult
from themis_lib.core.run import Run
from themis_lib.core.spec import experiment_from_spec, load_spec
from themis_lib.core.stage import Shard, Stage, run_stage
from themis_lib.core.store import RunStore, open_store
from themis_lib.core.tables import Part
from themis_lib.errors import ShardError, ThemisError


class Experiment(Model):
    """One experiment. Equal experiments on equal data have equal rows, whoever runs them and wherever.

    `seeds` gives one seed for each sample; without it they are derived (see `CandidatePolicy`).
    """

    generation: GenerationConfig
    datasets: list[Dataset | DatasetFile | HubDataset] = Field(min_length=1)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    storage: StorageConfig = Field(default_factory=StorageConfig)
    runtime: RuntimeConfig = Field(default_factory=RuntimeConfig)
    seeds: list[int] | None = None
    name: str = "experiment"

    _store: RunStore | None = PrivateAttr(default=None)

    @classmethod
    def from_config(cls, path: str | Path, *, overrides: Iterable[str] = ()) -> Experiment:
        """The experiment in a YAML file, with settings replaced by `key.path=value`.

        Raises `ConfigError` that names the file, the setting and the nearest valid choice.
        """
        return experiment_from_spec(cls, load_spec(path, overrides=overrides), where=str(path))

    def compile(self, *, until_stage: str = "reduce") -> Pipeline:
        """The stages of this experiment, every component built and checked. Raises `InputError`."""
        return compile_experiment(self, until_stage=until_stage)

    def open_store(self) -> RunStore:
        """The store of this experiment; the store `memory` lives as long as the experiment."""
        if self._store is None:
            self._store = open_store(self.storage.store, self.storage.parameters)
        return self._store

    def run(self, store: RunStore | None = None, *, until_stage: str = "reduce") -> RunResult:
        """Run in this process: compute what the store lacks, and return the result.

        Nothing is retried here (Prefect does that); a row that failed for now is tried again by the next run.
        Raises `InputError` before anything is generated, `FatalError` when no row could succeed.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.run_async(store, until_stage=until_stage))
        raise ThemisError("run() was called inside a running event loop; use `await experiment.run_async()`")

    async def run_async(self, store: RunStore | None = None, *, until_stage: str = "reduce") -> RunResult:
        """`run` for callers that have an event loop."""
        pipeline = self.compile(until_stage=until_stage)
        store = store or self.open_store()
        store.check_writable()
        with Run(pipeline, store) as run:
            await _run_shards(run)
            return run.finish()


async def _run_shards(run: Run) -> None:
    """Evaluate shards, the next one while the last requests of the one before are on their way.

    A deterministic generator takes one at a time, so that what two shards share is computed once.
    """
    window = 1 if run.pipeline.generate.deterministic else 2
    started: deque[asyncio.Task[Shard]] = deque()

    async def run_here(stage: Stage, shard: Shard) -> Part:
        try:
            part = await run_stage(stage, shard, run.store, run_id=run.run_id, progress=run.progress)
        except ShardError as error:
            part = error.part
        run.progress.finish(stage.label, part)
        return part

    try:
        for shard in run.pipeline.shards(run.store):
            run.expect(shard)
            evaluation = run.pipeline.evaluate_shard(
                shard, generate=run_here, parse=run_here, score=run_here, reduce=run_here
            )
            started.append(asyncio.ensure_future(evaluation))
            if len(started) >= window:
                run.add(await started.popleft())
        while started:
            run.add(await started.popleft())
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)
