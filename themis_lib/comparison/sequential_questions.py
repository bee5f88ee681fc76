"""What a run has to decide: its difference from a run or a cell, or its gates.

    against RUN     better: the confidence sequence of the difference lies above 0
                    worse:  below 0
                    same:   within ± delta, if one is given
    a gate          pass or fail: the confidence sequence lies on one side of its limit

Where a lower score is better, below 0 is better. Several differences share the level in
equal parts (Bonferroni); each gate has the whole of it, as it has without stopping.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from themis_lib.comparison.gate import Gate
from themis_lib.comparison.gate_baselines import (
    BASELINE,
    LAST_GOOD,
    ReadyGate,
    last_good,
)
from themis_lib.errors import ConfigError, StoreError, nearest
from themis_lib.runs.find_run import find_run
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import RunStore

#: Below a level of 10⁻⁶ an e-value would have to be a million.
_SMALLEST_ALPHA = 1e-6


@dataclass(frozen=True)
class StopRule:
    """When a run stops: its level, the difference that matters, the seed of the order."""

    alpha: float = 0.05
    delta: float | None = None
    order_seed: int = 0

    def check(self) -> None:
        """Raise `ConfigError` for a level or a difference that is none."""
        # NaN fails these tests too.
        if not _SMALLEST_ALPHA <= self.alpha < 1:
            raise ConfigError(
                f"alpha {self.alpha!r}: give a level from {_SMALLEST_ALPHA:g} to below "
                "1, such as 0.05"
            )
        if self.delta is not None and not 0 < self.delta < math.inf:
            raise ConfigError(f"delta {self.delta!r}: give a difference above 0")


@dataclass(frozen=True)
class Question:
    """One thing to decide: about a metric on a dataset, of one run.

    `lowest` and `highest` are the scores that the metric declares. With `baseline`, a
    finished run, or `baseline_cell`, a cell that is run in step, it is about the
    difference from that; else about the mean.
    """

    metric_id: str
    dataset_id: str
    lowest: float
    highest: float
    alpha: float
    higher_is_better: bool = True
    delta: float | None = None
    gate: Gate | None = None
    baseline: RunResult | None = None
    baseline_cell: str | None = None

    @property
    def is_difference(self) -> bool:
        """Whether it is about a difference, and not about a mean."""
        return self.baseline is not None or self.baseline_cell is not None

    @property
    def null(self) -> float:
        """The mean or difference that the evidence speaks against."""
        return 0.0 if self.gate is None else self.gate.limit

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and greatest value of what it is about, for one case."""
        if not self.is_difference:
            return self.lowest, self.highest
        reach = self.highest - self.lowest
        return -reach, reach


def questions_against(
    name: str,
    pipeline: Pipeline,
    store: RunStore,
    rule: StopRule,
) -> list[Question]:
    """Return the questions of a run that is compared with a finished one.

    `name` is as `find_run` takes it, or `last good`. Raise `InputError` for what could
    not be decided, before anything is generated.
    """
    rule.check()
    check_pipeline(pipeline)
    metric_ids = [stage.metric_id for stage in pipeline.scores]
    baseline = _find_against(name, pipeline, store, metric_ids)
    known = [record.member_id for record in baseline.manifest.stages]
    shared = [metric_id for metric_id in metric_ids if metric_id in known]
    if not shared:
        hint = nearest(metric_ids[0], [item for item in known if item])
        raise ConfigError(
            f"--against {name!r}: run {baseline.run_id!r} has no scores of "
            f"{', '.join(map(repr, metric_ids))}; {hint}"
        )
    return differences_from(pipeline, shared, rule, comparisons=1, baseline=baseline)


def differences_from(
    pipeline: Pipeline,
    metric_ids: Collection[str],
    rule: StopRule,
    *,
    comparisons: int,
    baseline: RunResult | None = None,
    baseline_cell: str | None = None,
) -> list[Question]:
    """Return a question for each dataset and metric, their level shared.

    `comparisons` is how many runs are compared in all, each with as many questions.
    """
    places = []
    for dataset in pipeline.experiment.datasets:
        for stage in pipeline.scores:
            if stage.metric_id in metric_ids:
                places.append((dataset.dataset_id, stage.metric_id))
    questions = []
    for dataset_id, metric_id in places:
        question = _question(
            pipeline,
            metric_id,
            dataset_id,
            rule.alpha / (len(places) * comparisons),
        )
        changed = replace(
            question,
            delta=rule.delta,
            baseline=baseline,
            baseline_cell=baseline_cell,
        )
        questions.append(changed)
    return questions


def questions_of_gates(
    gates: Sequence[ReadyGate],
    pipeline: Pipeline,
    rule: StopRule,
) -> list[Question]:
    """Return a question for each gate and dataset that it holds for.

    A gate that has no last good run yet asks nothing: it passes. Raise `ConfigError`
    for a gate that cannot be decided by a confidence sequence.
    """
    rule.check()
    check_pipeline(pipeline)
    if rule.delta is not None:
        raise ConfigError(
            "delta is for a difference from a run (`--against`); a gate has its margin "
            "in its own words: 'METRIC no worse than RUN by 0.02'"
        )
    questions = []
    dataset_ids = [dataset.dataset_id for dataset in pipeline.experiment.datasets]
    for ready in gates:
        _check_gate(ready.gate, dataset_ids)
        if ready.gate.baseline is not None and ready.baseline is None:
            continue
        for dataset_id in dataset_ids:
            if ready.gate.place in (None, dataset_id):
                question = _gate_question(ready, pipeline, dataset_id, rule.alpha)
                questions.append(question)
    return questions


def check_pipeline(pipeline: Pipeline) -> None:
    """Raise `ConfigError` for a run that cannot stop when it is decided."""
    if pipeline.until_stage != "reduce":
        raise ConfigError(
            "--until-decided needs scores; run until 'reduce' and not only until "
            f"{pipeline.until_stage!r}"
        )
    column = pipeline.experiment.evaluation.statistics.cluster_by
    if column is not None:
        raise ConfigError(
            f"--until-decided: evaluation.statistics.cluster_by={column!r} says that "
            "cases depend on each other, and the test needs cases in an order in which "
            "each is a new draw; run all cases, or leave cluster_by out"
        )
    if any(stage.goes_by_batch for stage in pipeline.stages):
        raise ConfigError(
            "--until-decided: with runtime.batch a provider answers within a day, and a "
            "run that looks after every few cases would wait for each look; leave out "
            "runtime.batch"
        )
    if not pipeline.scores:
        raise ConfigError("--until-decided needs a metric; evaluation.metrics has none")


def _find_against(
    name: str,
    pipeline: Pipeline,
    store: RunStore,
    metric_ids: Sequence[str],
) -> RunResult:
    experiment = pipeline.experiment.name
    if name.lower() in (LAST_GOOD, BASELINE):
        found = last_good(store, experiment, metric_ids[0])
        if found is None:
            raise ConfigError(
                f"--against {name!r}: no earlier run of {experiment!r} completed all its "
                "cases and passed its gates; name a run, or run it once in full"
            )
        return found
    try:
        found = find_run(store, name)
    except StoreError as error:
        raise StoreError(f"--against {name!r}: {error}") from None
    if found.manifest.until_stage != "reduce" or found.manifest.finished_at is None:
        raise ConfigError(
            f"--against {name!r}: run {found.run_id!r} has no scores; "
            f"it is {found.status.value} and went until {found.manifest.until_stage!r}"
        )
    return found


def _gate_question(
    ready: ReadyGate,
    pipeline: Pipeline,
    dataset_id: str,
    alpha: float,
) -> Question:
    gate = ready.gate
    question = _question(pipeline, gate.metric_id, dataset_id, alpha)
    if ready.baseline is not None and not question.higher_is_better:
        # Where a lower score is better, a rise is worse.
        gate = replace(gate, relation="<=", limit=-gate.limit)
    question = replace(question, gate=gate, baseline=ready.baseline)
    low, high = question.bounds
    if not low <= gate.limit <= high:
        raise ConfigError(
            f"gate {gate.text!r}: {gate.limit:g} is not within {low:g} to {high:g}, "
            "where it could be decided"
        )
    return question


def _question(
    pipeline: Pipeline,
    metric_id: str,
    dataset_id: str,
    alpha: float,
) -> Question:
    metric = next(
        stage.metric for stage in pipeline.scores if stage.metric_id == metric_id
    )
    if metric.corpus_score is not None:
        raise ConfigError(
            f"--until-decided: {metric_id!r} is one score of a whole data set, and the "
            "test is of a mean of cases; decide by a metric of single cases, or run all"
        )
    if metric.score_range is None:
        raise ConfigError(
            f"--until-decided: the metric {metric_id!r} does not say which scores it can "
            "give, and a single one could still turn any mean; declare its range in its "
            "class, such as `score_range = (0, 1)`"
        )
    lowest, highest = metric.score_range
    return Question(
        metric_id=metric_id,
        dataset_id=dataset_id,
        lowest=lowest,
        highest=highest,
        alpha=alpha,
        higher_is_better=metric.higher_is_better,
    )


def _check_gate(
    gate: Gate,
    dataset_ids: Sequence[str],
) -> None:
    if gate.is_corrected:
        raise ConfigError(
            f"gate {gate.text!r}: labels come after the run, and --until-decided decides "
            "while it goes on; judge the run with this gate once it is labelled"
        )
    if gate.by == "mean":
        raise ConfigError(
            f"gate {gate.text!r}: --until-decided decides by a confidence sequence; "
            "leave out --by mean, or a policy's `by: mean`"
        )
    if gate.place is not None and gate.place not in dataset_ids:
        raise ConfigError(
            f"gate {gate.text!r}: --until-decided decides whole datasets, and "
            f"{gate.place!r} is a slice; name a dataset, or run all cases"
        )
