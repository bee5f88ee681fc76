"""An experiment compiled into stages, and the order in which they run, written down
once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

from themis_lib.components.build import build, component_name
from themis_lib.core.experiment_spec import ExperimentSpec
from themis_lib.core.prices import price_of
from themis_lib.core.secrets import refuse_literal_secrets
from themis_lib.data.cut import Cut, first_rows, shards_of
from themis_lib.data.datasets import case_tables
from themis_lib.errors import ConfigError, nearest
from themis_lib.identity.digests import digest
from themis_lib.identity.part import Part
from themis_lib.stages.budget import Budget
from themis_lib.stages.generate import GenerateStage, check_bounded, check_instructions
from themis_lib.stages.judge import JudgeStage, judge_stages
from themis_lib.stages.parse import ParseStage
from themis_lib.stages.reduce import ReduceStage
from themis_lib.stages.score import ScoreStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

StageName = Literal["generate", "parse", "score", "reduce"]
STAGES: tuple[str, ...] = get_args(StageName)
#: How a stage is run for a shard: by a call in this process, or by a task of an
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

    @property
    def stages(self) -> list[Stage]:
        """The stages that will run, in order."""
        judged: list[Stage] = [*self.judges, *self.scores]
        groups: list[Sequence[Stage]] = [
            [self.generate],
            [self.parse],
            judged,
            [self.reduce],
        ]
        last = STAGES.index(self.until_stage)
        return [stage for group in groups[: last + 1] for stage in group]

    @property
    def samples(self) -> int:
        """Candidates for each case."""
        return len(self.seeds)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that can change a row, by stage."""
        return {
            "seeds": list(self.seeds),
            **{stage.label: stage.identity for stage in self.stages},
        }

    @property
    def fingerprint(self) -> str:
        """The name of the whole computation, whatever its data."""
        return digest("experiment", self.identity)

    def stage(self, label: str) -> Stage:
        """The stage of this label."""
        return next(stage for stage in self.stages if stage.label == label)

    def rows_in(self, stage: Stage, shard: Shard) -> int:
        """How many rows a stage has for a shard."""
        return shard.cases.rows * (
            len(self.reduce.metric_ids) if stage is self.reduce else self.samples
        )

    def check_data(self) -> None:
        """Read the first cases of each dataset, to find a wrong path or column at once.
        Raises `DatasetError`.
        """
        if not self.experiment.datasets:
            raise ConfigError("datasets: there is none; give at least one")
        for dataset in self.experiment.datasets:
            next(case_tables(dataset), None)

    def shards(self, store: RunStore, *, spread: bool = False) -> Iterator[Shard]:
        """The data of the experiment, cut into shards, smaller ones to `spread` them.
        Raises `DatasetError`.
        """
        self.check_data()
        cut = Cut(
            reads=tuple(self.generate.generator_reads),
            samples=self.samples,
            shard_size=self.experiment.runtime.shard_size,
            deterministic=self.generate.deterministic,
            first_rows=first_rows(store, spread=spread),
        )
        return shards_of(self.experiment.datasets, store, cut)

    async def evaluate_shard(self, shard: Shard, run_stage: RunStage) -> Shard:
        """Generate, parse, judge, score and reduce one shard."""
        last = STAGES.index(self.until_stage)
        shard = replace(shard, outputs=await run_stage(self.generate, shard))
        if last >= STAGES.index("parse"):
            shard = replace(shard, answers=await run_stage(self.parse, shard))
        if last >= STAGES.index("score"):
            shard = replace(shard, verdicts=await self._judged(shard, run_stage))
            parts = await asyncio.gather(
                *(run_stage(stage, shard) for stage in self.scores)
            )
            metric_ids = [stage.metric_id for stage in self.scores]
            shard = replace(shard, scores=dict(zip(metric_ids, parts, strict=True)))
        if last >= STAGES.index("reduce"):
            shard = replace(shard, results=await run_stage(self.reduce, shard))
        return shard

    async def _judged(self, shard: Shard, run_stage: RunStage) -> dict[str, Part]:
        """The verdicts by stage. Stages that are one computation take turns, so that
        they ask a question once.
        """
        alike: dict[str, list[JudgeStage]] = {}
        for stage in self.judges:
            alike.setdefault(stage.fingerprint, []).append(stage)

        async def judge(group: Sequence[JudgeStage]) -> list[Part]:
            return [await run_stage(stage, shard) for stage in group]

        parts = await asyncio.gather(*(judge(group) for group in alike.values()))
        found = {
            stage.label: part
            for group, judged in zip(alike.values(), parts, strict=True)
            for stage, part in zip(group, judged, strict=True)
        }
        return {stage.label: found[stage.label] for stage in self.judges}

    def is_readable(self, stage: Stage, shard: Shard) -> bool:
        """Whether the tables that a stage reads are in a shard."""
        if stage is self.generate:
            return True
        if stage is self.parse:
            return shard.outputs is not None
        if isinstance(stage, ScoreStage):
            return shard.answers is not None and all(
                label in shard.verdicts for label in stage.judges
            )
        if stage is self.reduce:
            return shard.answers is not None and all(
                one.metric_id in shard.scores for one in self.scores
            )
        return shard.answers is not None


def compile_experiment(
    experiment: ExperimentSpec, *, until_stage: str = "reduce"
) -> Pipeline:
    """Build and check every component of an experiment. Raises `InputError`, before
    anything is generated.
    """
    if until_stage not in STAGES:
        raise ConfigError(
            f"until_stage {until_stage!r}: choose one of {', '.join(map(repr, STAGES))}"
        )
    for name, count in Counter(
        dataset.dataset_id for dataset in experiment.datasets
    ).items():
        if count > 1:
            raise ConfigError(
                f"datasets: {count} datasets are named {name!r}; give each a dataset_id of its own"
            )
    for dataset in experiment.datasets:
        refuse_literal_secrets(
            getattr(dataset, "storage_options", {}),
            where=f"dataset {dataset.dataset_id!r}",
        )
    generation, evaluation, runtime = (
        experiment.generation,
        experiment.evaluation,
        experiment.runtime,
    )
    seeds = _seeds(experiment)
    generator = build("generator", generation.generator, where="generation.generator")
    check_instructions(generator, generation.prompt_spec, where="generation")
    parsers = [
        build("parser", spec, where=f"evaluation.parsers[{index}]")
        for index, spec in enumerate(evaluation.parsers or ["builtin/json_identity"])
    ]
    metrics = _metrics(evaluation.metrics)
    samples, prices, budget = (
        len(seeds),
        experiment.cost.prices,
        Budget(experiment.cost.max_cost),
    )
    judges = judge_stages(
        metrics,
        evaluation.judge_models,
        seeds=partial(_derived_seed, generation.candidate_policy.base_seed),
        samples=samples,
        runtime=runtime,
        prices=prices,
        budget=budget,
    )
    for metric_id in evaluation.agreement:
        if metric_id not in metrics:
            raise ConfigError(
                f"evaluation.agreement: no metric {metric_id!r}; {nearest(metric_id, metrics)}"
            )
    reducer = build("reducer", generation.reducer, where="generation.reducer")
    wanted = getattr(reducer, "k", None)
    if isinstance(wanted, int) and wanted > len(seeds):
        raise ConfigError(
            f"generation.reducer: {reducer.component_id} needs k={wanted} samples of each case, but there are "
            f"{len(seeds)}; raise generation.candidate_policy.num_samples"
        )
    generate = GenerateStage(
        generator,
        prompt_spec=generation.prompt_spec,
        seeds=seeds,
        runtime=runtime,
        price=price_of(generator, prices),
        budget=budget,
    )
    if experiment.cost.max_cost is not None:
        check_bounded(
            [generate, *(stage for of_metric in judges.values() for stage in of_metric)]
        )
    return Pipeline(
        experiment=experiment,
        generate=generate,
        parse=ParseStage(parsers, samples=samples, runtime=runtime),
        judges=tuple(stage for of_metric in judges.values() for stage in of_metric),
        scores=tuple(
            ScoreStage(
                name,
                metric,
                samples=samples,
                runtime=runtime,
                judges=[stage.label for stage in judges.get(name, ())],
            )
            for name, metric in metrics.items()
        ),
        reduce=ReduceStage(
            reducer, metric_ids=list(metrics), samples=samples, runtime=runtime
        ),
        seeds=seeds,
        until_stage=until_stage,  # type: ignore[arg-type]
    )


def _seeds(experiment: ExperimentSpec) -> tuple[int, ...]:
    policy = experiment.generation.candidate_policy
    if experiment.seeds is None:
        return tuple(
            _derived_seed(policy.base_seed, index)
            for index in range(policy.num_samples)
        )
    seeds = tuple(experiment.seeds)
    if "num_samples" in policy.model_fields_set and policy.num_samples != len(seeds):
        raise ConfigError(
            f"seeds: {len(seeds)} seed(s) for num_samples={policy.num_samples}; give one seed for each sample"
        )
    if any(not -(2**63) <= seed < 2**63 for seed in seeds):
        raise ConfigError("seeds: a seed is a whole number of 64 bits")
    if not seeds:
        raise ConfigError(
            "seeds: the list is empty; leave it out, or give one seed for each sample"
        )
    return seeds


def _derived_seed(base_seed: int, sample_index: int) -> int:
    """A 31-bit seed that depends on nothing but the base seed and the index of the
    sample.
    """
    return int(digest("seed", [base_seed, sample_index])[:8], 16) >> 1


def _metrics(specs: Sequence[Any]) -> dict[str, Any]:
    built = [
        build("metric", spec, where=f"evaluation.metrics[{index}]")
        for index, spec in enumerate(specs)
    ]
    names = [
        component_name(spec, metric) for spec, metric in zip(specs, built, strict=True)
    ]
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(
                f"evaluation.metrics: {count} metrics are named {name!r}; give each an `id` of its own"
            )
    return dict(zip(names, built, strict=True))
