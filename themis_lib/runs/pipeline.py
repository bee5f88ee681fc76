"""The stages of a compiled experiment, and their order, written down once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, get_args

import pyarrow as pa

from themis_lib.core.experiment_spec import ExperimentSpec
from themis_lib.data.cut import Cut, first_rows, shards_of
from themis_lib.data.datasets import case_tables
from themis_lib.data.part_files import PartFiles
from themis_lib.data.template_columns import check_fields
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import digest, load_json
from themis_lib.identity.part import Part
from themis_lib.runs.comparable import check_choices, check_comparable
from themis_lib.stages.budget import Budget
from themis_lib.stages.dependencies import resolve
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.judge import JudgeStage
from themis_lib.stages.parse import ParseStage
from themis_lib.stages.reduce import ReduceStage
from themis_lib.stages.score import ScoreStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

StageName = Literal["generate", "parse", "score", "reduce"]
#: What `until_stage` may name, in order. Judges run with the scores.
STAGES: tuple[str, ...] = get_args(StageName)
#: Runs a stage over a shard: by a call in this process, or by a task of an
#: orchestrator.
RunStage = Callable[[Stage, Shard], Awaitable[Part]]


@dataclass(frozen=True)
class Pipeline:
    """The stages of a compiled experiment, its seeds, and the last stage to run."""

    experiment: ExperimentSpec
    generate: GenerateStage
    parse: ParseStage
    judges: tuple[JudgeStage, ...]
    scores: tuple[ScoreStage, ...]
    reduce: ReduceStage
    seeds: tuple[int, ...]
    until_stage: StageName = "reduce"
    #: What people should know of the experiment before they read its scores.
    notes: tuple[str, ...] = ()
    #: What its calls are paid from.
    budget: Budget | None = None
    #: Datasets whose first cases were looked at; `resolved` stages have the same.
    checked: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def stages(self) -> list[Stage]:
        """The stages that will run, in order."""
        stages: list[Stage] = [self.generate]
        if self._is_included("parse"):
            stages.append(self.parse)
        if self._is_included("score"):
            stages += [*self.judges, *self.scores]
        if self._is_included("reduce"):
            stages.append(self.reduce)
        return stages

    @property
    def samples(self) -> int:
        """How many candidates each case gets."""
        return len(self.seeds)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that can change a row, by stage."""
        by_stage = {stage.label: stage.full_identity for stage in self.stages}
        return {"seeds": list(self.seeds), **by_stage}

    @property
    def fingerprint(self) -> str:
        """The name of the whole computation, whatever its data."""
        return digest("experiment", self.identity)

    def resolved(self, store: RunStore) -> Pipeline:
        """Return the stages with what their rows in a store depend on; see `resolve`."""
        return replace(
            self,
            generate=resolve(self.generate, store),
            parse=resolve(self.parse, store),
            judges=tuple(resolve(stage, store) for stage in self.judges),
            scores=tuple(resolve(stage, store) for stage in self.scores),
            reduce=resolve(self.reduce, store),
        )

    def stage(self, label: str) -> Stage:
        """Return the stage of this label."""
        return next(stage for stage in self.stages if stage.label == label)

    def rows_in(
        self,
        stage: Stage,
        shard: Shard,
    ) -> int:
        """Return how many rows a stage has for a shard."""
        per_case = self.samples
        if stage is self.reduce:
            per_case = len(self.reduce.metric_ids)
        return shard.cases.rows * per_case

    def part_files(self) -> PartFiles:
        """Return what gathers the files that cases name, as this experiment reads them."""
        template = self.generate.template
        return PartFiles(() if template is None else template.names)

    def check_data(self) -> None:
        """Read the first cases of each dataset, to find a wrong path or column at once.

        Raise `DatasetError` for what cannot be read, `ConfigError` without datasets.
        """
        if not self.experiment.datasets:
            raise ConfigError("datasets: there is none; give at least one")
        for dataset in self.experiment.datasets:
            # The rest is read by `shards`, once: a dataset may be large.
            for cases in islice(case_tables(dataset, files=self.part_files()), 1):
                self._check_first_cases(dataset.dataset_id, cases)
            self.checked.add(dataset.dataset_id)

    def shards(
        self,
        store: RunStore,
        *,
        spread: bool = False,
    ) -> Iterator[Shard]:
        """Yield the data of the experiment in shards.

        The shards are smaller if they are `spread` over processes. Raise
        `DatasetError` for data that cannot be read.
        """
        datasets = {dataset.dataset_id for dataset in self.experiment.datasets}
        if not datasets or datasets - self.checked:
            self.check_data()
        cut = Cut(
            reads=tuple(self.generate.generator_reads),
            samples=self.samples,
            shard_size=self.experiment.runtime.shard_size,
            deterministic=self.generate.deterministic,
            first_rows=first_rows(store, spread=spread),
            fields=self.part_files().fields,
        )
        return shards_of(self.experiment.datasets, store, cut)

    async def evaluate_shard(
        self,
        shard: Shard,
        run_stage: RunStage,
    ) -> Shard:
        """Generate, parse, judge, score and reduce one shard."""
        shard = replace(shard, outputs=await run_stage(self.generate, shard))
        if self._is_included("parse"):
            shard = replace(shard, answers=await run_stage(self.parse, shard))
        if self._is_included("score"):
            shard = replace(shard, verdicts=await self._run_judges(shard, run_stage))
            # Metrics do not depend on each other, so that all run at once.
            running = [run_stage(stage, shard) for stage in self.scores]
            parts = await asyncio.gather(*running)
            metric_ids = [stage.metric_id for stage in self.scores]
            shard = replace(shard, scores=dict(zip(metric_ids, parts, strict=True)))
        if self._is_included("reduce"):
            shard = replace(shard, results=await run_stage(self.reduce, shard))
        return shard

    def is_readable(
        self,
        stage: Stage,
        shard: Shard,
    ) -> bool:
        """Return whether the tables that a stage reads are in a shard."""
        if stage is self.generate:
            return True
        if stage is self.parse:
            return shard.outputs is not None
        if shard.answers is None:
            return False
        if isinstance(stage, ScoreStage):
            return all(label in shard.verdicts for label in stage.judges)
        if stage is self.reduce:
            return all(score.metric_id in shard.scores for score in self.scores)
        return True

    def _check_first_cases(
        self,
        dataset_id: str,
        cases: pa.Table,
    ) -> None:
        if self._is_included("score"):
            metrics = [stage.metric for stage in self.scores]
            parsers = self.parse.parsers
            check_comparable(parsers, metrics, dataset_id, cases)
            check_choices(self.generate.generator, parsers, metrics, dataset_id, cases)
        template = self.generate.template
        if template is not None and cases.num_rows:
            first = load_json(cases["input"][0].as_py())
            where = f"dataset {dataset_id!r}: the first input"
            check_fields(first, template.names, where=where)

    def _is_included(self, name: StageName) -> bool:
        """Return whether a stage is not after the last one to run."""
        return STAGES.index(name) <= STAGES.index(self.until_stage)

    async def _run_judges(
        self,
        shard: Shard,
        run_stage: RunStage,
    ) -> dict[str, Part]:
        """Return the verdicts by stage.

        Stages that are one computation take turns, so that a question is asked once.
        """
        groups: dict[str, list[JudgeStage]] = {}
        for stage in self.judges:
            groups.setdefault(stage.fingerprint, []).append(stage)
        verdicts: dict[str, Part] = {}

        async def judge_in_turn(group: Sequence[JudgeStage]) -> None:
            for stage in group:
                verdicts[stage.label] = await run_stage(stage, shard)

        await asyncio.gather(*(judge_in_turn(group) for group in groups.values()))
        # In the order of the stages, not of arrival: tables are written in it.
        return {stage.label: verdicts[stage.label] for stage in self.judges}


def with_part(
    shard: Shard,
    stage: Stage,
    part: Part,
) -> Shard:
    """Return a shard with the table of a stage added."""
    if isinstance(stage, JudgeStage):
        return replace(shard, verdicts={**shard.verdicts, stage.label: part})
    if isinstance(stage, ScoreStage):
        return replace(shard, scores={**shard.scores, stage.metric_id: part})
    field = {"generate": "outputs", "parse": "answers", "reduce": "results"}[stage.name]
    table: dict[str, Any] = {field: part}
    return replace(shard, **table)
