"""Is what a store says of a run still true? Rows are computed again, and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.errors import ConfigError, nearest
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.experiment.experiment import Experiment
from themis_lib.experiment.recorded import experiment_of
from themis_lib.identity.digests import digest
from themis_lib.runs.manifest import now
from themis_lib.runs.results import RunResult
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.stage import Stage
from themis_lib.stats.clean_sample import most_bad_rows
from themis_lib.stats.multiple import holm
from themis_lib.verification.causes import (
    data_changes,
    environment_changes,
    likely_causes,
)
from themis_lib.verification.model_checks import (
    Drawn,
    PlannedDraws,
    cost_of,
    draw_again,
    is_greedy,
    plan_draws,
)
from themis_lib.verification.models import (
    CASES_LABEL,
    EqualityTest,
    ModelCheck,
    StageCheck,
    Verification,
)
from themis_lib.verification.records import keep_verification
from themis_lib.verification.stage_checks import StageChecks, is_comparable
from themis_lib.verification.stored_run import CaseBatch, Positions, StoredRun

#: Rows of each stage: if none of 299 differs, with 95 % under 1 % of any number do.
SAMPLE = 300
#: A test that is adjusted for all tests of the verification speaks below this.
ALPHA = 0.05
#: What the bounds on the rows that differ hold with.
CONFIDENCE = 0.95
#: Cases that are laid out together: some megabytes.
_BATCH_CASES = 4096


@dataclass(frozen=True)
class PlannedCalls:
    """Calls of a stage that may cost money; `cost` in US dollars, `None` if unknown."""

    stage: str
    calls: int
    cost: float | None


def verify_run(
    run: RunResult,
    *,
    experiment: Experiment | None = None,
    sample: int | None = SAMPLE,
    seed: int = 0,
    stages: Sequence[str] = (),
    alpha: float = ALPHA,
) -> Verification:
    """Compute rows of a run again, and return what differs from what is stored.

    `sample` rows of each stage are drawn by `seed`, or all taken if it is `None`. Rows
    of models that are not deterministic are drawn anew, and tested against the stored
    ones at the level `alpha`: that calls them, and may cost money; see
    `RunVerification.calls`. `stages` leaves out all but these, by kind (`score`) or
    label (`score[exact_match]`). `experiment` is the run's, where its record cannot make
    it again because components were live objects. The verification is kept beside the
    run's tables; no row is changed or added.

    Raise `ConfigError` or `StoreError` for a run that cannot be computed again.
    """
    verification = RunVerification.of(
        run,
        experiment=experiment,
        sample=sample,
        seed=seed,
        stages=stages,
        alpha=alpha,
    )
    return run_in_new_loop(verification.verify)


@dataclass(frozen=True)
class RunVerification:
    """A verification of a run, to be priced and then made."""

    stored: StoredRun
    datasets: Sequence[AnyDataset]
    sample: int | None
    seed: int
    stages: list[Stage]
    alpha: float

    @classmethod
    def of(
        cls,
        run: RunResult,
        *,
        experiment: Experiment | None = None,
        sample: int | None = SAMPLE,
        seed: int = 0,
        stages: Sequence[str] = (),
        alpha: float = ALPHA,
    ) -> RunVerification:
        """Return the verification of a run; see `verify_run`."""
        if sample is not None and sample < 1:
            raise ConfigError(f"sample={sample}: write at least 1, or take all rows")
        if not 0 < alpha < 1:
            raise ConfigError(f"alpha={alpha}: write a level between 0 and 1")
        datasets = _recorded_files(run) if experiment is None else experiment.datasets
        stored = StoredRun(run, experiment or experiment_of(run))
        chosen = _chosen_stages(stored.stages, stages)
        return cls(stored, datasets, sample, seed, chosen, alpha)

    @cached_property
    def draws(self) -> list[PlannedDraws]:
        """What of models that are not deterministic is to be drawn anew."""
        planned = []
        for stage in self.stages:
            if isinstance(stage, GenerateStage) and not is_comparable(stage):
                planned.append(
                    plan_draws(self.stored, stage, sample=self.sample, seed=self.seed)
                )
        return planned

    @cached_property
    def calls(self) -> list[PlannedCalls]:
        """The calls that may cost money, stage by stage, with the dollars estimated."""
        calls = []
        for planned in self.draws:
            if planned.stage.is_paid and planned.calls:
                label = planned.stage.label
                calls.append(PlannedCalls(label, planned.calls, planned.cost))
        for stage in self.stages:
            # Deterministic, and not free: its rows are computed again, not drawn.
            if stage.is_paid and is_comparable(stage) and len(self._rows[stage.label]):
                rows = self._rows[stage.label]
                cost = cost_of(self.stored, stage, rows, len(rows))
                calls.append(PlannedCalls(stage.label, len(rows), cost))
        return calls

    async def verify(self, *, with_calls: bool = True) -> Verification:
        """Look at the rows again, keep what was found, and return it.

        Without `with_calls`, no call is made that may cost money: of such stages, only
        the keys and the copies of the rows are compared.
        """
        run = self.stored.run
        paid = [] if with_calls else [planned.stage for planned in self.calls]
        checks = StageChecks(not_computed=paid)
        for batch, rows in self._batches():
            if CASES_LABEL in rows:
                checks.check_cases(batch, batch.positions(rows[CASES_LABEL], 1))
            for stage in self.stages:
                if stage.label in rows:
                    per_case = self.stored.rows_per_case(stage)
                    chosen = batch.positions(rows[stage.label], per_case)
                    await checks.check(batch, stage, chosen)
        environment = environment_changes(run.manifest)
        models = []
        for planned in self.draws:
            drawn = None
            if planned.calls and planned.stage.label not in paid:
                drawn = await draw_again(self.stored, planned, self.seed)
            models.append(self._model_check(planned, drawn))
        verification = Verification(
            run_id=run.run_id,
            name=run.manifest.name,
            verified_at=now(),
            seed=self.seed,
            sample=self.sample,
            stages=[
                self._stage_check(label, checks, environment) for label in self._facts
            ],
            models=with_adjusted_tests(models),
            environment=environment,
            data=data_changes(run.manifest, self.datasets, self.stored.pipeline),
        )
        keep_verification(run, verification)
        return verification

    @cached_property
    def _facts(self) -> dict[str, Positions]:
        """The rows that can be verified, by stage: their positions in the run."""
        facts: dict[str, Positions] = {}
        if len(self.stages) == len(self.stored.stages):
            facts[CASES_LABEL] = np.arange(self.stored.case_ids.num_rows)
        for stage in self.stages:
            facts[stage.label] = self.stored.verifiable(stage)
        return facts

    @cached_property
    def _rows(self) -> dict[str, Positions]:
        """The rows to look at, by stage, ascending: all, or a sample without return."""
        if self.sample is None:
            return self._facts
        rows = {}
        for label, facts in self._facts.items():
            random = np.random.default_rng(
                [self.seed, int(digest("sample", label), 16)]
            )
            count = min(self.sample, len(facts))
            rows[label] = np.sort(random.choice(facts, size=count, replace=False))
        return rows

    def _batches(self) -> Iterator[tuple[CaseBatch, dict[str, Positions]]]:
        """Yield cases that are laid out together, and the rows to look at, by stage."""
        per_case = {
            stage.label: self.stored.rows_per_case(stage) for stage in self.stages
        }
        if self.sample is not None:
            # The cases of one stage's sample are seldom those of another's.
            for label, rows in self._rows.items():
                places = np.unique(rows // per_case.get(label, 1))
                if len(places):
                    yield CaseBatch(self.stored, places), {label: rows}
            return
        for start, end in self.stored.spans(_BATCH_CASES):
            chosen = {}
            for label, rows in self._rows.items():
                first, last = np.searchsorted(
                    rows, np.array([start, end]) * per_case.get(label, 1)
                )
                chosen[label] = rows[first:last]
            yield CaseBatch(self.stored, np.arange(start, end)), chosen

    def _stage_check(
        self,
        label: str,
        checks: StageChecks,
        environment: Sequence[str],
    ) -> StageCheck:
        found = checks.findings(label)
        rows = len(self._facts[label])
        return StageCheck(
            stage=label,
            rows=rows,
            sampled=found.sampled,
            differing=found.differing,
            most_differing=most_bad_rows(
                rows,
                sampled=found.sampled - found.failed_now,
                bad=found.differing,
                confidence=CONFIDENCE,
            ),
            confidence=CONFIDENCE,
            is_computed=found.is_computed,
            changed_files=self.stored.changed_files(label),
            failed_now=found.failed_now,
            lost=found.lost,
            differences=found.cells,
            causes=likely_causes(
                label,
                found,
                changed_files=self.stored.changed_files(label),
                manifest=self.stored.run.manifest,
                changes=self.stored.changes.get(label, ()),
                environment=environment,
            ),
        )

    def _model_check(
        self,
        planned: PlannedDraws,
        drawn: Drawn | None,
    ) -> ModelCheck:
        record = self.stored.record(planned.stage)
        fields: dict[str, Any] = {
            "stage": planned.stage.label,
            "model": planned.stage.generator.model,
            "cases": len(planned.places),
            "alpha": self.alpha,
            "is_greedy": is_greedy(record),
        }
        if drawn is None:
            reason = "its calls may cost money, and were not allowed"
            if not planned.calls:
                reason = "no row of it is stored"
            return ModelCheck(**fields, reason=reason)
        if not drawn.tests:
            fields["reason"] = "no prompt has a stored output and two new ones"
            if drawn.calls and not drawn.texts:
                fields["reason"] = f"all of its {drawn.calls:,} calls failed"
        return ModelCheck(
            **fields,
            calls=drawn.calls,
            failed=drawn.failed,
            drawn=drawn.texts,
            equal=drawn.equal,
            tests=[
                EqualityTest(
                    compares=name,
                    cases=len(test.of_groups),
                    effect=test.effect,
                    p_value=test.p_value,
                    p_holm=test.p_value,
                )
                for name, test in drawn.tests.items()
            ],
            most_changed=drawn.most_changed,
        )


def with_adjusted_tests(models: Sequence[ModelCheck]) -> list[ModelCheck]:
    """Return checks of models with the p-values adjusted for all of their tests."""
    p_values = [test.p_value for check in models for test in check.tests]
    adjusted = iter(holm(p_values))
    return [
        check.model_copy(
            update={
                "tests": [
                    test.model_copy(update={"p_holm": next(adjusted)})
                    for test in check.tests
                ]
            }
        )
        for check in models
    ]


def _chosen_stages(
    stages: Sequence[Stage],
    names: Sequence[str],
) -> list[Stage]:
    """Return the stages of these kinds and labels, in order; all without a name."""
    choices = sorted(
        {stage.label for stage in stages} | {stage.name for stage in stages}
    )
    for name in names:
        if name not in choices:
            raise ConfigError(
                f"the run has no stage {name!r}; {nearest(name, choices)}"
            )
    return [
        stage
        for stage in stages
        if not names or stage.label in names or stage.name in names
    ]


def _recorded_files(run: RunResult) -> list[DatasetFile]:
    """Return the datasets of a run that were files, as its record has them."""
    written = (run.manifest.configuration or {}).get("datasets", [])
    return [DatasetFile.model_validate(each) for each in written if "path" in each]
