"""Why the scores of two runs differ: each setting's share of the difference.

The experiments between the two, with some of the settings changed, are evaluated from
the store, and the difference is shared out among the settings by Shapley values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from themis_lib.comparison.explanation import (
    ExplainedScore,
    Explanation,
    FactorShare,
    MovedCase,
)
from themis_lib.comparison.factors import Factor, Sides, with_metrics
from themis_lib.comparison.missing_scores import MissingScores
from themis_lib.comparison.mixed_cells import CellScores, cell_scores
from themis_lib.comparison.paired_cases import CasePairs, paired_cases
from themis_lib.comparison.run_pair import shared_metrics
from themis_lib.comparison.scored_cases import cluster_numbers, scored_cases
from themis_lib.errors import ConfigError, nearest
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.experiment.experiment import Experiment
from themis_lib.experiment.recorded import experiment_of
from themis_lib.explain.differences import stage_differences
from themis_lib.explain.plan import PlannedRows, StagePlan, plan_run
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult, corpus_metric_ids
from themis_lib.stages.reduce import ReduceStage
from themis_lib.stats.clusters import Floats
from themis_lib.stats.paired import paired_difference
from themis_lib.stats.shapley import (
    Weights,
    coalitions,
    exact_weights,
    mean_shares,
    sampled_weights,
    shares_of_cases,
)

#: Up to so many factors all orders are taken: 64 cells.
EXACT_FACTORS = 6
#: Random orders, each with its reverse, where there are more factors.
SAMPLED_ORDERS = 16
#: The cases that are named for each factor.
MOST_CASES = 10


def explain_difference(
    baseline: RunResult,
    candidate: RunResult,
    *,
    experiments: tuple[Experiment, Experiment] | None = None,
    metric_ids: Sequence[str] = (),
    cluster_by: str | None = None,
    orders: int = SAMPLED_ORDERS,
    seed: int = 0,
) -> Explanation:
    """Return each changed setting's share of the difference of two runs' scores.

    Rows that the store of the runs lacks are computed, and paid for: see
    `MixedExperiments.plan`. `experiments` are those of the runs, where their records
    cannot make them again because components were live objects. `metric_ids` default to
    all that both runs have. `cluster_by` names a metadata column of the candidate whose
    equal values make cases dependent. `orders` and `seed` are for more than six
    factors.

    Raise `ConfigError` for runs that do not differ, or cannot be computed again as they
    were.
    """
    mixed = MixedExperiments.of(
        baseline,
        candidate,
        experiments=experiments,
        metric_ids=metric_ids,
        cluster_by=cluster_by,
        orders=orders,
        seed=seed,
    )
    return run_in_new_loop(mixed.explain)


def _check_not_corpus(
    corpus: Set[str],
    shared: Sequence[str],
    asked: Sequence[str],
) -> None:
    """Raise `ConfigError` for a metric of a data set that is asked for, or if all are."""
    refused = [metric_id for metric_id in asked or shared if metric_id in corpus]
    if refused and (asked or len(refused) == len(shared)):
        raise ConfigError(
            f"{refused[0]!r} is one score of all cases, and shares are those of the mean "
            "of cases; explain a metric of single cases, or `themis compare` the runs"
        )


@dataclass(frozen=True)
class MixedExperiments:
    """The experiments between two runs, to be planned and then evaluated."""

    baseline: RunResult
    candidate: RunResult
    sides: Sides
    pairs: CasePairs
    metric_ids: list[str]
    cluster_by: str | None
    orders: int
    seed: int

    @classmethod
    def of(
        cls,
        baseline: RunResult,
        candidate: RunResult,
        *,
        experiments: tuple[Experiment, Experiment] | None = None,
        metric_ids: Sequence[str] = (),
        cluster_by: str | None = None,
        orders: int = SAMPLED_ORDERS,
        seed: int = 0,
    ) -> MixedExperiments:
        """Return the experiments between two runs; see `explain_difference`."""
        if baseline.run_id == candidate.run_id:
            raise ConfigError(
                f"run {baseline.run_id!r} is named twice; explain the difference of two"
            )
        before, after = scored_cases(baseline), scored_cases(candidate)
        shared = shared_metrics(before, after)
        corpus = corpus_metric_ids(baseline) | corpus_metric_ids(candidate)
        _check_not_corpus(corpus, shared, metric_ids)
        shared = [metric_id for metric_id in shared if metric_id not in corpus]
        for metric_id in metric_ids:
            if metric_id not in shared:
                raise ConfigError(
                    f"no metric {metric_id!r} in both runs; {nearest(metric_id, shared)}"
                )
        chosen = [each for each in shared if not metric_ids or each in metric_ids]
        pairs = paired_cases(before, after)
        old, new = experiments or (experiment_of(baseline), experiment_of(candidate))
        sides = Sides(
            with_metrics(old, chosen),
            with_metrics(new, chosen),
            pairs.baseline_cases(baseline),
            pairs.candidate_cases(candidate),
        )
        statistics = candidate.manifest.statistics
        mixed = cls(
            baseline,
            candidate,
            sides,
            pairs,
            chosen,
            cluster_by or statistics.cluster_by,
            orders,
            seed,
        )
        mixed._check_ends()
        return mixed

    @cached_property
    def factors(self) -> list[Factor]:
        """What the candidate sets differently."""
        return self.sides.factors()

    @cached_property
    def weights(self) -> Weights:
        """The weights of the cells: of all orders of the factors, or of random ones."""
        count = len(self.factors)
        if self.sampled_orders is None:
            return exact_weights(count)
        return sampled_weights(count, self.sampled_orders, self.seed)

    @property
    def sampled_orders(self) -> int | None:
        """How many random orders stand for all; `None` where all are taken."""
        return None if len(self.factors) <= EXACT_FACTORS else self.orders

    def plan(self) -> list[StagePlan]:
        """Return the rows that the cells lack, stage by stage; rows they share once."""
        planned = PlannedRows()
        plans: list[StagePlan] = []
        for coalition in coalitions(self.weights):
            pipeline = self._pipeline(coalition)
            for plan in plan_run(pipeline, self.candidate.store, planned):
                if plan.missing or plan.unknown:
                    plans.append(plan)
        return plans

    async def explain(self) -> Explanation:
        """Evaluate the cells, and return each factor's share."""
        cells: dict[int, CellScores] = {}
        computed: Counter[str] = Counter()
        for coalition in coalitions(self.weights):
            pipeline = self._pipeline(coalition)
            cells[coalition] = await cell_scores(pipeline, self.candidate.store)
            computed += cells[coalition].computed
        scores = []
        for metric_id in self.metric_ids:
            values = {}
            for coalition, cell in cells.items():
                places = self.sides.data(self._changed(coalition)).places
                values[coalition] = cell.scores[metric_id][places]
            scores += self._explained(metric_id, values)
        manifests = self.baseline.manifest, self.candidate.manifest
        return Explanation(
            baseline=self.baseline.run_id,
            candidate=self.candidate.run_id,
            baseline_name=manifests[0].name,
            candidate_name=manifests[1].name,
            factors={factor.name: factor.changes for factor in self.factors},
            scores=scores,
            cells=len(cells),
            computed=dict(computed),
            sampled_orders=self.sampled_orders,
            seed=self.seed,
            unpaired=self.pairs.unpaired,
            cluster_by=self.cluster_by,
        )

    def _pipeline(self, coalition: int) -> Pipeline:
        return self.sides.mixed(self._changed(coalition)).compile()

    def _changed(self, coalition: int) -> list[str]:
        changed: list[str] = []
        for at, factor in enumerate(self.factors):
            if coalition >> at & 1:
                changed += factor.parts
        return changed

    def _check_ends(self) -> None:
        """Raise `ConfigError` unless both runs can be computed as they were."""
        everything = [part for factor in self.factors for part in factor.parts]
        ends: list[tuple[RunResult, list[str]]] = [
            (self.baseline, []),
            (self.candidate, everything),
        ]
        for run, changed in ends:
            pipeline = self.sides.mixed(changed).compile().resolved(run.store)
            for stage in pipeline.stages:
                record = run.manifest.stage(stage.label)
                # The reducer has no rows that cost anything, and names its metrics.
                if isinstance(stage, ReduceStage) or record is None:
                    continue
                if record.fingerprint == stage.fingerprint:
                    continue
                lines = stage_differences(
                    record.identity,
                    stage.full_identity,
                    dependencies=(record.dependencies, stage.depends_on),
                    places=stage.places,
                )
                said = "; ".join(lines) or "another version of it"
                raise ConfigError(
                    f"run {run.run_id!r} cannot be computed as it was: its stage "
                    f"{stage.label} is not that of today ({said})"
                )

    def _explained(
        self,
        metric_id: str,
        values: Mapping[int, Floats],
    ) -> list[ExplainedScore]:
        policy = MissingScores.of(
            self.baseline,
            self.candidate,
            metric_id,
            np.concatenate(list(values.values())),
        )
        counted = {key: policy.counted(each, each)[0] for key, each in values.items()}
        for each in values.values():
            if policy.forbids(each):
                raise ConfigError(
                    f"{metric_id}: cases have no score, and the candidate's "
                    "evaluation.statistics forbids a mean without them"
                )
        complete = ~np.isnan(np.sum(list(counted.values()), axis=0))
        explained = []
        for dataset_id, places in self.pairs.datasets().items():
            rows = places[complete[places]]
            chosen = {key: each[rows] for key, each in counted.items()}
            explained.append(
                self._explained_dataset(
                    dataset_id,
                    metric_id,
                    chosen,
                    rows,
                    left_out=len(places) - len(rows),
                )
            )
        return explained

    def _explained_dataset(
        self,
        dataset_id: str,
        metric_id: str,
        values: Mapping[int, Floats],
        rows: npt.NDArray[np.int64],
        *,
        left_out: int,
    ) -> ExplainedScore:
        count = len(self.factors)
        before, after = values[0], values[2**count - 1]
        whole = paired_difference(before, after)
        shares: list[FactorShare] = []
        if len(rows):
            of_cases = shares_of_cases(values, self.weights, count)
            means = mean_shares(values, self.weights, count)
            for at, factor in enumerate(self.factors):
                shares.append(
                    self._factor_share(
                        factor, means[at], of_cases[at], before, after, rows
                    )
                )
        lower = self.candidate.manifest.lower_is_better
        return ExplainedScore(
            dataset_id=dataset_id,
            metric_id=metric_id,
            higher_is_better=metric_id not in lower,
            n=len(rows),
            left_out=left_out,
            baseline_mean=whole.baseline_mean,
            candidate_mean=whole.candidate_mean,
            difference=whole.difference,
            shares=shares,
        )

    def _factor_share(
        self,
        factor: Factor,
        mean: float,
        of_cases: Floats,
        before: Floats,
        after: Floats,
        rows: npt.NDArray[np.int64],
    ) -> FactorShare:
        clusters = None
        if self.cluster_by is not None:
            column = self.pairs.column(self.cluster_by, rows)
            clusters = cluster_numbers(column)
        paired = paired_difference(
            np.zeros_like(of_cases),
            of_cases,
            clusters=clusters,
            # Only the interval is used, which takes no permutations.
            resamples=1,
        )
        moved = np.argsort(-np.abs(of_cases), kind="stable")
        cases = []
        for place in moved[:MOST_CASES].tolist():
            if of_cases[place] == 0:
                break
            moved_case = MovedCase(
                case_id=self.pairs.case_id(int(rows[place])),
                share=of_cases[place],
                baseline_score=before[place],
                candidate_score=after[place],
            )
            cases.append(moved_case)
        return FactorShare(
            factor=factor.name,
            share=mean,
            low=paired.low,
            high=paired.high,
            interval_method=paired.interval_method,
            raised=paired.improved,
            lowered=paired.worsened,
            cases=cases,
        )


def lacks(plans: Sequence[StagePlan]) -> tuple[int, float | None]:
    """Return how many paid calls the cells lack, and their dollars; `None` if unknown."""
    calls = 0
    dollars: float | None = 0.0
    for plan in plans:
        if not plan.is_paid:
            continue
        calls += plan.missing + plan.unknown
        dollars = None if dollars is None or plan.cost is None else dollars + plan.cost
    return calls, dollars
