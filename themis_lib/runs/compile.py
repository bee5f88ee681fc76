"""Compiles an experiment: its components built and checked, its stages made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from themis_lib.components.build import build
from themis_lib.components.records import BuiltGenerator, BuiltMetric, BuiltReducer
from themis_lib.core.config import (
    DatasetFile,
    GenerationConfig,
    Libraries,
    StatisticsConfig,
)
from themis_lib.core.experiment_spec import ExperimentSpec
from themis_lib.core.prompts import template_of
from themis_lib.core.secrets import refuse_literal_secrets
from themis_lib.data.datasets import case_rows
from themis_lib.data.part_files import PartFiles
from themis_lib.data.template_columns import with_template_columns
from themis_lib.errors import ConfigError, RowError, nearest
from themis_lib.identity.digests import digest
from themis_lib.runs.lm_eval_settings import with_lm_eval_settings
from themis_lib.runs.pipeline import STAGES, Pipeline, StageName
from themis_lib.stages.batching import check_has_batches
from themis_lib.stages.budget import Budget
from themis_lib.stages.few_shot import FewShotExamples, examples_of
from themis_lib.stages.generate import (
    GenerateStage,
    check_bounded,
    check_prompt,
    check_reads_input,
)
from themis_lib.stages.judge import JudgeSettings, JudgeStage, judge_stages
from themis_lib.stages.parse import ParseStage
from themis_lib.stages.reduce import ReduceStage
from themis_lib.stages.score import ScoreStage
from themis_lib.stages.stepped import SteppedStage
from themis_lib.telemetry.tracing import check_telemetry

#: Reducers to the chance that samples of a case pass, which no data set has.
_CHANCE_REDUCERS = ("builtin/pass_at_k", "builtin/all_pass")
#: Seeds are stored as 64-bit integers.
_SEED_LIMIT = 2**63


def compile_experiment(
    experiment: ExperimentSpec,
    *,
    until_stage: str = "reduce",
    budget: Budget | None = None,
) -> Pipeline:
    """Build and check every component of an experiment, and make its stages.

    It spends from `budget`, by default one of its own of `cost.max_cost`.
    Raise `InputError` for what is wrong with it, before anything is generated.
    """
    if until_stage not in STAGES:
        choices = ", ".join(map(repr, STAGES))
        raise ConfigError(f"until_stage {until_stage!r}: choose one of {choices}")
    _check_datasets(experiment)
    check_telemetry(experiment.runtime.telemetry)
    experiment, notes = with_lm_eval_settings(experiment)
    evaluation = experiment.evaluation
    seeds = seeds_of(experiment)
    # Candidates and judges spend from one budget.
    budget = budget or Budget(experiment.cost.max_cost)
    generate = _generate_stage(experiment, seeds, budget)
    if generate.template is not None:
        datasets = with_template_columns(experiment.datasets, generate.template.names)
        experiment = experiment.model_copy(update={"datasets": datasets})
    libraries = experiment.identity.libraries
    parsers = []
    for index, spec in enumerate(evaluation.parsers or ["builtin/json_identity"]):
        parser = build("parser", spec, where=f"evaluation.parsers[{index}]")
        parsers.append(parser.covering(libraries))
    metrics = _build_metrics(evaluation.metrics, libraries)
    base_seed = experiment.generation.candidate_policy.base_seed
    settings = JudgeSettings(
        seeds=partial(derived_seed, base_seed),
        samples=len(seeds),
        runtime=experiment.runtime,
        prices=experiment.cost.prices,
        budget=budget,
        libraries=libraries,
    )
    judges = judge_stages(metrics, evaluation.judge_models, settings)
    every_judge = [stage for of_metric in judges.values() for stage in of_metric]
    _check_agreement(evaluation.agreement, metrics)
    reducer = _build_reducer(experiment.generation.reducer, samples=len(seeds))
    reducer = reducer.covering(libraries)
    _check_corpus_metrics(metrics, reducer, evaluation.statistics)
    # Without a limit, calls of unknown cost are allowed.
    if experiment.cost.max_cost is not None:
        check_bounded([*_paid_stages(generate), *every_judge])
    common: dict[str, Any] = {"samples": len(seeds), "runtime": experiment.runtime}
    return Pipeline(
        experiment=experiment,
        generate=generate,
        parse=ParseStage(parsers, **common),
        judges=tuple(every_judge),
        scores=_score_stages(metrics, judges, common),
        reduce=ReduceStage(
            reducer,
            metric_ids=list(metrics),
            lower_is_better=[
                metric_id
                for metric_id, metric in metrics.items()
                if not metric.higher_is_better
            ],
            **common,
        ),
        seeds=seeds,
        until_stage=cast(StageName, until_stage),
        notes=notes,
        budget=budget,
    )


def _paid_stages(generate: GenerateStage) -> list[GenerateStage]:
    """Return the stages that pay for candidates."""
    if isinstance(generate, SteppedStage):
        return list(generate.asks.values())
    return [generate]


def seeds_of(experiment: ExperimentSpec) -> tuple[int, ...]:
    """Return the seed of each sample. Raise `ConfigError` for seeds that do not fit."""
    policy = experiment.generation.candidate_policy
    if experiment.seeds is None:
        indices = range(policy.num_samples)
        return tuple(derived_seed(policy.base_seed, index) for index in indices)
    seeds = tuple(experiment.seeds)
    # Only a number that somebody wrote can contradict the seeds.
    if "num_samples" in policy.model_fields_set and policy.num_samples != len(seeds):
        raise ConfigError(
            f"seeds: {len(seeds)} seed(s) for num_samples={policy.num_samples}; "
            "give one seed for each sample"
        )
    for seed in seeds:
        if not -_SEED_LIMIT <= seed < _SEED_LIMIT:
            raise ConfigError("seeds: a seed is a whole number of 64 bits")
    if not seeds:
        raise ConfigError(
            "seeds: the list is empty; leave it out, or give one seed for each sample"
        )
    return seeds


def derived_seed(
    base_seed: int,
    sample_index: int,
) -> int:
    """Return a 31-bit seed that depends on the base seed and the sample alone.

    >>> derived_seed(0, 0), derived_seed(0, 1)
    (1115990317, 1431673750)
    """
    # 31 bits: some providers' seeds are signed 32-bit integers.
    return int(digest("seed", [base_seed, sample_index])[:8], 16) >> 1


def _check_agreement(
    metric_ids: Iterable[str],
    metrics: Mapping[str, BuiltMetric],
) -> None:
    for metric_id in metric_ids:
        if metric_id not in metrics:
            raise ConfigError(
                f"evaluation.agreement: no metric {metric_id!r}; "
                f"{nearest(metric_id, metrics)}"
            )


def _check_datasets(experiment: ExperimentSpec) -> None:
    _refuse_equal_names(
        [dataset.dataset_id for dataset in experiment.datasets],
        what="datasets",
        where="datasets",
        fix="a dataset_id of its own",
    )
    for dataset in experiment.datasets:
        if isinstance(dataset, DatasetFile):
            where = f"dataset {dataset.dataset_id!r}"
            refuse_literal_secrets(dataset.storage_options, where=where)


def _refuse_equal_names(
    names: Iterable[str],
    *,
    what: str,
    where: str,
    fix: str,
) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(
                f"{where}: {count} {what} are named {name!r}; give each {fix}"
            )


def _examples(generation: GenerationConfig) -> FewShotExamples | None:
    """Return the few-shot examples of an experiment; `None` if it has none."""
    settings = generation.few_shot
    if settings is None or settings.k == 0:
        return None
    template = template_of(generation.prompt_spec)
    names = () if template is None else template.names
    (pool,) = with_template_columns([settings.data], names)
    files = PartFiles(names)
    try:
        return examples_of(case_rows(pool, files=files), settings, template, files)
    except RowError as error:
        raise ConfigError(f"generation.few_shot.data: {error}") from None


def _generate_stage(
    experiment: ExperimentSpec,
    seeds: tuple[int, ...],
    budget: Budget,
) -> GenerateStage:
    generation = experiment.generation
    generator: BuiltGenerator = build(
        "generator", generation.generator, where="generation.generator"
    )
    generator = generator.covering(experiment.identity.libraries)
    check_prompt(generator, generation.prompt_spec, where="generation")
    check_has_batches(generator, experiment.runtime.batch, where="generation.generator")
    # Of recorded outputs, found by case id, it says what they were asked.
    is_recorded = "case_id" in generator.reads
    if generation.prompt_spec.template is not None and not is_recorded:
        check_reads_input(generator, needed_by="generation.prompt_spec.template")
    if generation.few_shot is not None and generation.few_shot.k > 0:
        check_reads_input(generator, needed_by="generation.few_shot")
    if generator.asks:
        if generation.few_shot is not None and generation.few_shot.k > 0:
            raise ConfigError(
                f"generation.few_shot: {generator.component_id} has no place for examples; "
                "write them as the `messages` of an input, or into the instructions"
            )
        return SteppedStage(
            generator,
            prompt_spec=generation.prompt_spec,
            seeds=seeds,
            runtime=experiment.runtime,
            prices=experiment.cost.prices,
            budget=budget,
        )
    return GenerateStage(
        generator,
        prompt_spec=generation.prompt_spec,
        examples=_examples(generation),
        seeds=seeds,
        runtime=experiment.runtime,
        price_of=generator.price_of(experiment.cost.prices),
        budget=budget,
    )


def _build_metrics(
    specs: Sequence[Any],
    libraries: Libraries,
) -> dict[str, BuiltMetric]:
    """Build the metrics, by the name they have in tables."""
    metrics = []
    for index, spec in enumerate(specs):
        metric = build("metric", spec, where=f"evaluation.metrics[{index}]")
        metrics.append(metric.covering(libraries))
    _refuse_equal_names(
        [metric.name for metric in metrics],
        what="metrics",
        where="evaluation.metrics",
        fix="an `id` of its own",
    )
    return {metric.name: metric for metric in metrics}


def _build_reducer(
    spec: Any,
    *,
    samples: int,
) -> BuiltReducer:
    reducer = build("reducer", spec, where="generation.reducer")
    if reducer.k is not None and reducer.k > samples:
        raise ConfigError(
            f"generation.reducer: {reducer.component_id} needs k={reducer.k} samples "
            f"of each case, but there are {samples}; raise "
            "generation.candidate_policy.num_samples"
        )
    return reducer


def _check_corpus_metrics(
    metrics: Mapping[str, BuiltMetric],
    reducer: BuiltReducer,
    statistics: StatisticsConfig,
) -> None:
    """Refuse settings that mean nothing to a metric of a data set."""
    for metric_id, metric in metrics.items():
        if metric.corpus_score is None:
            continue
        what = f"the metric {metric_id!r} is one score of all cases"
        if statistics.errors == "zero":
            raise ConfigError(
                f"evaluation.statistics.errors: {what}, in which a failed case has no "
                "score to count as 0; write `exclude` or `fail`"
            )
        if reducer.component_id in _CHANCE_REDUCERS:
            raise ConfigError(
                f"generation.reducer: {what}, of which {reducer.component_id!r} is no "
                "estimate; use builtin/mean for the mean of its samples' scores"
            )


def _score_stages(
    metrics: Mapping[str, BuiltMetric],
    judges: Mapping[str, Sequence[JudgeStage]],
    common: Mapping[str, Any],
) -> tuple[ScoreStage, ...]:
    stages = []
    for metric_id, metric in metrics.items():
        labels = [stage.label for stage in judges.get(metric_id, ())]
        stages.append(
            ScoreStage(
                metric_id,
                metric,
                judges=labels,
                **common,
            )
        )
    return tuple(stages)
