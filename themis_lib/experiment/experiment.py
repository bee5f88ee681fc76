"""An experiment as users write and run it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from themis_lib.core.experiment_spec import AnyDataset, ExperimentSpec
from themis_lib.core.models import Dataset
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.errors import ConfigError, ShardError
from themis_lib.experiment.beside import resolve_beside
from themis_lib.experiment.data_file import check_shape
from themis_lib.experiment.garbage import collected_seldom
from themis_lib.experiment.model_shorthand import check_model_named
from themis_lib.experiment.notebook import progress_shown, run_to_end
from themis_lib.experiment.spec import experiment_file, experiment_from_spec, load_spec
from themis_lib.identity.part import Part
from themis_lib.runs.compile import compile_experiment
from themis_lib.runs.drive import run_shards
from themis_lib.runs.pipeline import Pipeline, RunStage
from themis_lib.runs.results import RunResult
from themis_lib.runs.run import Run
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore, open_store

#: Shards under way at once where each waits for a batch.
_BATCHES_AT_ONCE = 256


class Experiment(ExperimentSpec):
    """What to generate, how to score it, on which data, and where to keep it.

    Equal experiments on equal data have equal rows, on any machine.
    """

    _store: RunStore | None = PrivateAttr(default=None)

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        *,
        overrides: Iterable[str] = (),
        limit: int | None = None,
        data: str | None = None,
    ) -> Experiment:
        """Return the experiment in a YAML file, with `key.path=value` overrides.

        In place of a file, `path` may name a task of the catalogue (`gsm8k`). Files and
        modules that the experiment names are looked for beside it, then from the working
        directory. `limit` keeps the first cases of each dataset; `data` is a file to
        evaluate in place of the experiment's own. Raise `ConfigError` that names the
        file, the setting and the nearest valid choice; `DatasetError` for `data` that
        lacks a column of the experiment's shape.
        """
        spec = load_spec(path, overrides=overrides, data=data)
        file = experiment_file(path)
        if "matrix" in spec:
            raise ConfigError(
                f"{path}: `matrix:` makes several experiments of it; load them with "
                "Matrix.from_config, or run them with `themis run`"
            )
        check_model_named(spec, where=str(path))
        # An experiment without a name is called as its file.
        spec.setdefault("name", file.stem)
        # Beside a task's file is nothing of the user's.
        folder = file.parent if file == Path(path) else Path()
        resolve_beside(spec, folder, data=data)
        experiment = experiment_from_spec(cls, spec, where=str(path))
        if data is not None:
            check_shape(experiment, name=experiment.name)
        return experiment if limit is None else experiment.limited(limit)

    def with_store(self, url: str | None = None) -> Experiment:
        """Return the same experiment with a store on disk: this one, its own, or else the
        folder `results`.
        """
        if url is None and "store" in self.storage.model_fields_set:
            return self
        # The default in Python is memory, which ends with the process: the next one would
        # pay for every row again.
        storage = self.storage.model_copy(update={"store": url or DEFAULT_STORE})
        return self.model_copy(update={"storage": storage})

    def limited(self, limit: int) -> Experiment:
        """Return the same experiment on the first `limit` cases of each dataset."""
        if limit < 1:
            raise ConfigError(f"limit {limit}: give at least one case")
        datasets: list[AnyDataset] = []
        for dataset in self.datasets:
            if isinstance(dataset, Dataset):
                changes: dict[str, Any] = {"cases": dataset.cases[:limit]}
            else:
                # A limit that the file has already may be lower.
                changes = {"limit": min(limit, dataset.limit or limit)}
            datasets.append(dataset.model_copy(update=changes))
        return self.model_copy(update={"datasets": datasets})

    def compile(self, *, until_stage: str = "reduce") -> Pipeline:
        """Return the stages of this experiment, every component built and checked.

        Raise `InputError` for what is wrong with it.
        """
        return compile_experiment(self, until_stage=until_stage)

    def open_store(self) -> RunStore:
        """Return the store; the store `memory` lives as long as the experiment."""
        if self._store is None:
            self._store = open_store(*self.storage.resolved())
        return self._store

    def check_portable(self) -> None:
        """Raise `InputError` if other processes could not compute its shards.

        The message names what cannot leave this process.
        """
        # It raises for a component that has no name.
        self.portable_json()
        if self.open_store().in_memory:
            raise ConfigError(
                f"storage.store={self.storage.store!r} is the memory of one process; "
                "give a folder or a URL that every worker can reach"
            )
        if self.cost.max_cost is not None:
            raise ConfigError(
                "cost.max_cost is kept within one process; use the runner `threads`, "
                "or leave it out"
            )

    def run(
        self,
        store: RunStore | None = None,
        *,
        until_stage: str = "reduce",
    ) -> RunResult:
        """Run in this process: compute what the store lacks, and return the result.

        In a notebook a bar for each stage is shown meanwhile. Nothing is retried here
        (Prefect does that): the next run tries rows that failed for now again. Raise
        `InputError` before anything is generated, `FatalError` if no row could succeed.
        """
        return run_to_end(
            partial(self.run_async, store, until_stage=until_stage),
            instead="await experiment.run_async()",
        )

    async def run_async(
        self,
        store: RunStore | None = None,
        *,
        until_stage: str = "reduce",
    ) -> RunResult:
        """Run as `run` does, for callers that have an event loop."""
        pipeline = self.compile(until_stage=until_stage)
        store = store or self.open_store()
        return await run_here(Run(pipeline, store))


async def run_here(run: Run) -> RunResult:
    """Compute a run in this process, and return its result."""
    with collected_seldom(), run:
        async with progress_shown(run.progress):
            await run_stages_here(run)
        return run.finish()


async def run_stages_here(run: Run) -> None:
    """Compute every stage of a run in this process."""
    await run_shards(run, stage_runner(run), window=window_of(run))


def window_of(run: Run) -> int:
    """Return how many shards of a run are computed at once in this process.

    Two: one is computed while another waits for a disk. With a deterministic generator
    they would compute the rows that they share twice.
    """
    if any(stage.goes_by_batch for stage in run.pipeline.stages):
        # Every shard's batch is to be at the provider, and none behind another's.
        return _BATCHES_AT_ONCE
    return 1 if run.pipeline.generate.deterministic else 2


def stage_runner(run: Run) -> RunStage:
    """Return a way to run a stage of a run in this process."""

    async def run_one(
        stage: Stage,
        shard: Shard,
    ) -> Part:
        try:
            part = await run_stage(
                stage,
                shard,
                run.store,
                run_id=run.run_id,
                progress=run.progress,
            )
        except ShardError as error:
            # In process nothing is retried: its failures are final.
            part = error.part
        run.progress.finish(stage.label, part)
        return part

    return run_one
